#include "coordinator/cli/progress.h"

#include <algorithm>
#include <string_view>

#include "coordinator/cli/duration.h"
#include "coordinator/cli/text.h"
#include "proto/core/strings.h"

namespace muster::cli {
namespace {

constexpr uint32_t kBarWidth = 20;

const double* Find(const google::protobuf::Map<std::string, double>& metrics,
                   const std::string& name) {
  const auto found = metrics.find(name);
  return found == metrics.end() ? nullptr : &found->second;
}

// "train loss 0.513, accuracy 81.2%", as far as the metrics say so.
std::string Quality(std::string_view who, const double* loss, const double* accuracy) {
  if (loss == nullptr && accuracy == nullptr) return "";
  std::string text = StrCat("  ", who);
  if (loss != nullptr) StrAppend(&text, " loss ", FormatNumber(*loss));
  if (accuracy != nullptr) {
    StrAppend(&text, loss != nullptr ? ", " : " ", "accuracy ", FormatPercent(*accuracy));
  }
  return text;
}

bool IsOver(const v1::RoundSummary& round) {
  return round.phase() == v1::ROUND_PHASE_COMMITTED || round.phase() == v1::ROUND_PHASE_ABANDONED;
}

bool AwaitsEvaluation(const v1::GetJobResponse& view, const v1::RoundSummary& round) {
  const v1::EvaluationConfig& evaluation = view.spec().evaluation();
  if (!evaluation.enabled() || round.phase() != v1::ROUND_PHASE_COMMITTED) return false;
  const bool due = round.number() == view.job().rounds_total() ||
                   (evaluation.every() > 0 && round.number() % evaluation.every() == 0);
  return due && round.evaluation().empty();
}

// What an exchange of secure aggregation is about; empty for other phases.
std::string_view ExchangeOf(const v1::RoundSummary& round) {
  switch (round.phase()) {
    case v1::ROUND_PHASE_SHARING:
      return "sharing keys";
    case v1::ROUND_PHASE_MASKING:
      return "sending masked updates";
    case v1::ROUND_PHASE_AGREEING:
      return "agreeing on the survivors";
    case v1::ROUND_PHASE_UNMASKING:
      return "unmasking";
    default:
      return "";
  }
}

std::string Bar(uint32_t done, uint32_t goal) {
  const uint32_t filled = static_cast<uint32_t>(
      std::min<uint64_t>(kBarWidth, uint64_t{done} * kBarWidth / std::max(1u, goal)));
  return StrCat("[", std::string(filled, '#'), std::string(kBarWidth - filled, '.'), "]");
}

}  // namespace

bool HasEnded(const v1::Job& job) {
  return job.phase() != v1::JOB_PHASE_RUNNING && job.phase() != v1::JOB_PHASE_FINISHING;
}

std::string RoundLine(const v1::RoundSummary& round, uint32_t rounds_total) {
  std::string line = StrCat("round ", round.number(), "/", rounds_total);
  if (round.attempt() > 1) StrAppend(&line, " (attempt ", round.attempt(), ")");
  StrAppend(&line, "  ", round.reported(), " of ", round.invited(), " clients");
  if (round.failed() > 0) StrAppend(&line, ", ", round.failed(), " failed");
  if (round.refused() > 0) StrAppend(&line, ", ", round.refused(), " refused");
  if (round.phase() == v1::ROUND_PHASE_ABANDONED) {
    return StrCat(line, "  abandoned: ", Printable(round.reason()));
  }
  StrAppend(&line, "  ", FormatCount(round.examples()), " examples");
  line += Quality("train", Find(round.metrics(), "train_loss"),
                  Find(round.metrics(), "train_accuracy"));
  line +=
      Quality("evaluation", Find(round.evaluation(), "loss"), Find(round.evaluation(), "accuracy"));
  StrAppend(&line, "  ", FormatBytes(round.bytes_up()), " up, ", FormatBytes(round.bytes_down()),
            " down");
  if (round.closed_unix_us() > round.opened_unix_us()) {
    StrAppend(&line, "  ",
              FormatDuration(Duration(round.closed_unix_us() - round.opened_unix_us())));
  }
  return line;
}

std::string OpenRoundLine(const v1::GetJobResponse& job, Timestamp now) {
  const v1::RoundSummary* open = nullptr;
  for (const v1::RoundSummary& round : job.rounds()) {
    if (!IsOver(round)) open = &round;
  }
  if (open == nullptr) {
    return job.job().phase() == v1::JOB_PHASE_FINISHING ? "the last evaluation is out" : "";
  }
  const std::string head = StrCat("round ", open->number(), "/", job.job().rounds_total(), " ");
  const std::string age =
      FormatDuration(Duration(std::max<int64_t>(0, now.unix_us - open->opened_unix_us())));
  if (const std::string_view exchange = ExchangeOf(*open); !exchange.empty()) {
    return StrCat(head, Bar(open->answered(), open->reported()), " ", open->answered(), " of ",
                  open->reported(), " clients, ", exchange, "  ", age);
  }
  const bool adding = open->phase() == v1::ROUND_PHASE_AGGREGATING;
  return StrCat(head, Bar(open->reported(), job.spec().round().clients()), " ", open->reported(),
                " of ", open->invited(), " clients", adding ? ", aggregating" : "", "  ", age);
}

std::string EndLine(const v1::Job& job) {
  const std::string phase = ShortName(*v1::JobPhase_descriptor(), job.phase());
  const std::string reason = Printable(job.reason());
  // "cancelled by ada" says the phase already.
  std::string line = StrCat(job.id(), " ", reason.starts_with(phase) ? "" : phase,
                            reason.empty() || reason.starts_with(phase) ? "" : ": ", reason);
  StrAppend(&line, "; ", job.rounds_committed(), " of ", job.rounds_total(), " rounds in ",
            FormatDuration(
                Duration(std::max<int64_t>(0, job.finished_unix_us() - job.submitted_unix_us()))));
  if (job.latest_version() > 0) {
    StrAppend(&line, "; the model is ", job.name(), "@", job.latest_version());
  }
  return line;
}

std::string PrivacyLine(const v1::JobPrivacy& privacy) {
  return StrCat("differential privacy (", ShortName(*v1::PrivacyKind_descriptor(), privacy.kind()),
                "): (epsilon ", FormatNumber(privacy.epsilon()), ", delta ",
                FormatNumber(privacy.delta()), ") so far, budget ",
                FormatNumber(privacy.epsilon_budget()));
}

std::vector<v1::RoundSummary> JobProgress::Update(const v1::GetJobResponse& view) {
  Key last_over{0, 0};
  for (const v1::RoundSummary& round : view.rounds()) {
    if (IsOver(round)) last_over = std::max(last_over, Key{round.number(), round.attempt()});
  }
  std::vector<v1::RoundSummary> news;
  bool all_before_told = true;
  for (const v1::RoundSummary& round : view.rounds()) {
    const Key key{round.number(), round.attempt()};
    const bool waits = AwaitsEvaluation(view, round) && key == last_over && !HasEnded(view.job());
    const bool ready = IsOver(round) && !waits;
    if (ready && told_.insert(key).second) news.push_back(round);
    all_before_told = all_before_told && ready;
    if (all_before_told && round.phase() == v1::ROUND_PHASE_COMMITTED) {
      from_round_ = std::max(from_round_, round.number() + 1);
    }
  }
  return news;
}

}  // namespace muster::cli
