// A token bucket: so many events a second, and so many at once after a pause. Pure: time arrives by
// argument. A clock that goes back adds nothing and takes nothing away.
#pragma once

#include <optional>

#include "proto/core/time.h"

namespace muster {

struct Rate {
  double per_second = 0;  // 0: no limit
  double burst = 1;       // at least 1

  bool limited() const { return per_second > 0; }
};

class TokenBucket {
 public:
  TokenBucket(Rate rate, Timestamp now);  // full

  // Nothing if the event may happen: it is counted. Else how long until it might; nothing is
  // counted then.
  std::optional<Duration> Take(Timestamp now);

 private:
  Rate rate_;
  double tokens_;
  Timestamp filled_;
};

}  // namespace muster
