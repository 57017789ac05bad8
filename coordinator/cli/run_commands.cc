// run and jobs watch.
#include <cstdlib>

#include "coordinator/cli/follow.h"
#include "coordinator/cli/inspect.h"
#include "coordinator/cli/job_file.h"
#include "coordinator/cli/job_model.h"
#include "coordinator/cli/text.h"
#include "coordinator/cli/transfer.h"
#include "proto/codec/job_codec.h"
#include "proto/core/ids.h"
#include "proto/core/random.h"
#include "proto/core/strings.h"

namespace muster::cli {
namespace {

constexpr size_t kKeyBytes = 16;  // of a random idempotency key

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

absl::StatusOr<PreparedJob> Prepare(const Context& context) {
  MUSTER_ASSIGN_OR_RETURN(const JobFile file, ReadJobFile(context.arguments.operands[0],
                                                          context.arguments.All("config")));
  return PrepareJob(file,
                    [&](const std::filesystem::path& module,
                        const std::vector<uint32_t>& shape) -> absl::StatusOr<Inspection> {
                      MUSTER_ASSIGN_OR_RETURN(
                          const std::filesystem::path worker,
                          FindWorker(context.arguments.Get("worker"), Variable(kWorkerVariable),
                                     Variable("PATH")));
                      return InspectModule(worker, module, shape);
                    });
}

absl::Status UploadPart(Context& context, Api& api, const std::string& what, const Digest& digest,
                        std::string_view bytes) {
  if (bytes.empty()) return absl::OkStatus();
  Meter meter(context, StrCat("uploading ", what));
  MUSTER_RETURN_IF_ERROR(UploadBytes(api, digest, bytes, std::ref(meter)));
  meter.Finish(bytes.size());
  return absl::OkStatus();
}

absl::StatusOr<v1::SubmitJobResponse> Submit(Api& api, const JobSpec& spec,
                                             const std::string& key) {
  v1::SubmitJobRequest request;
  *request.mutable_spec() = EncodeJobSpec(spec);
  request.set_idempotency_key(key);
  auto response = api.Call(request);
  if (response.ok() || !IsTransient(response.status())) return response;
  return absl::Status(response.status().code(),
                      StrCat(StdView(response.status().message()),
                             "; whether the job was taken is not known: the same command with "
                             "--idempotency-key ",
                             key, " submits it once at most"));
}

absl::StatusOr<ExitCode> Run(Context& context) {
  std::string key = context.arguments.Get("idempotency-key");
  if (context.arguments.Has("idempotency-key")) {
    MUSTER_RETURN_IF_ERROR(ValidateId("--idempotency-key", key));
  } else {
    SystemRandom random;
    key = StrCat("cli-", random.Hex(kKeyBytes));
  }
  MUSTER_ASSIGN_OR_RETURN(const PreparedJob job, Prepare(context));
  MUSTER_ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, Api::Open(context.settings));
  MUSTER_RETURN_IF_ERROR(UploadPart(context, *api, "the module", job.spec.module, job.module));
  MUSTER_RETURN_IF_ERROR(
      UploadPart(context, *api, "the first weights", job.spec.initial_weights, job.weights));
  MUSTER_ASSIGN_OR_RETURN(const v1::SubmitJobResponse submitted, Submit(*api, job.spec, key));
  const bool detach = context.arguments.Has("detach");
  if (context.json()) {
    Json view = ViewOf(submitted);
    if (!detach) view = {{"event", "submitted"}, {"submitted", std::move(view)}};
    PrintJson(context, view);
  } else {
    context.err << "aggregation: " << Printable(submitted.aggregation()) << std::endl;
    for (const std::string& notice : submitted.notices()) {
      context.err << "note: " << Printable(notice) << std::endl;
    }
    (detach ? context.out : context.err) << submitted.job() << std::endl;
  }
  if (!detach) return FollowJob(context, *api, submitted.job());
  if (!context.json()) {
    context.err << "`muster jobs watch " << submitted.job() << "` shows its progress" << std::endl;
  }
  return kExitDone;
}

absl::StatusOr<ExitCode> Watch(Context& context) {
  MUSTER_ASSIGN_OR_RETURN(const JobId job, JobId::Parse(context.arguments.operands[0]));
  MUSTER_ASSIGN_OR_RETURN(const std::unique_ptr<Api> api, Api::Open(context.settings));
  return FollowJob(context, *api, job.value());
}

constexpr char kRunDescription[] =
    R"(Checks the job file, makes the model, uploads it, submits the job, and shows its rounds until it ends. The file is YAML or JSON; coordinator/cli/README.md is its reference. What is wrong in it is told with line and column, all at once.

A zoo model's first weights come from the job's seed. A TorchScript file is checked by muster-worker first: traced and frozen modules are refused with the reason.

It says what the coordinator will see: with secure aggregation, which is on unless the file turns it off, nothing but the sum of a round's updates. `muster secagg plan` tells what that costs.

A coordinator that goes away for less than five minutes does not end the progress, nor the job. Ctrl-C ends the progress only, and says how to go on watching and how to cancel.

With --json: one line {"event": "submitted", "submitted": {"job", "notices", "aggregation"}}, one line {"event": "round", "round"} for each round, and {"event": "job", "job"} at the end. With --detach --json: {"job", "notices", "aggregation"}.)";

constexpr char kWatchDescription[] =
    R"(Shows the rounds of a job, those that are over first, until it ends. Ctrl-C ends the watching, not the job. Exits with 5 if the job failed or was cancelled.)";

}  // namespace

std::vector<Command> RunCommands() {
  return {
      {.words = "run",
       .operands = "JOB.yaml",
       .operands_min = 1,
       .operands_max = 1,
       .summary = "submit a training job and show its progress",
       .description = kRunDescription,
       .options = {{"config", 'c', "KEY=VALUE",
                    "set a key of the job file, such as "
                    "train.learning_rate=0.1; may be repeated"},
                   {"detach", 'd', "", "submit, print the job's id, and do not wait"},
                   {"idempotency-key", 0, "KEY",
                    "the same key submits a job once, however often it is tried"},
                   {"worker", 0, "FILE",
                    "muster-worker, for TorchScript files (default: MUSTER_WORKER, then beside "
                    "this program, then PATH)"}},
       .examples = "muster run scripts/examples/fashion-mnist.yaml\n"
                   "muster run job.yaml -c rounds=5 -c train.learning_rate=0.1\n"
                   "job=$(muster run job.yaml --detach)",
       .run = Run},
      {.words = "jobs watch",
       .operands = "JOB",
       .operands_min = 1,
       .operands_max = 1,
       .summary = "show a job's progress until it ends",
       .description = kWatchDescription,
       .options = {},
       .examples = "muster jobs watch j-4f2a\nmuster jobs watch j-4f2a --json | jq .round.metrics",
       .run = Watch},
  };
}

}  // namespace muster::cli
