#include "tests/sim/scene.h"

#include <algorithm>
#include <cmath>

#include "coordinator/drive/secagg_session.h"
#include "coordinator/drive/vector_blob.h"
#include "models/zoo/zoo.h"
#include "proto/core/strings.h"

namespace muster::sim {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

// Mostly a handful: rare interleavings need many histories more than large fleets.
size_t DrawFleet(Dice& dice) {
  const uint64_t percentile = dice.Below(1000);
  if (percentile < 900) return 5 + dice.Below(8);
  if (percentile < 992) return 13 + dice.Below(28);
  if (percentile < 999) return 41 + dice.Below(80);
  return 121 + dice.Below(380);
}

void MakeSecure(JobSpec& spec, uint64_t devices, Dice& dice) {
  // Keys are agreed on for real, between each client and its neighbours: large rosters are dear.
  constexpr uint64_t kFewest = 5, kMost = 10, kMostAtTimes = 60;
  const uint64_t most = dice.Chance(0.03) ? kMostAtTimes : kMost;
  const uint64_t clients = std::clamp<uint64_t>(devices, kFewest, most);
  spec.round.clients = static_cast<uint32_t>(clients - dice.Below(clients > kFewest ? 2 : 1));
  spec.round.quorum = std::max<uint32_t>(4, spec.round.clients * 6 / 10);
  spec.aggregation.mode =
      dice.Chance(0.3) ? AggregationMode::kMalicious : AggregationMode::kSemiHonest;
  spec.aggregation.drop = dice.OneOf({0.1, 0.3});
  spec.aggregation.clip = 10;
  spec.aggregation.phase_deadline = dice.Between(seconds(10), seconds(40));
  spec.aggregation.ring_bits = dice.OneOf({32, 32, 64});
  if (!CheckSecureJob(spec).ok()) spec.aggregation.drop = 0.1;
  if (!CheckSecureJob(spec).ok()) spec.aggregation.mode = AggregationMode::kClear;
}

}  // namespace

Scene Scene::Draw(uint64_t seed, Dice& dice) {
  constexpr uint64_t kEveryOnSqlite = 25;
  Scene scene{.devices = DrawFleet(dice), .replicas = 1 + dice.Below(3)};
  scene.sqlite = seed % kEveryOnSqlite == 7;
  scene.months = dice.Chance(0.12);
  const double liars = dice.OneOf({0.0, 0.0, 0.1, 0.3});
  for (size_t i = 0; i < scene.devices; ++i) {
    scene.names.push_back(StrCat("dev-", 1000 + i));
    scene.lies.push_back(dice.Chance(liars) ? static_cast<Lie>(1 + dice.Below(7)) : Lie::kNone);
  }
  scene.options.pace_min = dice.Between(seconds(3), seconds(15));
  scene.options.task_lease = dice.Between(seconds(5), seconds(60));
  scene.options.max_staged_batch = dice.OneOf({1, 4, 64});
  scene.options.unmask_threads = 1;
  return scene;
}

JobSpec DrawJob(const Scene& scene, uint64_t seed, Dice& dice, BlobStore& blobs) {
  JobSpec spec;
  spec.name = ModelName::Trusted("m");
  spec.architecture = MakeZooArchitecture("logreg", {.input_shape = {4}, .outputs = 2}).value();
  spec.layout = LayoutOf(spec.architecture).value();
  spec.initial_weights =
      WriteVector(blobs, InitialWeights(spec.architecture, spec.layout, seed).value()).value();
  spec.rounds = 1 + static_cast<uint32_t>(dice.Below(3));
  spec.seed = seed;
  spec.round.clients = 1 + static_cast<uint32_t>(dice.Below(scene.devices));
  spec.round.quorum = 1 + static_cast<uint32_t>(dice.Below(spec.round.clients));
  spec.round.over_selection = dice.OneOf({1.0, 1.0, 1.5});
  spec.round.deadline = dice.Between(seconds(15), seconds(60));
  spec.round.max_attempts = 2 + static_cast<uint32_t>(dice.Below(3));
  spec.aggregation.mode = AggregationMode::kClear;
  spec.server_optimizer = DefaultServerOptimizer(
      dice.OneOf({ServerOptimizerKind::kFedAvg, ServerOptimizerKind::kFedAvgM,
                  ServerOptimizerKind::kFedAdam}));
  spec.evaluation.enabled = dice.Chance(0.2);
  spec.evaluation.deadline = seconds(40);
  if (dice.Chance(0.4)) MakeSecure(spec, scene.devices, dice);
  return spec;
}

Duration LongestEnd(const JobSpec& spec) {
  constexpr int kExchanges = 4;
  const Duration attempt =
      spec.round.deadline + kExchanges * spec.aggregation.phase_deadline + minutes(3);
  return attempt * spec.round.max_attempts * spec.rounds + spec.evaluation.deadline + minutes(30);
}

}  // namespace muster::sim
