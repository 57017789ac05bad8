// Looks whether a coordinator is in order: its state folder, its store and its blobs, wherever they
// are. Also beside the processes that have them. checks/ has what is looked at.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "coordinator/blobs/open_blobs.h"
#include "proto/core/time.h"

namespace muster {

enum class Finding { kFine, kWarning, kProblem };
std::string_view FindingName(Finding finding);  // "fine", "warning", "problem"

struct CheckResult {
  std::string check;  // "keys", "certificate", "schema", ...
  Finding finding = Finding::kFine;
  std::string text;    // what was found
  std::string advice;  // what to do, or empty
};

struct DoctorOptions {
  std::filesystem::path state_dir;
  std::filesystem::path identity, package_key, at_rest_key;  // below it
  std::string store_url;                                     // as OpenStore() takes it
  BlobPlaces blobs;   // as OpenBlobs() takes them, but for the at-rest keys
  bool deep = false;  // read every blob that is referred to, and compare its digest
};

// One result at least for each check, never without a word: one that cannot be made says why, and
// counts as what keeps it from being made does.
std::vector<CheckResult> Examine(const DoctorOptions& options, Timestamp now);

}  // namespace muster
