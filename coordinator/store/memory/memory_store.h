// StateStore in memory, for tests and simulation: the contract without the disk.
#pragma once

#include <memory>

#include "coordinator/store/state_store.h"

namespace muster {

std::unique_ptr<StateStore> MakeMemoryStore();

}  // namespace muster
