// A running job as lines: one for every round that is over, and one that changes for the round
// that is open. Pure: what is printed where is for the caller.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/cli/json_view.h"
#include "muster/v1/operator.pb.h"
#include "proto/core/time.h"

namespace muster::cli {

// "round 3/20  10 of 10 clients  20,000 examples  train loss 0.513, accuracy 81.2%  ..."
std::string RoundLine(const v1::RoundSummary& round, uint32_t rounds_total);
// The open round with a bar, for a terminal: "round 4/20 [######....] 6 of 10 clients  2.1 s". In
// an exchange of secure aggregation: "round 4/20 [####......] 4 of 10 clients, unmasking  9.3 s".
std::string OpenRoundLine(const v1::GetJobResponse& job, Timestamp now);
// How the job ended: "j-... succeeded: 20 rounds in 1 min 5 s; the model is fashion@21".
std::string EndLine(const v1::Job& job);

// "differential privacy (central): (epsilon 3.21, delta 1e-05) so far, budget 8".
std::string PrivacyLine(const v1::JobPrivacy& privacy);

bool HasEnded(const v1::Job& job);

// Follows a job over repeated, overlapping views of it, also after a lost connection.
class JobProgress {
 public:
  // Rounds that are over and were not told before, in order. A committed round waits for its
  // evaluation until a later round is over or the job has ended.
  std::vector<v1::RoundSummary> Update(const v1::GetJobResponse& view);
  // The first round that a view still needs: everything before it was told.
  uint32_t from_round() const { return from_round_; }

 private:
  using Key = std::pair<uint32_t, uint32_t>;  // number, attempt
  std::set<Key> told_;
  uint32_t from_round_ = 1;
};

}  // namespace muster::cli
