#include "coordinator/upkeep/references.h"

#include "proto/core/limits.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

absl::Status AddModels(const StoreReader& reader, const std::set<ModelVersion>& gone,
                       const std::set<ModelVersion>& stateless, std::set<Digest>& found) {
  return ForEachModel(reader, [&](const ModelRecord& model) {
    if (gone.contains(model.id)) return absl::OkStatus();
    found.insert({model.package, model.weights, model.module, model.manifest});
    if (!stateless.contains(model.id)) found.insert(model.optimizer_state);
    return absl::OkStatus();
  });
}

absl::Status AddOpenRounds(const StoreReader& reader, std::set<Digest>& found) {
  MUSTER_ASSIGN_OR_RETURN(const auto rounds, reader.ListOpenRounds());
  for (const RoundRecord& round : rounds) {
    found.insert({round.base_package, round.base_weights, round.optimizer_state});
    MUSTER_ASSIGN_OR_RETURN(const auto parts, reader.ListPartialSums(round.id));
    for (const PartialSumRecord& part : parts) found.insert(part.blob);
  }
  return absl::OkStatus();
}

absl::Status AddPromotions(const StoreReader& reader, std::set<Digest>& found) {
  MUSTER_ASSIGN_OR_RETURN(const auto promotions, reader.ListPromotions(""));
  for (const PromotionRecord& promotion : promotions) {
    if (promotion.phase != PromotionPhase::kRolledBack) found.insert(promotion.package);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ForEachJob(const StoreReader& reader,
                        const std::function<absl::Status(const JobRecord&)>& visit) {
  Page page{.limit = limits::kMaxPageSize};
  while (true) {
    MUSTER_ASSIGN_OR_RETURN(const auto jobs, reader.ListJobs(page));
    for (const JobRecord& job : jobs) MUSTER_RETURN_IF_ERROR(visit(job));
    if (jobs.size() < page.limit) return absl::OkStatus();
    page.after = jobs.back().id.value();
  }
}

absl::Status ForEachModel(const StoreReader& reader,
                          const std::function<absl::Status(const ModelRecord&)>& visit) {
  Page page{.limit = limits::kMaxPageSize};
  while (true) {
    MUSTER_ASSIGN_OR_RETURN(const auto models, reader.ListModels("", page));
    for (const ModelRecord& model : models) MUSTER_RETURN_IF_ERROR(visit(model));
    if (models.size() < page.limit) return absl::OkStatus();
    page.after = models.back().id.ToString();
  }
}

absl::StatusOr<std::vector<Digest>> ReferenceFinder::NamedBy(const Digest& digest) {
  if (const auto known = named_.find(digest); known != named_.end()) return known->second;
  const auto fail = [&](const absl::Status& why) {
    return absl::DataLossError(
        StrCat("package ", digest.hex(),
               " is in use and cannot be opened, so nothing is removed: ", StdView(why.message())));
  };
  const auto bytes = GetBlob(blobs_, digest, kMaxPackageBytes);
  if (!bytes.ok()) return fail(bytes.status());
  const auto package = verifier_.Verify(*bytes);
  if (!package.ok()) return fail(package.status());
  std::vector<Digest> named;
  for (const Resource& resource : package->resources) named.push_back(resource.digest);
  return named_[digest] = named;
}

absl::StatusOr<std::set<Digest>> ReferenceFinder::Find(const StoreReader& reader,
                                                       const std::set<ModelVersion>& gone,
                                                       const std::set<ModelVersion>& stateless) {
  std::set<Digest> found;
  MUSTER_RETURN_IF_ERROR(AddModels(reader, gone, stateless, found));
  MUSTER_RETURN_IF_ERROR(AddOpenRounds(reader, found));
  MUSTER_RETURN_IF_ERROR(AddPromotions(reader, found));
  // Jobs that are not over: their next round may start from what they were submitted with.
  MUSTER_RETURN_IF_ERROR(ForEachJob(reader, [&](const JobRecord& job) -> absl::Status {
    if (IsTerminal(job.state)) return absl::OkStatus();
    found.insert(job.spec.initial_weights);
    found.insert(job.spec.module);
    found.insert(job.initial_package);
    MUSTER_ASSIGN_OR_RETURN(const auto named, NamedBy(job.initial_package));
    found.insert(named.begin(), named.end());
    return absl::OkStatus();
  }));
  found.erase(Digest());
  return found;
}

}  // namespace muster
