#include "tests/sim/planted.h"

#include "aggregation/secagg/transcript.h"
#include "coordinator/store/reads.h"
#include "proto/core/status.h"

namespace muster::sim {
namespace {

// How often each strikes where it could.
constexpr double kEarlyAcks = 0.02;
constexpr uint64_t kDoubleCounts = 4;  // every so many invocations, for good
constexpr double kOtherSurvivors = 0.2;
constexpr double kLostTimers = 0.05;

// What is read, with a lie in it. `Base` is a reader or a transaction.
template <typename Base>
class Planted : public Base {
 public:
  template <typename Rows>
  Planted(Rows& rows, World& world, Plant plant) : Base(rows), world_(world), plant_(plant) {}

  absl::StatusOr<InvocationRecord> FindInvocation(const InvocationId& id) const override {
    auto invocation = Base::FindInvocation(id);
    if (plant_ == Plant::kDoubleCount && invocation.ok() &&
        invocation->function == FunctionKind::kTrain &&
        invocation->status == InvocationStatus::kReported &&
        DeriveSeed(world_.seed(), id.value()) % kDoubleCounts == 0) {
      invocation->status = InvocationStatus::kOpen;
    }
    return invocation;
  }
  absl::StatusOr<SecAggSessionRecord> FindSecAggSession(const RoundId& round) const override {
    auto session = Base::FindSecAggSession(round);
    if (session.ok() && !session->survivors.empty() &&
        Strikes(Plant::kChangedSurvivors, kOtherSurvivors)) {
      uint32_t first = 0;
      while (!secagg::Contains(session->survivors, first)) ++first;
      session->survivors[first / 8] ^= static_cast<char>(1 << first % 8);
    }
    return session;
  }

 protected:
  bool Strikes(Plant plant, double probability) const {
    return plant_ == plant && world_.dice().Chance(probability);
  }

 private:
  World& world_;
  const Plant plant_;
};

class PlantedTx final : public Planted<TxOver<StoreTx>> {
 public:
  using Planted::Planted;
  absl::Status AddTask(const TaskRecord& task) override {
    if (task.kind == TaskKind::kRoundDeadline && Strikes(Plant::kLostTimer, kLostTimers)) {
      return absl::OkStatus();
    }
    return Planted::AddTask(task);
  }
};

using PlantedReader = Planted<ReaderOver<const StoreReader>>;

}  // namespace

absl::Status PlantedStore::Write(const std::function<absl::Status(StoreTx&)>& work) {
  const bool lost = plant_ == Plant::kEarlyAck && world_.dice().Chance(kEarlyAcks);
  const absl::Status status = inner_.Write([&](StoreTx& tx) -> absl::Status {
    PlantedTx planted(tx, world_, plant_);
    MUSTER_RETURN_IF_ERROR(work(planted));
    return lost ? absl::CancelledError("it never comes") : absl::OkStatus();
  });
  return lost && absl::IsCancelled(status) ? absl::OkStatus() : status;
}

absl::Status PlantedStore::Read(const std::function<absl::Status(const StoreReader&)>& work) const {
  return inner_.Read(
      [&](const StoreReader& reader) { return work(PlantedReader(reader, world_, plant_)); });
}

}  // namespace muster::sim
