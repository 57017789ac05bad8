#include "proto/core/digest.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <vector>

#include "absl/strings/escaping.h"
#include "proto/core/files.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

constexpr size_t kReadBytes = 256u << 10;

bool IsLowerHex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

uint8_t HexValue(char c) { return static_cast<uint8_t>(c <= '9' ? c - '0' : c - 'a' + 10); }

// Hashing fails only if the process is out of memory or OpenSSL is broken; neither has a way on.
void Require(bool ok) {
  if (!ok) std::abort();
}

}  // namespace

absl::StatusOr<Digest> Digest::FromHex(std::string_view hex) {
  if (hex.size() != 2 * kSize) {
    return absl::InvalidArgumentError(
        StrCat("a SHA-256 digest has ", 2 * kSize, " hex digits, this one has ", hex.size()));
  }
  absl::StatusOr<std::string> bytes = HexDecode(hex);
  if (!bytes.ok()) return bytes.status();
  return FromBytes(*bytes);
}

absl::StatusOr<Digest> Digest::FromBytes(std::string_view bytes) {
  if (bytes.size() != kSize) {
    return absl::InvalidArgumentError(
        StrCat("a SHA-256 digest has ", kSize, " bytes, this one has ", bytes.size()));
  }
  std::array<uint8_t, kSize> array;
  std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(array.data()));
  return Digest(array);
}

std::string Digest::hex() const { return HexEncode(bytes()); }

struct Sha256Hasher::Impl {
  Impl() : context(EVP_MD_CTX_new()) {
    Require(context != nullptr && EVP_DigestInit_ex(context, EVP_sha256(), nullptr) == 1);
  }
  ~Impl() { EVP_MD_CTX_free(context); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  EVP_MD_CTX* context;
};

Sha256Hasher::Sha256Hasher() : impl_(std::make_unique<Impl>()) {}
Sha256Hasher::~Sha256Hasher() = default;
Sha256Hasher::Sha256Hasher(Sha256Hasher&&) noexcept = default;
Sha256Hasher& Sha256Hasher::operator=(Sha256Hasher&&) noexcept = default;

void Sha256Hasher::Update(std::string_view bytes) {
  Require(impl_ != nullptr);
  Require(EVP_DigestUpdate(impl_->context, bytes.data(), bytes.size()) == 1);
}

Digest Sha256Hasher::Finish() {
  Require(impl_ != nullptr);  // finished before
  std::array<uint8_t, Digest::kSize> out;
  unsigned size = 0;
  Require(EVP_DigestFinal_ex(impl_->context, out.data(), &size) == 1 && size == out.size());
  impl_.reset();
  return Digest(out);
}

Digest Sha256(std::string_view bytes) {
  Sha256Hasher hasher;
  hasher.Update(bytes);
  return hasher.Finish();
}

absl::StatusOr<Digest> Sha256File(const std::filesystem::path& path) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, "opening", path);
  Sha256Hasher hasher;
  std::vector<char> buffer(kReadBytes);
  while (true) {
    const ssize_t n = read(fd.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus(errno, "reading", path);
    if (n == 0) return hasher.Finish();
    hasher.Update({buffer.data(), static_cast<size_t>(n)});
  }
}

std::string HexEncode(std::string_view bytes) { return absl::BytesToHexString(AbslView(bytes)); }

absl::StatusOr<std::string> HexDecode(std::string_view hex) {
  if (hex.size() % 2 != 0) {
    return absl::InvalidArgumentError(
        StrCat("hex text needs an even number of digits, this one has ", hex.size()));
  }
  const auto bad = std::find_if_not(hex.begin(), hex.end(), IsLowerHex);
  if (bad != hex.end()) {
    return absl::InvalidArgumentError(StrCat("hex text has a character at position ",
                                             bad - hex.begin(), " that is not one of 0-9a-f"));
  }
  std::string bytes(hex.size() / 2, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<char>(HexValue(hex[2 * i]) << 4 | HexValue(hex[2 * i + 1]));
  }
  return bytes;
}

}  // namespace muster
