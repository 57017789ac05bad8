// What a seed draws before a history begins: the fleet and the jobs.
#pragma once

#include <string>
#include <vector>

#include "coordinator/blobs/blob_store.h"
#include "coordinator/drive/context.h"
#include "proto/core/job_spec.h"
#include "tests/sim/device.h"
#include "tests/sim/dice.h"

namespace muster::sim {

struct Scene {
  size_t devices = 0;
  size_t replicas = 1;
  bool sqlite = false;  // and folders for blobs and uploads
  bool months = false;  // pass, and a second job comes
  std::vector<std::string> names;
  std::vector<Lie> lies;
  DriveOptions options;

  static Scene Draw(uint64_t seed, Dice& dice);
};

// A small model, and a way to train it that fits the fleet.
JobSpec DrawJob(const Scene& scene, uint64_t seed, Dice& dice, BlobStore& blobs);

// The longest that such a job may take once nothing fails any more.
Duration LongestEnd(const JobSpec& spec);

}  // namespace muster::sim
