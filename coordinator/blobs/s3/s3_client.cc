#include "coordinator/blobs/s3/s3_client.h"

#include <curl/curl.h>

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "coordinator/blobs/s3/s3_error.h"
#include "coordinator/blobs/s3/s3_limits.h"
#include "proto/core/log.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

constexpr char kListPage[] = "1000";

// N of "bytes 0-9/N"; false if there is none.
bool TotalOf(const std::string& content_range, uint64_t* total) {
  const size_t slash = content_range.rfind('/');
  return slash != std::string::npos && absl::SimpleAtoi(content_range.substr(slash + 1), total);
}

bool StartsAt(const std::string& content_range, uint64_t offset) {
  return content_range.starts_with(StrCat("bytes ", offset, "-"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<S3Client>> S3Client::Create(S3Options options) {
  MUSTER_RETURN_IF_ERROR(CheckS3Options(options));
  std::unique_ptr<S3Client> client(new S3Client(std::move(options)));
  MUSTER_ASSIGN_OR_RETURN(client->http_, S3Http::Create(client->options_));
  return client;
}

std::string S3Client::Key(std::string_view relative) const {
  const std::string& prefix = options_.location.prefix;
  return StrCat(prefix, prefix.empty() ? "" : "/", relative);
}

// Anywhere between nothing and twice the last bound, so that many who failed together do not come
// back together.
void S3Client::Pause(uint32_t attempt) {
  const Duration bound = std::min<Duration>(
      limits::kS3LongestPause, limits::kS3FirstPause * (1u << std::min<uint32_t>(attempt, 16)));
  options_.pause(Duration(random_.Below(static_cast<uint64_t>(bound.count()) + 1)));
}

S3Answer S3Client::Once(const S3Call& call) {
  S3Answer answer = http_->Perform(call);
  if (const time_t date = curl_getdate(answer.date.c_str(), nullptr); date > 0) {
    server_time_us_ = static_cast<int64_t>(date) * 1'000'000;
  }
  return answer;
}

absl::StatusOr<S3Answer> S3Client::Do(const S3Call& call) {
  for (uint32_t attempt = 1;; ++attempt) {
    S3Answer answer = Once(call);
    if (answer.good()) return answer;
    absl::Status status = S3Status(answer, http_->Describe(call), options_);
    if (!absl::IsUnavailable(status) || attempt >= options_.attempts) return status;
    LogDebug("an S3 request is tried again",
             {{"attempt", attempt}, {"error", StdView(status.message())}});
    Pause(attempt);
  }
}

absl::Status S3Client::CheckBucket() {
  return Do({.query = {{"list-type", "2"}, {"max-keys", "1"}, {"prefix", Key("")}}}).status();
}

absl::StatusOr<uint64_t> S3Client::Size(const std::string& key) {
  const S3Call call{.method = S3Method::kHead, .key = key};
  MUSTER_ASSIGN_OR_RETURN(const S3Answer answer, Do(call));
  uint64_t size = 0;
  if (!absl::SimpleAtoi(answer.content_length, &size)) {
    return absl::DataLossError(StrCat(http_->Describe(call), " answered without a size"));
  }
  return size;
}

absl::StatusOr<bool> S3Client::Has(const std::string& key) {
  const absl::Status status = Size(key).status();
  if (absl::IsNotFound(status)) return false;
  MUSTER_RETURN_IF_ERROR(status);
  return true;
}

absl::StatusOr<std::string> S3Client::Put(const std::string& key, std::string_view bytes) {
  MUSTER_ASSIGN_OR_RETURN(const S3Answer answer,
                          Do({.method = S3Method::kPut, .key = key, .body = bytes}));
  return answer.etag;
}

absl::StatusOr<S3Slice> S3Client::Get(const std::string& key, uint64_t offset,
                                      std::span<char> out) {
  S3Slice slice;
  for (uint32_t attempt = 1;; ++attempt) {
    const uint64_t at = offset + slice.received;
    const S3Call call{.key = key,
                      .headers = {StrCat("Range: bytes=", at, "-", offset + out.size() - 1)},
                      .into = out.subspan(slice.received)};
    const S3Answer answer = Once(call);
    if (answer.status == 416) {  // nothing there: the end, or an empty object
      if (!TotalOf(answer.content_range, &slice.total)) {
        MUSTER_ASSIGN_OR_RETURN(slice.total, Size(key));
      }
      return slice;
    }
    const bool ranged = answer.status == 206 && StartsAt(answer.content_range, at) &&
                        TotalOf(answer.content_range, &slice.total);
    const bool whole =
        answer.status == 200 && at == 0 && absl::SimpleAtoi(answer.content_length, &slice.total);
    if (ranged || whole) {
      slice.received += answer.received;
      const uint64_t end = std::min<uint64_t>(offset + out.size(), slice.total);
      if (offset + slice.received >= end) return slice;
      if (answer.received > 0) attempt = 0;  // it moves
    } else if (answer.good()) {
      return absl::FailedPreconditionError(
          StrCat(http_->Describe(call), " did not answer with the range that was asked for; ",
                 options_.endpoint, " must serve ranges"));
    }
    absl::Status status = answer.good()
                              ? absl::UnavailableError(StrCat(http_->Describe(call), " broke off"))
                              : S3Status(answer, http_->Describe(call), options_);
    if (answer.status / 100 == 2) status = absl::UnavailableError(status.message());
    if (!absl::IsUnavailable(status) || attempt >= options_.attempts) return status;
    Pause(attempt);
  }
}

absl::Status S3Client::Delete(const std::string& key) {
  const absl::Status status = Do({.method = S3Method::kDelete, .key = key}).status();
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

absl::Status S3Client::DeleteOnce(const std::string& key, bool* over) {
  const S3Call call{.method = S3Method::kDelete, .key = key};
  const S3Answer answer = Once(call);
  *over = answer.transport.ok() && answer.status != 0;
  if (answer.good() || answer.status == 404) return absl::OkStatus();
  return S3Status(answer, http_->Describe(call), options_);
}

absl::Status S3Client::List(const std::string& prefix, const OnListed& on_listed) {
  std::string next;
  do {
    S3Call call{.query = {{"list-type", "2"}, {"max-keys", kListPage}, {"prefix", prefix}}};
    if (!next.empty()) call.query.emplace("continuation-token", next);
    MUSTER_ASSIGN_OR_RETURN(const S3Answer answer, Do(call));
    MUSTER_ASSIGN_OR_RETURN(const S3Listing listing, ParseS3Listing(answer.body));
    for (const S3Listed& object : listing.objects) {
      if (object.key.starts_with(prefix)) MUSTER_RETURN_IF_ERROR(on_listed(object));
    }
    next = listing.next;
  } while (!next.empty());
  return absl::OkStatus();
}

absl::StatusOr<std::string> S3Client::BeginUpload(const std::string& key) {
  MUSTER_ASSIGN_OR_RETURN(const S3Answer answer,
                          Do({.method = S3Method::kPost, .key = key, .query = {{"uploads", ""}}}));
  return ParseS3UploadId(answer.body);
}

absl::StatusOr<std::string> S3Client::PutPart(const std::string& key, const std::string& upload_id,
                                              size_t number, std::string_view bytes) {
  MUSTER_ASSIGN_OR_RETURN(const S3Answer answer,
                          Do({.method = S3Method::kPut,
                              .key = key,
                              .query = {{"partNumber", StrCat(number)}, {"uploadId", upload_id}},
                              .body = bytes}));
  return answer.etag;
}

absl::StatusOr<std::string> S3Client::ResultOf(const S3Call& call) {
  for (uint32_t attempt = 1;; ++attempt) {
    MUSTER_ASSIGN_OR_RETURN(S3Answer answer, Do(call));
    absl::StatusOr<std::string> etag = ParseS3ResultEtag(answer.body);
    if (!absl::IsNotFound(etag.status())) return etag;
    absl::Status status = S3Status(answer, http_->Describe(call), options_);
    const bool again =
        absl::IsUnavailable(status) || ParseS3Error(answer.body).code == "InternalError";
    if (!again || attempt >= options_.attempts) return status;
    Pause(attempt);
  }
}

absl::Status S3Client::CompleteUpload(const std::string& key, const std::string& upload_id,
                                      const std::vector<std::string>& etags) {
  const std::string parts = WriteS3Parts(etags);
  const absl::Status status = ResultOf({.method = S3Method::kPost,
                                        .key = key,
                                        .query = {{"uploadId", upload_id}},
                                        .body = parts})
                                  .status();
  if (!absl::IsNotFound(status)) return status;
  // An earlier attempt may have succeeded though its answer was lost: a key only ever gets the
  // bytes that it names.
  MUSTER_ASSIGN_OR_RETURN(const bool there, Has(key));
  return there ? absl::OkStatus() : status;
}

absl::Status S3Client::AbortUpload(const std::string& key, const std::string& upload_id) {
  const absl::Status status =
      Do({.method = S3Method::kDelete, .key = key, .query = {{"uploadId", upload_id}}}).status();
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

absl::StatusOr<std::vector<S3OpenUpload>> S3Client::ListUploads(const std::string& prefix) {
  std::vector<S3OpenUpload> uploads;
  std::string next_key, next_id;
  do {
    S3Call call{.query = {{"max-uploads", kListPage}, {"prefix", prefix}, {"uploads", ""}}};
    if (!next_key.empty()) call.query.emplace("key-marker", next_key);
    if (!next_id.empty()) call.query.emplace("upload-id-marker", next_id);
    MUSTER_ASSIGN_OR_RETURN(const S3Answer answer, Do(call));
    MUSTER_ASSIGN_OR_RETURN(S3OpenUploads page, ParseS3OpenUploads(answer.body));
    for (S3OpenUpload& upload : page.uploads) {
      if (upload.key.starts_with(prefix)) uploads.push_back(std::move(upload));
    }
    next_key = page.next_key;
    next_id = page.next_upload_id;
  } while (!next_key.empty());
  return uploads;
}

std::string S3Client::CopySource(const std::string& key) const {
  return StrCat("x-amz-copy-source: /", options_.location.bucket, "/", key);
}

absl::Status S3Client::CopyParts(const std::vector<S3Source>& sources, const std::string& key,
                                 const std::string& upload_id) {
  std::vector<std::string> etags;
  for (const S3Source& source : sources) {
    MUSTER_ASSIGN_OR_RETURN(
        std::string etag,
        ResultOf({.method = S3Method::kPut,
                  .key = key,
                  .query = {{"partNumber", StrCat(etags.size() + 1)}, {"uploadId", upload_id}},
                  .headers = {CopySource(source.key)}}));
    etags.push_back(std::move(etag));
  }
  return CompleteUpload(key, upload_id, etags);
}

absl::Status S3Client::Compose(const std::vector<S3Source>& sources, const std::string& key) {
  if (sources.empty()) return Put(key, "").status();
  if (sources.size() == 1) {
    return ResultOf({.method = S3Method::kPut, .key = key, .headers = {CopySource(sources[0].key)}})
        .status();
  }
  MUSTER_ASSIGN_OR_RETURN(const std::string upload_id, BeginUpload(key));
  absl::Status status = CopyParts(sources, key, upload_id);
  if (!status.ok()) AbortUpload(key, upload_id).IgnoreError();
  return status;
}

}  // namespace muster
