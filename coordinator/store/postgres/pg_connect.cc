#include "coordinator/store/postgres/pg_connect.h"

#include <algorithm>

#include "proto/core/random.h"

namespace muster {
namespace {

constexpr std::chrono::milliseconds kMaxPause{1'000};
// By a server that answers: an administrator may be ending sessions just now.
constexpr int kMaxRefusals = 3;

}  // namespace

std::chrono::milliseconds Backoff::Next() {
  SystemRandom random;
  const auto half = ceiling_ / 2;
  const auto pause =
      half + std::chrono::milliseconds(random.Below(static_cast<uint64_t>(half.count()) + 1));
  ceiling_ = std::min(ceiling_ * 2, kMaxPause);
  return pause;
}

absl::StatusOr<std::unique_ptr<PgConnection>> PgConnector::Connect(PgDeadline deadline,
                                                                   const PgPause& pause) const {
  Backoff backoff;
  for (int refusals = 0;;) {
    absl::StatusOr<std::unique_ptr<PgConnection>> opened = PgConnection::Open(info_, timeouts_);
    if (opened.ok() || !absl::IsUnavailable(opened.status())) return opened;
    if (std::chrono::steady_clock::now() >= deadline) return opened;
    if (!MayCure() && ++refusals >= kMaxRefusals) return opened;
    if (!pause(backoff.Next())) return opened;
  }
}

// A server that answers and yet refused us (a wrong password, no such database, full) will do so
// again; one that starts, or is not there, may be there soon.
bool PgConnector::MayCure() const {
  const ConnInfo::Parameters parameters = info_->parameters();
  const PGPing answer =
      PQpingParams(parameters.keywords.data(), parameters.values.data(), /*expand_dbname=*/0);
  return answer == PQPING_REJECT || answer == PQPING_NO_RESPONSE;
}

}  // namespace muster
