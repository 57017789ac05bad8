#include "aggregation/secagg/finder.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <optional>

#include "proto/core/limits.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster::secagg {
namespace {

constexpr double kImpossible = -std::numeric_limits<double>::infinity();  // ln 0
constexpr double kMaliciousSigma = 80;
constexpr uint32_t kMinThreshold = 2;
constexpr uint32_t kMostClients = 1'000'000;
// A fraction such as 0.3 of 10 clients is 3, whatever its binary form says.
constexpr double kRounding = 1e-9;
// Two libraries' logarithms may differ in their last digits: a device forgives the coordinator that
// much, in nats.
constexpr double kSlack = 1e-6;
// Numbers of clients that are tried to tell how many would do.
constexpr uint32_t kMostSuggested = 1000;

// What the bounds are about: the assumptions as counts.
struct Population {
  uint32_t clients = 0;
  uint32_t corrupted = 0;
  uint32_t dropped = 0;
  Mode mode = Mode::kSemiHonest;
  double sigma = 0, eta = 0;  // bits

  // Of security's two failures, each may have half of 2^-sigma. Natural logarithms.
  double security_limit() const { return -(sigma + 1) * std::numbers::ln2; }
  double correctness_limit() const { return -eta * std::numbers::ln2; }
};

uint32_t RoundDown(double fraction, uint32_t clients) {
  return static_cast<uint32_t>(std::floor(fraction * clients + kRounding));
}
uint32_t RoundUp(double fraction, uint32_t clients) {
  return static_cast<uint32_t>(std::ceil(fraction * clients - kRounding));
}

absl::Status CheckAssumptions(const Assumptions& assumptions) {
  if (assumptions.clients > kMostClients) {
    return absl::InvalidArgumentError(
        StrCat(assumptions.clients, " clients are above the limit of ", kMostClients));
  }
  const auto is_fraction = [](double value) { return value >= 0 && value < 1; };
  if (!is_fraction(assumptions.drop) || !is_fraction(assumptions.corrupt)) {
    return absl::InvalidArgumentError(StrCat("drop ", assumptions.drop, " and corrupt ",
                                             assumptions.corrupt,
                                             " must be fractions, at least 0 and below 1"));
  }
  const auto is_bits = [](double value) { return value > 0 && std::isfinite(value); };
  if (!is_bits(assumptions.sigma) || !is_bits(assumptions.eta)) {
    return absl::InvalidArgumentError(StrCat("sigma ", assumptions.sigma, " and eta ",
                                             assumptions.eta, " must be finite and above 0"));
  }
  return absl::OkStatus();
}

Population Published(const Assumptions& assumptions) {
  return {.clients = assumptions.clients,
          .corrupted = RoundDown(assumptions.corrupt, assumptions.clients),
          .dropped = RoundDown(assumptions.drop, assumptions.clients),
          .mode = assumptions.mode,
          .sigma = assumptions.sigma,
          .eta = assumptions.eta};
}
Population Enforced(const Assumptions& assumptions) {
  Population population = Published(assumptions);
  population.corrupted = std::max(kMinCorrupt, RoundUp(assumptions.corrupt, assumptions.clients));
  return population;
}

// ln n!. Stirling's series from 16 on, where its error is below 1e-13. (std::lgamma writes a global
// variable.)
double LogFactorial(uint32_t n) {
  static const std::array<double, 16> kSmall = [] {
    std::array<double, 16> table{};
    for (size_t i = 1; i < table.size(); ++i) {
      table[i] = table[i - 1] + std::log(static_cast<double>(i));
    }
    return table;
  }();
  if (n < kSmall.size()) return kSmall[n];
  const double x = n;
  const double x2 = x * x;
  return (x + 0.5) * std::log(x) - x + 0.5 * std::log(2 * std::numbers::pi) +
         (1.0 / 12 - (1.0 / 360 - 1.0 / (1260 * x2)) / x2) / x;
}

// ln P[X >= least], where X counts the marked clients among `drawn` out of `clients`, of which
// `marked` are (hypergeometric). Exact above the mean; up to it 0, which is no tail.
double LogTail(uint32_t clients, uint32_t marked, uint32_t drawn, uint32_t least) {
  const double mean = static_cast<double>(marked) * drawn / clients;
  if (least <= mean) return 0;
  if (least > std::min(marked, drawn)) return kImpossible;
  const auto log_choose = [](uint32_t n, uint32_t k) {
    return LogFactorial(n) - LogFactorial(k) - LogFactorial(n - k);
  };
  const double first = log_choose(marked, least) + log_choose(clients - marked, drawn - least) -
                       log_choose(clients, drawn);
  double sum = 1, term = 1;  // relative to the first; they only fall
  for (uint32_t x = least; x < std::min(marked, drawn); ++x) {
    const double others = static_cast<double>(clients) - drawn - marked + x + 1;
    term *= static_cast<double>(drawn - x) * (marked - x) / ((x + 1.0) * others);
    sum += term;
    if (term < sum * std::numeric_limits<double>::epsilon()) break;
  }
  return std::min(0.0, first + std::log(sum));
}

// ln of a bound on P[what is left of the ring is not connected]. To cut the ring, k/2 neighbours in
// a row must be missing in each of two places; there are n (n - k - 1) / 2 pairs of places.
double LogDisconnected(const Population& population, uint32_t neighbours) {
  const uint32_t missing = population.corrupted + population.dropped;
  if (neighbours > missing) return kImpossible;
  const uint32_t n = population.clients;
  const double pairs =
      std::log(static_cast<double>(n)) + std::log(n - neighbours - 1.0) - std::numbers::ln2;
  return pairs + LogFactorial(missing) - LogFactorial(missing - neighbours) +
         LogFactorial(n - neighbours) - LogFactorial(n);
}

// Natural logarithms of bounds over all clients.
struct Bounds {
  double exposed = 0;       // some client's neighbours collude enough to open its secrets
  double disconnected = 0;  // the honest survivors fall apart, and each part's sum shows
  double lost = 0;          // some secret has fewer than t holders left

  GraphPlan Plan(uint32_t neighbours, uint32_t threshold) const {
    const double more = std::max(exposed, disconnected);
    const double insecure =
        more == kImpossible
            ? more
            : more + std::log(std::exp(exposed - more) + std::exp(disconnected - more));
    return {.neighbours = neighbours,
            .threshold = threshold,
            .log2_insecure = insecure / std::numbers::ln2,
            .log2_incorrect = lost / std::numbers::ln2};
  }
};

// ln of a bound on P[some client has `colluders` corrupted neighbours].
double LogColluding(const Population& population, uint32_t neighbours, uint32_t colluders) {
  return std::log(static_cast<double>(population.clients)) +
         LogTail(population.clients, population.corrupted, neighbours, colluders);
}

Bounds Judge(const Population& population, uint32_t neighbours, uint32_t threshold) {
  // A malicious coordinator may tell half of a client's honest neighbours that it dropped out and
  // the others that it did not: it gets t shares of both secrets once 2 t <= k + colluders.
  uint32_t colluders = threshold;
  if (population.mode == Mode::kMalicious) {
    colluders = 2 * threshold > neighbours ? 2 * threshold - neighbours : 0;
  }
  return {.exposed = LogColluding(population, neighbours, colluders),
          .disconnected = LogDisconnected(population, neighbours),
          .lost = std::log(static_cast<double>(population.clients)) +
                  LogTail(population.clients, population.dropped, neighbours,
                          neighbours - threshold + 1)};
}

bool IsSafe(const Population& population, const Bounds& bounds) {
  return bounds.exposed < population.security_limit() &&
         bounds.disconnected < population.security_limit() &&
         bounds.lost < population.correctness_limit();
}

// The smallest k up to `most`, then the smallest t.
std::optional<GraphPlan> Find(const Population& population, uint32_t most) {
  if (population.corrupted + population.dropped >= population.clients) return std::nullopt;
  uint32_t colluders = 0;  // too many to be likely; never falls as k grows
  for (uint32_t k = 2; k + 1 < population.clients && k <= most; k += 2) {
    while (LogColluding(population, k, colluders) >= population.security_limit()) ++colluders;
    const uint32_t least =
        population.mode == Mode::kMalicious ? (k + colluders + 1) / 2 : colluders;
    const uint32_t threshold = std::max(kMinThreshold, least);
    if (threshold > k) continue;
    const Bounds bounds = Judge(population, k, threshold);
    if (IsSafe(population, bounds)) return bounds.Plan(k, threshold);
  }
  return std::nullopt;
}

// The complete graph: every client is a neighbour, so counts decide, not chance.
uint32_t CompleteThreshold(const Population& population) {
  const uint32_t k = population.clients - 1;
  const uint32_t two_thirds = 2 * k / 3 + 1;
  const uint32_t hidden = population.mode == Mode::kMalicious ? (k + population.corrupted) / 2 + 1
                                                              : population.corrupted + 1;
  return std::max(two_thirds, hidden);
}
bool CompleteWorks(const Population& population) {
  return population.clients >= kMinClients &&
         CompleteThreshold(population) + population.dropped < population.clients &&
         population.clients - 1 <= limits::kMaxSecAggNeighbours;
}

std::optional<GraphPlan> PlanFor(const Population& population) {
  if (population.clients >= kCompleteGraphBelow) {
    if (auto plan = Find(population, limits::kMaxSecAggNeighbours)) return plan;
  }
  if (!CompleteWorks(population)) return std::nullopt;
  return GraphPlan{.neighbours = population.clients - 1,
                   .threshold = CompleteThreshold(population),
                   .log2_insecure = kImpossible,
                   .log2_incorrect = kImpossible};
}

std::string Describe(const Population& population) {
  return StrCat(population.clients, " clients, of which ", population.corrupted,
                " may collude with the coordinator and ", population.dropped, " may drop out, in ",
                population.mode == Mode::kMalicious ? "malicious" : "semi-honest", " mode");
}

// Enough honest clients must be left for a threshold to stand between them and the others.
bool CanEverWork(const Assumptions& assumptions) {
  const double drop =
      assumptions.mode == Mode::kMalicious ? 2 * assumptions.drop : assumptions.drop;
  return assumptions.corrupt + drop < 1;
}

std::string WhatWouldDo(Assumptions assumptions) {
  const uint32_t given = assumptions.clients;
  const uint32_t most = CanEverWork(assumptions) ? kMostSuggested : kCompleteGraphBelow;
  while (++assumptions.clients <= most) {
    if (PlanFor(Enforced(assumptions))) {
      return StrCat("; ", assumptions.clients, " clients would do");
    }
  }
  if (given >= kMostSuggested) return "; lower drop or corrupt";
  return StrCat("; no number of clients up to ", kMostSuggested,
                " would do: lower drop or corrupt");
}

// Why PlanFor finds nothing.
std::string WhyNot(const Population& population) {
  const uint32_t n = population.clients;
  if (n < kMinClients) return StrCat("at least ", kMinClients, " clients are needed");
  if (n >= kCompleteGraphBelow) {
    return StrCat("neither a sparse graph nor a complete one is, with up to ",
                  limits::kMaxSecAggNeighbours, " neighbours");
  }
  return StrCat("a threshold of ", CompleteThreshold(population),
                " is needed against those who collude, and ",
                n - 1 - std::min(n - 1, population.dropped), " holders of each secret may be left");
}

absl::Status Unsafe(const Population& population, uint32_t neighbours, uint32_t threshold,
                    const std::string& reason) {
  return absl::FailedPreconditionError(StrCat(neighbours, " neighbours and a threshold of ",
                                              threshold, " are not safe for ", Describe(population),
                                              ": ", reason));
}

absl::Status CheckComplete(const Population& population, uint32_t threshold) {
  const uint32_t k = population.clients - 1;
  const auto refuse = [&](const std::string& reason) {
    return Unsafe(population, k, threshold, reason);
  };
  if (threshold < CompleteThreshold(population)) {
    return refuse(StrCat("the threshold must be at least ", CompleteThreshold(population)));
  }
  if (threshold > k || k - threshold < population.dropped) {
    return refuse(
        StrCat("only ", k - std::min(k, population.dropped), " holders of each secret are left"));
  }
  return absl::OkStatus();
}

absl::Status CheckSparse(const Population& population, uint32_t neighbours, uint32_t threshold) {
  const Bounds bounds = Judge(population, neighbours, threshold);
  const auto above = [](double bound, double limit) { return bound >= limit + kSlack; };
  const auto power = [](double nats) {
    return StrCat("2^", std::round(10 * nats / std::numbers::ln2) / 10);
  };
  const auto refuse = [&](const char* event, double bound, double limit) {
    return Unsafe(population, neighbours, threshold,
                  StrCat("the chance that ", event, " is bounded by ", power(bound),
                         " only; it must be below ", power(limit)));
  };
  const double security = population.security_limit();
  const double correctness = population.correctness_limit();
  if (above(bounds.exposed, security)) {
    return refuse("colluding neighbours open a client's secrets", bounds.exposed, security);
  }
  if (above(bounds.disconnected, security)) {
    return refuse("the honest clients fall apart into groups", bounds.disconnected, security);
  }
  if (above(bounds.lost, correctness)) {
    return refuse("a secret has too few holders left", bounds.lost, correctness);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<GraphPlan> FindGraph(const Assumptions& assumptions) {
  MUSTER_RETURN_IF_ERROR(CheckAssumptions(assumptions));
  const Population population = Published(assumptions);
  if (const auto plan = Find(population, population.clients)) return *plan;
  return absl::FailedPreconditionError(
      StrCat("no sparse graph is safe for ", Describe(population)));
}

absl::StatusOr<GraphPlan> PlanGraph(const Assumptions& assumptions) {
  MUSTER_RETURN_IF_ERROR(CheckAssumptions(assumptions));
  const Population population = Enforced(assumptions);
  if (const auto plan = PlanFor(population)) return *plan;
  return absl::FailedPreconditionError(StrCat("secure aggregation is not safe with ",
                                              Describe(population), ": ", WhyNot(population),
                                              WhatWouldDo(assumptions)));
}

Assumptions AssumptionsOf(const Params& params, uint32_t clients) {
  Assumptions assumptions{
      .clients = clients, .drop = params.drop, .corrupt = params.corrupt, .mode = params.mode};
  if (params.mode == Mode::kMalicious) assumptions.sigma = kMaliciousSigma;
  return assumptions;
}

absl::Status CheckGraphPlan(const Assumptions& assumptions, uint32_t neighbours,
                            uint32_t threshold) {
  MUSTER_RETURN_IF_ERROR(CheckAssumptions(assumptions));
  const Population population = Enforced(assumptions);
  const uint32_t n = population.clients;
  if (n < kMinClients) {
    return absl::FailedPreconditionError(
        StrCat("secure aggregation needs at least ", kMinClients, " clients, not ", n));
  }
  const bool complete = neighbours + 1 == n;
  if (neighbours < 2 || neighbours >= n || (!complete && neighbours % 2 != 0) ||
      threshold < kMinThreshold || threshold > neighbours) {
    return absl::InvalidArgumentError(StrCat("there is no graph of ", n, " clients with ",
                                             neighbours, " neighbours and a threshold of ",
                                             threshold));
  }
  if (complete) return CheckComplete(population, threshold);
  if (n < kCompleteGraphBelow) {
    return Unsafe(population, neighbours, threshold,
                  StrCat("below ", kCompleteGraphBelow, " clients everyone must be a neighbour"));
  }
  if (population.corrupted + population.dropped >= n) {
    return Unsafe(population, neighbours, threshold, "no honest client is left");
  }
  return CheckSparse(population, neighbours, threshold);
}

}  // namespace muster::secagg
