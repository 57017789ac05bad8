#include "coordinator/blobs/at_rest/at_rest_keys.h"

#include <openssl/crypto.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <utility>

#include "proto/core/digest.h"
#include "proto/core/files.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"
#include "proto/crypto/hkdf.h"

namespace muster {
namespace {

constexpr std::string_view kLineBegin = "muster-at-rest-1 ";
constexpr size_t kHexDigits = 2 * kAtRestKeyBytes;
constexpr size_t kLineBytes = kLineBegin.size() + kHexDigits + 1;
constexpr unsigned kKeyFileMode = 0600;

// Text that is wiped when it goes.
struct SecretText {
  std::string text;
  ~SecretText() { OPENSSL_cleanse(text.data(), text.size()); }
};

AtRestKeyId IdOf(const AtRestKey& key) {
  AtRestKeyId id;
  Hkdf({}, key.span(), "muster/at-rest/1/key-id", id);
  return id;
}

void AppendNewKey(RandomSource& random, std::string& text) {
  AtRestKey key;
  random.Fill(key.writable());
  text += kLineBegin;
  constexpr char kDigits[] = "0123456789abcdef";
  for (const uint8_t byte : key.span()) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  text += '\n';
}

int HexValue(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  return -1;
}

absl::Status CheckMode(const std::filesystem::path& file) {
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0) {
    if (errno == ENOENT) {
      return absl::NotFoundError(
          StrCat("there is no at-rest key in ", file.string(),
                 ": updates would lie on the disk in the clear. Restore the file, or make a new key"
                 " with `muster-coordinator at-rest-key new`"));
    }
    return ErrnoStatus(errno, "inspecting", file);
  }
  // Kubernetes hands secrets out as root's, readable by the group that only this process has.
  const bool lent = info.st_uid != ::geteuid() && (info.st_mode & 027) == 0;
  if (lent || (info.st_mode & 077) == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(StrCat(
      file.string(), " can be read by others than its owner; chmod 600 it, and rotate the key",
      " with `muster-coordinator at-rest-key rotate` if somebody may have"));
}

}  // namespace

std::string KeyIdText(const AtRestKeyId& id) {
  return HexEncode({reinterpret_cast<const char*>(id.data()), id.size()});
}

absl::Status AtRestKeys::Create(const std::filesystem::path& file, RandomSource& random) {
  std::error_code error;
  if (std::filesystem::exists(file, error)) {
    return absl::AlreadyExistsError(StrCat("there is an at-rest key already: ", file.string()));
  }
  SecretText secret;
  secret.text.reserve(kLineBytes);
  AppendNewKey(random, secret.text);
  return WriteFileDurably(file, secret.text, kKeyFileMode);
}

absl::Status AtRestKeys::Rotate(const std::filesystem::path& file, RandomSource& random) {
  MUSTER_ASSIGN_OR_RETURN(const std::shared_ptr<const AtRestKeys> keys, Open(file));
  if (keys->count() >= kMaxAtRestKeys) {
    return absl::ResourceExhaustedError(
        StrCat(file.string(), " has ", kMaxAtRestKeys, " keys already; take the oldest out"));
  }
  MUSTER_ASSIGN_OR_RETURN(std::string old, ReadFile(file, kMaxAtRestKeys * kLineBytes));
  const SecretText before{std::move(old)};
  SecretText secret;
  secret.text.reserve(before.text.size() + kLineBytes);
  AppendNewKey(random, secret.text);
  secret.text += before.text;
  return WriteFileDurably(file, secret.text, kKeyFileMode);
}

absl::Status AtRestKeys::Parse(std::string_view text) {
  const absl::Status bad = absl::FailedPreconditionError(
      StrCat(file_.string(), " is no file of at-rest keys; restore it from your copy"));
  if (text.empty() || text.size() % kLineBytes != 0) return bad;
  for (; !text.empty(); text.remove_prefix(kLineBytes)) {
    if (!text.starts_with(kLineBegin) || text[kLineBytes - 1] != '\n') return bad;
    const std::string_view hex = text.substr(kLineBegin.size(), kHexDigits);
    Entry entry;
    for (size_t i = 0; i < kAtRestKeyBytes; ++i) {
      const int high = HexValue(hex[2 * i]), low = HexValue(hex[2 * i + 1]);
      if (high < 0 || low < 0) return bad;
      entry.key.writable()[i] = static_cast<uint8_t>(high * 16 + low);
    }
    entry.id = IdOf(entry.key);
    keys_.push_back(std::move(entry));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const AtRestKeys>> AtRestKeys::Open(
    const std::filesystem::path& file) {
  MUSTER_RETURN_IF_ERROR(CheckMode(file));
  MUSTER_ASSIGN_OR_RETURN(std::string text, ReadFile(file, kMaxAtRestKeys * kLineBytes));
  const SecretText secret{std::move(text)};
  std::shared_ptr<AtRestKeys> keys(new AtRestKeys(file));
  MUSTER_RETURN_IF_ERROR(keys->Parse(secret.text));
  return keys;
}

absl::StatusOr<const AtRestKey*> AtRestKeys::Find(const AtRestKeyId& id) const {
  const auto found =
      std::find_if(keys_.begin(), keys_.end(), [&](const Entry& entry) { return entry.id == id; });
  if (found != keys_.end()) return &found->key;
  return absl::FailedPreconditionError(StrCat("sealed with the at-rest key ", KeyIdText(id),
                                              ", which is not in ", file_.string(),
                                              "; restore that key from your copy of the file"));
}

}  // namespace muster
