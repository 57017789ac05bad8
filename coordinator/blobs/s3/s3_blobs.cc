#include "coordinator/blobs/s3/s3_blobs.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "coordinator/blobs/s3/s3_limits.h"
#include "coordinator/blobs/s3/s3_presign.h"
#include "coordinator/blobs/s3/s3_reader.h"
#include "proto/core/log.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

constexpr char kTemporary[] = "tmp/";
constexpr size_t kNameBytes = 16;
constexpr uint32_t kWriteAttempts = 2;  // the second finds nothing that could be deleted

std::string KeyOf(const S3Client& client, const Digest& digest) {
  const std::string hex = digest.hex();
  return client.Key(StrCat(hex.substr(0, 2), "/", hex));
}

// Writes a blob, perhaps while somebody deletes an old one of the same name.
absl::Status WriteUndeleted(S3Client& client, S3Ages& ages, const Digest& digest,
                            const std::function<absl::Status()>& write) {
  const std::string key = KeyOf(client, digest);
  MUSTER_ASSIGN_OR_RETURN(bool there, client.Has(key));
  for (uint32_t attempt = 0; attempt < kWriteAttempts; ++attempt) {
    MUSTER_RETURN_IF_ERROR(write());
    if (!there) return absl::OkStatus();  // who deletes a blob deletes it once, and has
    MUSTER_ASSIGN_OR_RETURN(there, ages.IsStillThere(digest, key));
    if (there) return absl::OkStatus();
  }
  return absl::UnavailableError(StrCat("blob ", digest.hex(), " is deleted while it is written"));
}

class S3Writer final : public BlobWriter {
 public:
  S3Writer(std::shared_ptr<S3Client> client, std::shared_ptr<S3Ages> ages)
      : client_(std::move(client)),
        ages_(std::move(ages)),
        name_(client_->Key(StrCat(kTemporary, SystemRandom().Hex(kNameBytes)))) {}

  ~S3Writer() override {
    const absl::Status status = Clear();
    if (!status.ok()) {
      LogWarning("a half-made blob stays until it is swept",
                 {{"key", name_}, {"error", StdView(status.message())}});
    }
  }

  absl::Status Append(std::string_view bytes) override {
    if (!failure_.ok()) return failure_;
    if (bytes.size() > limits::kMaxBlobBytes - size_) {
      return failure_ = absl::ResourceExhaustedError(
                 StrCat("a blob may have at most ", limits::kMaxBlobBytes, " bytes"));
    }
    hasher_.Update(bytes);
    size_ += bytes.size();
    const size_t part_bytes = client_->options().part_bytes;
    while (!bytes.empty()) {
      if (buffer_.size() == part_bytes) {
        failure_ = SendPart();
        MUSTER_RETURN_IF_ERROR(failure_);
      }
      const size_t room = std::min(part_bytes - buffer_.size(), bytes.size());
      buffer_.append(bytes.substr(0, room));
      bytes.remove_prefix(room);
    }
    return absl::OkStatus();
  }

  absl::StatusOr<Digest> Commit() override {
    MUSTER_RETURN_IF_ERROR(failure_);
    failure_ = absl::FailedPreconditionError("this blob writer was committed already");
    const Digest digest = hasher_.Finish();
    const std::string target = KeyOf(*client_, digest);
    const bool in_one = upload_id_.empty() && objects_.empty();
    if (!in_one) {
      MUSTER_RETURN_IF_ERROR(SendPart());
      MUSTER_RETURN_IF_ERROR(EndObject());
    }
    MUSTER_RETURN_IF_ERROR(WriteUndeleted(*client_, *ages_, digest, [&] {
      return in_one ? client_->Put(target, buffer_).status() : client_->Compose(objects_, target);
    }));
    return digest;
  }

 private:
  std::string Temporary() const { return StrCat(name_, ".", objects_.size()); }

  absl::Status SendPart() {
    if (object_size_ + buffer_.size() > client_->options().object_bytes) {
      MUSTER_RETURN_IF_ERROR(EndObject());
    }
    if (upload_id_.empty()) {
      MUSTER_ASSIGN_OR_RETURN(upload_id_, client_->BeginUpload(Temporary()));
    }
    MUSTER_ASSIGN_OR_RETURN(std::string etag,
                            client_->PutPart(Temporary(), upload_id_, etags_.size() + 1, buffer_));
    etags_.push_back(std::move(etag));
    object_size_ += buffer_.size();
    buffer_.clear();
    return absl::OkStatus();
  }

  // The store copies objects up to a size only, so a very large blob becomes several of them.
  absl::Status EndObject() {
    MUSTER_RETURN_IF_ERROR(client_->CompleteUpload(Temporary(), upload_id_, etags_));
    objects_.push_back({Temporary(), object_size_});
    upload_id_.clear();
    etags_.clear();
    object_size_ = 0;
    return absl::OkStatus();
  }

  absl::Status Clear() {
    if (!upload_id_.empty()) {
      MUSTER_RETURN_IF_ERROR(client_->AbortUpload(Temporary(), upload_id_));
      // It may have been completed though nothing answered.
      MUSTER_RETURN_IF_ERROR(client_->Delete(Temporary()));
    }
    for (const S3Source& object : objects_) MUSTER_RETURN_IF_ERROR(client_->Delete(object.key));
    return absl::OkStatus();
  }

  const std::shared_ptr<S3Client> client_;
  const std::shared_ptr<S3Ages> ages_;
  const std::string name_;         // of its temporary objects, but for their number
  std::string buffer_;             // the next part, or all of a small blob
  std::vector<S3Source> objects_;  // that are complete
  std::string upload_id_;          // of the one that is not; empty: there is none
  std::vector<std::string> etags_;
  uint64_t object_size_ = 0;
  uint64_t size_ = 0;
  Sha256Hasher hasher_;
  absl::Status failure_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<S3Blobs>> S3Blobs::Open(std::shared_ptr<S3Client> client) {
  MUSTER_ASSIGN_OR_RETURN(std::unique_ptr<S3Blobs> blobs, OpenUnswept(std::move(client)));
  MUSTER_RETURN_IF_ERROR(blobs->Sweep());
  return blobs;
}

absl::StatusOr<std::unique_ptr<S3Blobs>> S3Blobs::OpenUnswept(std::shared_ptr<S3Client> client) {
  MUSTER_RETURN_IF_ERROR(client->CheckBucket());
  return std::unique_ptr<S3Blobs>(new S3Blobs(std::move(client)));
}

// Other processes may be writing, so only what is old goes, by the store's own clock.
absl::Status S3Blobs::Sweep() {
  const Timestamp now = client_->server_time();
  swept_at_us_ = now.unix_us;
  const Timestamp before = now - client_->options().leftover_age;
  MUSTER_ASSIGN_OR_RETURN(const auto uploads, client_->ListUploads(client_->Key("")));
  for (const S3OpenUpload& upload : uploads) {
    if (upload.begun > before) continue;
    MUSTER_RETURN_IF_ERROR(client_->AbortUpload(upload.key, upload.upload_id));
  }
  MUSTER_RETURN_IF_ERROR(
      ages_->Sweep(before, [this](const Digest& digest) { return KeyOf(*client_, digest); }));
  return client_->List(client_->Key(kTemporary), [&](const S3Listed& object) -> absl::Status {
    return object.modified > before ? absl::OkStatus() : client_->Delete(object.key);
  });
}

absl::StatusOr<std::unique_ptr<BlobWriter>> S3Blobs::Create() {
  const Timestamp now = client_->server_time();
  int64_t swept = swept_at_us_;
  if (now - Timestamp{swept} > limits::kS3SweepEvery &&
      swept_at_us_.compare_exchange_strong(swept, now.unix_us)) {
    const absl::Status status = Sweep();
    if (!status.ok()) {
      LogWarning("sweeping half-made blobs failed", {{"error", StdView(status.message())}});
    }
  }
  return std::make_unique<S3Writer>(client_, ages_);
}

absl::StatusOr<std::unique_ptr<BlobReader>> S3Blobs::Open(const Digest& digest) const {
  return OpenS3Object(client_, KeyOf(*client_, digest), StrCat("blob ", digest.hex()));
}

absl::StatusOr<bool> S3Blobs::Has(const Digest& digest) const {
  return client_->Has(KeyOf(*client_, digest));
}

absl::Status S3Blobs::Delete(const Digest& digest) {
  return client_->Delete(KeyOf(*client_, digest));
}

absl::StatusOr<bool> S3Blobs::Touch(const Digest& digest) {
  return ages_->Touch(digest, KeyOf(*client_, digest));
}

absl::StatusOr<bool> S3Blobs::DeleteIfOlder(const Digest& digest, Timestamp before) {
  return ages_->DeleteIfOlder(digest, KeyOf(*client_, digest), before);
}

absl::Status S3Blobs::List(const std::function<absl::Status(const BlobInfo&)>& visit) const {
  MUSTER_ASSIGN_OR_RETURN(const auto touched, ages_->Touched());
  return client_->List(client_->Key(""), [&](const S3Listed& object) -> absl::Status {
    const auto digest = Digest::FromHex(object.key.substr(object.key.rfind('/') + 1));
    if (!digest.ok() || object.key != KeyOf(*client_, *digest)) return absl::OkStatus();
    BlobInfo info{.digest = *digest, .size = object.size, .modified = object.modified};
    if (const auto at = touched.find(*digest); at != touched.end()) {
      info.modified = std::max(info.modified, at->second);
    }
    return visit(info);
  });
}

absl::StatusOr<std::string> S3Blobs::Presign(const Digest& digest, Duration lifetime) const {
  const S3Options& options = client_->options();
  return PresignGet(options.public_endpoint,
                    StrCat("/", options.location.bucket, "/", KeyOf(*client_, digest)),
                    options.region, options.credentials, lifetime, SystemClock().Now());
}

absl::Status S3Blobs::Adopt(const std::vector<S3Source>& sources, const Digest& digest) {
  return WriteUndeleted(*client_, *ages_, digest,
                        [&] { return client_->Compose(sources, KeyOf(*client_, digest)); });
}

}  // namespace muster
