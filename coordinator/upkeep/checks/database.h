// The database under the store, and what its rows say about the clock and the work.
#pragma once

#include <chrono>

#include "coordinator/store/database_state.h"
#include "coordinator/store/state_store.h"
#include "coordinator/upkeep/checks/results.h"

namespace muster::checks {

// Of a database server's clock and this machine's. Leases of tasks, which replicas read by clocks
// of their own, last six times as long.
inline constexpr Duration kServerClockSlack = std::chrono::seconds(10);
// What was done lies in the past.
inline constexpr Duration kClockSlack = std::chrono::hours(24);

// The database itself, its server's clock, and the schema. Anything but kFine: the worst of what
// keeps the store from being read.
Finding CheckDatabase(const DoctorOptions& options, Results& results);
// The part of it that judges what the database said.
void JudgeDatabase(const DatabaseState& state, Results& results);

void CheckClock(const StoreReader& reader, Timestamp now, Results& results);
void CheckTasks(const StoreReader& reader, Timestamp now, Results& results);

}  // namespace muster::checks
