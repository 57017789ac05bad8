#include "coordinator/drive/jobs.h"

#include <bit>
#include <cmath>
#include <span>

#include "coordinator/drive/audit.h"
#include "coordinator/drive/budget.h"
#include "coordinator/drive/secagg_session.h"
#include "coordinator/drive/transitions.h"
#include "models/package/manifest.h"
#include "proto/core/limits.h"
#include "proto/core/retry_after.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

constexpr size_t kJobSuffixBytes = 4;

// Makes sure that the blob is stored: already, or from what the submitter staged.
absl::Status Settle(DriveContext& context, const std::string& owner, const Digest& digest,
                    std::string_view what) {
  // Touched, so that garbage collection leaves it until the job refers to it.
  MUSTER_ASSIGN_OR_RETURN(const bool stored, context.blobs.Touch(digest));
  if (stored) return absl::OkStatus();
  absl::Status moved = context.staging.Promote(owner, digest, context.blobs);
  if (absl::IsNotFound(moved)) {
    return absl::FailedPreconditionError(
        StrCat("job.", what, ": blob ", digest.hex(),
               " is neither stored nor uploaded; upload it first, then submit again"));
  }
  return moved;
}

absl::Status CheckWeights(const BlobStore& blobs, const JobSpec& spec) {
  MUSTER_ASSIGN_OR_RETURN(auto reader, blobs.Open(spec.initial_weights));
  const uint64_t expected = spec.layout.total_size() * sizeof(float);
  if (reader->size() != expected) {
    return absl::InvalidArgumentError(StrCat("job.initial_weights: the blob has ", reader->size(),
                                             " bytes, the layout has ", spec.layout.total_size(),
                                             " parameters, which is ", expected, " bytes"));
  }
  std::vector<float> chunk(limits::kChunkBytes / sizeof(float));
  for (uint64_t offset = 0; offset < expected;) {
    MUSTER_ASSIGN_OR_RETURN(
        const size_t bytes,
        reader->ReadAt(offset, {reinterpret_cast<char*>(chunk.data()), limits::kChunkBytes}));
    if (bytes == 0) return absl::DataLossError("job.initial_weights: the blob ends early");
    for (size_t i = 0; i < bytes / sizeof(float); ++i) {
      if (!std::isfinite(chunk[i])) {
        return absl::InvalidArgumentError(StrCat("job.initial_weights: parameter ",
                                                 offset / sizeof(float) + i,
                                                 " is not a finite number"));
      }
    }
    offset += bytes;
  }
  return absl::OkStatus();
}

absl::Status CheckCohort(const JobSpec& spec, const DriveOptions& options) {
  if (spec.round.clients <= options.max_cohort) return absl::OkStatus();
  return absl::InvalidArgumentError(
      StrCat("job.round.clients: ", spec.round.clients, " is above this coordinator's limit of ",
             options.max_cohort, " (--max-cohort); ask for fewer, or have its operator raise it"));
}

absl::Status CheckRoom(const StoreReader& reader, const DriveOptions& options) {
  MUSTER_ASSIGN_OR_RETURN(const auto rounds, reader.ListOpenRounds());
  if (rounds.size() < options.max_open_rounds) return absl::OkStatus();
  return BusyError(StrCat(rounds.size(),
                          " rounds are open, which is this coordinator's limit"
                          " (--max-open-rounds): wait for a job's end, or cancel one"),
                   limits::kJobRetry);
}

absl::StatusOr<std::vector<std::string>> NoticesFor(const StoreReader& reader, const JobSpec& spec,
                                                    Timestamp now, Duration presence) {
  size_t matching = 0, present = 0, evaluators = 0;
  Page page{.limit = limits::kMaxPageSize};
  while (true) {
    MUSTER_ASSIGN_OR_RETURN(auto devices, reader.ListDevices(page));
    for (const DeviceRecord& device : devices) {
      page.after = device.id.value();
      const bool seen = device.last_seen + presence >= now;
      if (Participates(spec, device)) {
        ++matching;
        present += seen;
      }
      evaluators += !device.revoked && spec.evaluation.evaluator.Matches(device.labels);
    }
    if (devices.size() < page.limit) break;
  }
  std::vector<std::string> notices;
  if (!spec.aggregation.secure()) {
    notices.push_back("aggregation is in the clear: the coordinator sees every device's update");
  }
  if (present < spec.round.clients) {
    notices.push_back(StrCat("a round closes with ", spec.round.clients, " updates, but ", present,
                             " of ", matching, " matching devices are here now"));
  }
  if (spec.evaluation.enabled && evaluators == 0) {
    notices.push_back(StrCat("no device matches evaluation.evaluator '",
                             spec.evaluation.evaluator.ToString(), "'"));
  }
  return notices;
}

}  // namespace

Manifest ManifestFor(const JobSpec& spec, uint32_t version, Lineage lineage) {
  return {.name = spec.name,
          .version = version,
          .security_version = 1,
          .architecture = spec.architecture,
          .layout = spec.layout,
          .train = spec.train,
          .evaluate = spec.evaluate,
          .personalize = spec.personalize,
          .total_rounds = spec.rounds,
          .lineage = std::move(lineage)};
}

absl::StatusOr<StoredPackage> StorePackage(DriveContext& context, const Manifest& manifest,
                                           const Digest& weights, uint64_t weights_bytes,
                                           const Digest& module) {
  MUSTER_ASSIGN_OR_RETURN(const std::string json, ManifestToJson(manifest));
  MUSTER_ASSIGN_OR_RETURN(const Digest manifest_digest, PutBlob(context.blobs, json));
  Package package{.name = ModelVersion{manifest.name, manifest.version}.ToString()};
  package.resources.push_back({kManifestResource, manifest_digest, json.size()});
  if (!module.empty()) {
    MUSTER_ASSIGN_OR_RETURN(auto reader, context.blobs.Open(module));
    package.resources.push_back({kModuleResource, module, reader->size()});
  }
  package.resources.push_back({kWeightsResource, weights, weights_bytes});
  MUSTER_ASSIGN_OR_RETURN(const std::string envelope, context.signer.Sign(package));
  MUSTER_ASSIGN_OR_RETURN(const Digest digest, PutBlob(context.blobs, envelope));
  return StoredPackage{digest, manifest_digest};
}

absl::StatusOr<SubmittedJob> SubmitJob(DriveContext& context, const JobSpec& spec,
                                       const std::string& submitted_by, const std::string& owner,
                                       const std::string& idempotency_key) {
  MUSTER_RETURN_IF_ERROR(ValidateJobSpec(spec));
  MUSTER_RETURN_IF_ERROR(CheckSecureJob(spec));
  MUSTER_RETURN_IF_ERROR(CheckBudget(spec));
  MUSTER_RETURN_IF_ERROR(CheckCohort(spec, context.options));
  SubmittedJob submitted;
  if (!idempotency_key.empty()) {
    absl::Status known = context.store.Read([&](const StoreReader& reader) -> absl::Status {
      MUSTER_ASSIGN_OR_RETURN(const JobRecord job, reader.FindJobByKey(idempotency_key));
      submitted.id = job.id;
      return absl::OkStatus();
    });
    if (known.ok()) {
      submitted.already = true;
      return submitted;
    }
    if (!absl::IsNotFound(known)) return known;
  }
  MUSTER_RETURN_IF_ERROR(Settle(context, owner, spec.initial_weights, "initial_weights"));
  if (!spec.module.empty()) {
    MUSTER_RETURN_IF_ERROR(Settle(context, owner, spec.module, "module"));
  }
  MUSTER_RETURN_IF_ERROR(CheckWeights(context.blobs, spec));

  const Timestamp now = context.clock.Now();
  JobRecord job{.id = JobId::Trusted(StrCat("j-", context.random.Hex(kJobSuffixBytes))),
                .spec = spec,
                .state = JobRunning{},
                .submitted = now,
                .submitted_by = submitted_by,
                .idempotency_key = idempotency_key};
  const Lineage lineage{.job = job.id, .aggregation = "none", .created = now};
  MUSTER_ASSIGN_OR_RETURN(const StoredPackage package,
                          StorePackage(context, ManifestFor(spec, 0, lineage), spec.initial_weights,
                                       spec.layout.total_size() * sizeof(float), spec.module));
  job.initial_package = package.package;

  absl::Status stored = Transact(context, [&](StoreTx& tx, AfterCommit& after) -> absl::Status {
    MUSTER_RETURN_IF_ERROR(CheckRoom(tx, context.options));
    MUSTER_RETURN_IF_ERROR(tx.PutJob(job));
    MUSTER_RETURN_IF_ERROR(
        Audit(tx, context,
              {.actor = submitted_by,
               .action = audit::kJobSubmit,
               .subject = StrCat("job/", job.id.value()),
               .detail = StrCat("model=", spec.name.value(), " rounds=", spec.rounds,
                                " aggregation=", DescribeAggregation(spec))}));
    JobRecord written = job;
    ++written.row_version;
    MUSTER_ASSIGN_OR_RETURN(submitted.notices, NoticesFor(tx, spec, now, context.options.presence));
    return OpenRoundInStore(tx, after, written, {1, 1, 0}, now, context.options);
  });
  if (absl::IsAlreadyExists(stored) && !idempotency_key.empty()) {
    // The same submission came twice at once, and the other one won.
    return SubmitJob(context, spec, submitted_by, owner, idempotency_key);
  }
  MUSTER_RETURN_IF_ERROR(stored);
  submitted.id = job.id;
  return submitted;
}

absl::StatusOr<JobRecord> CancelJob(DriveContext& context, const JobId& id, const std::string& by) {
  JobRecord job;
  MUSTER_RETURN_IF_ERROR(Transact(context, [&](StoreTx& tx, AfterCommit& after) -> absl::Status {
    MUSTER_ASSIGN_OR_RETURN(auto ignored, ApplyToJob(tx, after, id, CancelRequested{by},
                                                     context.clock.Now(), context.options));
    if (ignored) {
      return absl::FailedPreconditionError(
          StrCat("job ", id.value(), " cannot be cancelled: ", ignored->why));
    }
    MUSTER_ASSIGN_OR_RETURN(job, tx.FindJob(id));
    return Audit(tx, context,
                 {.actor = by, .action = audit::kJobCancel, .subject = StrCat("job/", id.value())});
  }));
  return job;
}

}  // namespace muster
