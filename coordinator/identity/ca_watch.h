// Notices that the CA of an identity folder changed: a rotation went on, here or at another
// replica, from which the folder was copied.
#pragma once

#include <filesystem>
#include <string>

#include "coordinator/identity/ca_state.h"

namespace muster {

class CaWatch {
 public:
  CaWatch(std::filesystem::path dir, CaState present)
      : dir_(std::move(dir)), present_(std::move(present)) {}

  // True once another state is there, whole and usable. What is there in parts (a copy that goes
  // on) or damaged is said once, and changes nothing.
  bool Changed();

 private:
  const std::filesystem::path dir_;
  const CaState present_;
  std::string complained_;
};

}  // namespace muster
