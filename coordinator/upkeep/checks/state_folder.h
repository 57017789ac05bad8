// What is in the state folder whatever the store and the blobs are kept in.
#pragma once

#include "coordinator/upkeep/checks/results.h"

namespace muster::checks {

// A restore that was stopped in the middle.
void CheckRestore(const DoctorOptions& options, Results& results);
// The keys, and who may read them.
void CheckKeys(const DoctorOptions& options, Results& results);
// Of the CA.
void CheckCertificate(const DoctorOptions& options, Timestamp now, Results& results);
// The disks that the coordinator itself writes to, and a word about those that it does not see.
void CheckDisks(const DoctorOptions& options, Results& results);

}  // namespace muster::checks
