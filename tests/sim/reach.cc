#include "tests/sim/reach.h"

#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster::sim {

void Reach::Die(std::string_view where) {
  if (dead_) return;
  dead_ = true;
  world_.Say(name_, StrCat("dies ", where));
}

absl::Status Reach::Look() const {
  if (dead_) return absl::UnavailableError("dead");
  if (world_.now() < cut_off_until_) return absl::UnavailableError("the store is away");
  return absl::OkStatus();
}

absl::Status Reach::Persist(std::string_view what, const std::function<absl::Status()>& act,
                            const std::function<absl::Status()>& lose_race) {
  Dice& dice = world_.dice();
  MUSTER_RETURN_IF_ERROR(Look());
  if (inside_ > 0) {
    world_.Fail(StrCat(name_, " makes something durable inside a transaction: ", what));
    return absl::InternalError("inside a transaction");
  }
  if (dice.Chance(faults_.slow)) {
    world_.Pass(dice.Between(Duration(1), faults_.slow_most));
    MUSTER_RETURN_IF_ERROR(Look());
  }
  if (world_.now() < full_until_) return absl::ResourceExhaustedError("no space left on device");
  if (dice.Chance(faults_.crash / 2)) {
    Die(StrCat("before ", what));
    return Look();
  }
  if (dice.Chance(faults_.fail)) {
    world_.Say(name_, StrCat("cannot: ", what));
    return absl::UnavailableError("the store is away");
  }
  if (lose_race && dice.Chance(faults_.conflict)) {
    world_.Say(name_, StrCat("loses a race: ", what));
    return lose_race();
  }
  const absl::Status status = act();
  world_.Say(name_, StrCat(what, " ", absl::StatusCodeToString(status.code())));
  if (dice.Chance(faults_.crash / 2)) {
    Die(StrCat("after ", what));
    return Look();
  }
  if (status.ok() && dice.Chance(faults_.ambiguous)) {
    world_.Say(name_, StrCat("never hears of: ", what));
    return absl::UnknownError("the connection broke while the store committed");
  }
  return status;
}

}  // namespace muster::sim
