// The door to a device's own data: opens what its config names, takes this device's part, and
// splits that into training and held-out examples. Nothing here ever leaves the device.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "models/data/dataset.h"

namespace muster::worker::v1 {
class DataSource;
}

namespace muster {

struct DeviceData {
  Dataset train, held_out;
};

// Every choice is by config.seed, so the same config gives the same rows each time:
//   1. partition (if set): this device's part of the rows; all devices must name the same seed,
//   2. max_examples (if > 0): a random subset of that part, before it is split,
//   3. held_out_fraction in [0, 1]: 0 holds nothing out, 1 holds everything out (a device that only
//      evaluates), and between them each side gets at least one example if there are two.
// Rows keep the file's order. Only this device's rows are loaded.
//
// NotFound for a missing file; InvalidArgument for files or settings that are wrong; DataLoss for a
// truncated or damaged file; ResourceExhausted beyond the limits of dataset.h. Messages name the
// file.
absl::StatusOr<DeviceData> OpenDeviceData(const worker::v1::DataSource& config);

// How many training examples OpenDeviceData would give; reads labels only.
absl::StatusOr<uint64_t> CountTrainExamples(const worker::v1::DataSource& config);

// The whole source, before partition and split.
absl::StatusOr<std::unique_ptr<ExampleSource>> OpenSource(const worker::v1::DataSource& config);

}  // namespace muster
