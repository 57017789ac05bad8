#include "coordinator/blobs/s3/s3_presign.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <cstdlib>
#include <map>

#include "absl/time/time.h"
#include "coordinator/blobs/s3/s3_http.h"
#include "coordinator/blobs/s3/s3_limits.h"
#include "proto/core/digest.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

SigningKey Hmac(std::span<const uint8_t> key, std::string_view text) {
  SigningKey mac;
  unsigned size = 0;
  if (HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
           reinterpret_cast<const unsigned char*>(text.data()), text.size(), mac.writable().data(),
           &size) == nullptr ||
      size != mac.span().size()) {
    std::abort();  // OpenSSL without HMAC-SHA-256
  }
  return mac;
}

std::string Format(const char* format, Timestamp now) {
  return absl::FormatTime(format, absl::FromUnixMicros(now.unix_us), absl::UTCTimeZone());
}

}  // namespace

SigningKey DeriveSigningKey(const SecretText& secret, std::string_view date,
                            std::string_view region, std::string_view service) {
  const SecretText first(StrCat("AWS4", secret.reveal()));
  const std::string& bytes = first.reveal();
  const SigningKey by_date =
      Hmac({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, date);
  const SigningKey by_region = Hmac(by_date.span(), region);
  const SigningKey by_service = Hmac(by_region.span(), service);
  return Hmac(by_service.span(), "aws4_request");
}

absl::StatusOr<std::string> PresignGet(std::string_view endpoint, std::string_view path,
                                       std::string_view region, const S3Credentials& credentials,
                                       Duration lifetime, Timestamp now) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(lifetime);
  if (seconds < std::chrono::seconds(1) || lifetime > kMaxPresignLifetime) {
    return absl::InvalidArgumentError(StrCat(
        "a presigned URL lives for one second to ",
        std::chrono::duration_cast<std::chrono::hours>(kMaxPresignLifetime).count(), " hours"));
  }
  const std::string date = Format("%Y%m%d", now), time = Format("%Y%m%dT%H%M%SZ", now);
  const std::string scope = StrCat(date, "/", region, "/s3/aws4_request");
  // Sorted by name, as the signature wants it.
  std::map<std::string, std::string> fields = {
      {"X-Amz-Algorithm", "AWS4-HMAC-SHA256"},
      {"X-Amz-Credential", StrCat(credentials.access_key_id, "/", scope)},
      {"X-Amz-Date", time},
      {"X-Amz-Expires", StrCat(seconds.count())},
      {"X-Amz-SignedHeaders", "host"}};
  if (!credentials.session_token.empty()) {
    fields.emplace("X-Amz-Security-Token", credentials.session_token.reveal());
  }
  std::string query;
  for (const auto& [name, value] : fields) {
    StrAppend(&query, query.empty() ? "" : "&", name, "=", S3Escape(value));
  }
  const std::string_view host = endpoint.substr(endpoint.find("://") + 3);
  const std::string request =
      StrCat("GET\n", path, "\n", query, "\nhost:", host, "\n\nhost\nUNSIGNED-PAYLOAD");
  const std::string to_sign =
      StrCat("AWS4-HMAC-SHA256\n", time, "\n", scope, "\n", Sha256(request).hex());
  const SigningKey key = DeriveSigningKey(credentials.secret_access_key, date, region, "s3");
  const SigningKey mac = Hmac(key.span(), to_sign);
  const std::string signature =
      HexEncode({reinterpret_cast<const char*>(mac.span().data()), mac.span().size()});
  return StrCat(endpoint, path, "?", query, "&X-Amz-Signature=", signature);
}

}  // namespace muster
