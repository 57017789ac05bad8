// URLs that carry their own signature (AWS Signature Version 4, in the query), so that whoever has
// one may get one object for some time. libcurl signs requests but makes no such URLs; why this is
// written here: decisions/02-presigned-urls.md. Pure.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "coordinator/blobs/blob_urls.h"
#include "coordinator/blobs/s3/s3_options.h"
#include "proto/core/secret_bytes.h"
#include "proto/core/time.h"

namespace muster {

using SigningKey = SecretBytes<32>;

// HMAC(HMAC(HMAC(HMAC("AWS4" secret, date), region), service), "aws4_request"); `date` is YYYYMMDD.
SigningKey DeriveSigningKey(const SecretText& secret, std::string_view date,
                            std::string_view region, std::string_view service);

// GET of `path` ("/bucket/key", of unreserved characters and slashes) at `endpoint`
// (SCHEME://HOST[:PORT]), from `now` on for `lifetime`: one second to
// kMaxPresignLifetime, whole seconds. InvalidArgument beyond.
absl::StatusOr<std::string> PresignGet(std::string_view endpoint, std::string_view path,
                                       std::string_view region, const S3Credentials& credentials,
                                       Duration lifetime, Timestamp now);

}  // namespace muster
