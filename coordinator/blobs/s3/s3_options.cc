#include "coordinator/blobs/s3/s3_options.h"

#include <curl/curl.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <boost/property_tree/ini_parser.hpp>
#include <boost/property_tree/ptree.hpp>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <thread>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "proto/core/files.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

constexpr std::string_view kScheme = "s3://";
constexpr size_t kMaxPrefixLength = 512;
constexpr uint64_t kMaxCredentialsFile = 64u << 10;

bool IsAlnum(char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)); }

bool IsBucketName(std::string_view name) {
  const auto good = [](char c) {
    return absl::ascii_islower(static_cast<unsigned char>(c)) ||
           absl::ascii_isdigit(static_cast<unsigned char>(c)) || c == '-' || c == '.';
  };
  return name.size() >= 3 && name.size() <= 63 && std::all_of(name.begin(), name.end(), good) &&
         IsAlnum(name.front()) && IsAlnum(name.back());
}

bool IsPrefix(std::string_view prefix) {
  if (prefix.size() > kMaxPrefixLength) return false;
  for (const absl::string_view part : absl::StrSplit(AbslView(prefix), '/')) {
    if (part.empty() || part == "." || part == "..") return false;
    for (const char c : part) {
      if (!IsAlnum(c) && c != '-' && c != '.' && c != '_') return false;
    }
  }
  return true;
}

absl::Status Refuse(std::string_view what, std::string_view why, std::string_view next) {
  return absl::InvalidArgumentError(StrCat(what, " ", why, "; ", next));
}

// The endpoint as SCHEME://HOST[:PORT].
absl::StatusOr<std::string> Endpoint(const std::string& text) {
  const auto wrong = [&text](std::string_view why) {
    // One that names a user may hold a password.
    const bool secret = text.find('@') != std::string::npos;
    return Refuse(secret ? "the S3 endpoint" : StrCat("the S3 endpoint '", text, "'"), why,
                  "write https://HOST or https://HOST:PORT");
  };
  std::unique_ptr<CURLU, void (*)(CURLU*)> url(curl_url(), curl_url_cleanup);
  if (curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK) {
    return wrong("is no URL");
  }
  const auto part = [&url](CURLUPart which) -> std::string {
    char* value = nullptr;
    if (curl_url_get(url.get(), which, &value, 0) != CURLUE_OK) return "";
    std::string copy = value;
    curl_free(value);
    return copy;
  };
  const std::string scheme = part(CURLUPART_SCHEME), path = part(CURLUPART_PATH);
  if (scheme != "http" && scheme != "https") return wrong("is neither http nor https");
  if (!part(CURLUPART_USER).empty() || !part(CURLUPART_PASSWORD).empty()) {
    return wrong("names a user; credentials come from the environment or a file");
  }
  if ((!path.empty() && path != "/") || !part(CURLUPART_QUERY).empty() ||
      !part(CURLUPART_FRAGMENT).empty()) {
    return wrong("has a path; the bucket belongs into s3://BUCKET/PREFIX");
  }
  const std::string port = part(CURLUPART_PORT);
  return StrCat(scheme, "://", part(CURLUPART_HOST), port.empty() ? "" : ":", port);
}

absl::Status Complete(const S3Credentials& credentials, std::string_view where) {
  if (!credentials.access_key_id.empty() && !credentials.secret_access_key.empty()) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      StrCat("no S3 credentials in ", where,
             "; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a file with "
             "--s3-credentials"));
}

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

SecretText::~SecretText() { Wipe(); }

SecretText& SecretText::operator=(SecretText&& other) noexcept {
  if (this != &other) {
    Wipe();
    text_ = other.text_;
    other.Wipe();
  }
  return *this;
}

void SecretText::Wipe() {
  OPENSSL_cleanse(text_.data(), text_.size());
  text_.clear();
}

absl::StatusOr<S3Location> ParseS3Url(std::string_view url) {
  constexpr std::string_view kNext = "write s3://BUCKET or s3://BUCKET/PREFIX";
  const std::string what = StrCat("'", url, "'");
  if (!url.starts_with(kScheme)) return Refuse(what, "is no s3:// URL", kNext);
  const std::string_view rest = url.substr(kScheme.size());
  const size_t slash = std::min(rest.find('/'), rest.size());
  S3Location location{.bucket = std::string(rest.substr(0, slash))};
  std::string_view prefix = rest.substr(slash);
  if (prefix.starts_with("/")) prefix.remove_prefix(1);
  if (prefix.ends_with("/")) prefix.remove_suffix(1);
  if (!IsBucketName(location.bucket)) {
    return Refuse(what,
                  "names no bucket: a bucket has 3 to 63 lower-case letters, digits, '-' and '.'",
                  kNext);
  }
  if (!prefix.empty() && !IsPrefix(prefix)) {
    return Refuse(what, "has a prefix with other characters than letters, digits and '-._/'",
                  kNext);
  }
  location.prefix = std::string(prefix);
  return location;
}

absl::Status CheckS3Options(S3Options& options) {
  const auto plain = [](char c) { return IsAlnum(c) || c == '-'; };
  if (options.region.empty() || options.region.size() > 64 ||
      !std::all_of(options.region.begin(), options.region.end(), plain)) {
    return Refuse(StrCat("the S3 region '", options.region, "'"), "is none",
                  "write one such as eu-central-1");
  }
  if (options.endpoint.empty()) {
    options.endpoint = StrCat("https://s3.", options.region, ".amazonaws.com");
  }
  MUSTER_ASSIGN_OR_RETURN(options.endpoint, Endpoint(options.endpoint));
  if (options.public_endpoint.empty()) options.public_endpoint = options.endpoint;
  MUSTER_ASSIGN_OR_RETURN(options.public_endpoint, Endpoint(options.public_endpoint));
  if (options.part_bytes < limits::kS3MinPartBytes) {
    return Refuse(StrCat("S3 parts of ", options.part_bytes, " bytes"), "are too small",
                  StrCat("S3 takes ", limits::kS3MinPartBytes, " and more"));
  }
  if (!options.pause) options.pause = [](Duration time) { std::this_thread::sleep_for(time); };
  return Complete(options.credentials, "these options");
}

absl::StatusOr<S3Credentials> LoadS3Credentials(const std::filesystem::path& file) {
  S3Credentials credentials;
  if (file.empty()) {
    credentials.access_key_id = Environment("AWS_ACCESS_KEY_ID");
    credentials.secret_access_key = SecretText(Environment("AWS_SECRET_ACCESS_KEY"));
    credentials.session_token = SecretText(Environment("AWS_SESSION_TOKEN"));
    MUSTER_RETURN_IF_ERROR(Complete(credentials, "the environment"));
    return credentials;
  }
  MUSTER_ASSIGN_OR_RETURN(std::string text, ReadFile(file, kMaxCredentialsFile));
  std::string profile = Environment("AWS_PROFILE");
  if (profile.empty()) profile = "default";
  boost::property_tree::ptree tree;
  try {
    std::istringstream stream(text);
    boost::property_tree::ini_parser::read_ini(stream, tree);
  } catch (const boost::property_tree::ini_parser_error& error) {
    // The message names the line, never what is in it.
    return absl::FailedPreconditionError(StrCat(file.string(), ": line ", error.line(), ": ",
                                                error.message(),
                                                "; write it as ~/.aws/credentials is written"));
  }
  OPENSSL_cleanse(text.data(), text.size());
  using Path = boost::property_tree::ptree::path_type;
  const auto section = tree.get_child_optional(Path(profile, '\0'));
  if (section) {
    credentials.access_key_id = section->get<std::string>("aws_access_key_id", "");
    credentials.secret_access_key =
        SecretText(section->get<std::string>("aws_secret_access_key", ""));
    credentials.session_token = SecretText(section->get<std::string>("aws_session_token", ""));
  }
  MUSTER_RETURN_IF_ERROR(Complete(credentials, StrCat("[", profile, "] of ", file.string())));
  return credentials;
}

}  // namespace muster
