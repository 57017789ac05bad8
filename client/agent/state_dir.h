// What stands where below state_dir.
#pragma once

#include <filesystem>
#include <string>

#include "proto/core/ids.h"

namespace muster {

struct StateDir {
  std::filesystem::path root;

  std::filesystem::path journal() const { return root / "journal.db"; }
  std::filesystem::path cache() const { return root / "cache"; }
  std::filesystem::path lock() const { return root / "agent.lock"; }
  std::filesystem::path agent_json() const { return root / "agent.json"; }
  // Key that the states of secure aggregation sessions are encrypted with.
  std::filesystem::path secagg_key() const { return root / "secagg.key"; }
  std::filesystem::path work() const { return root / "work"; }
  // One invocation's output, until its answer is taken.
  std::filesystem::path work(const std::string& invocation) const { return work() / invocation; }
  // Its trained update, float32[shared], and the masked vector that secure aggregation makes of it.
  std::filesystem::path update(const std::string& invocation) const {
    return work(invocation) / "update.f32";
  }
  std::filesystem::path masked(const std::string& invocation) const {
    return work(invocation) / "masked.bin";
  }
  // The device's own parameters of one model: float32[total].
  std::filesystem::path personal(const ModelName& model) const {
    return root / "personal" / (model.value() + ".f32");
  }
  std::filesystem::path models(const ModelName& model) const {
    return root / "models" / model.value();
  }
};

}  // namespace muster
