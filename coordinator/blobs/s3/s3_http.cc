#include "coordinator/blobs/s3/s3_http.h"

#include <curl/curl.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "coordinator/blobs/s3/s3_limits.h"
#include "proto/core/digest.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

constexpr long kBufferBytes = 512 << 10;

// One global initialization, before the first handle and never undone: other threads may still be
// in OpenSSL when the process ends.
absl::Status InitializeCurl() {
  static const CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (code == CURLE_OK) return absl::OkStatus();
  return absl::InternalError(StrCat("libcurl does not start: ", curl_easy_strerror(code)));
}

const char* MethodName(S3Method method) {
  switch (method) {
    case S3Method::kGet:
      return "GET";
    case S3Method::kHead:
      return "HEAD";
    case S3Method::kPut:
      return "PUT";
    case S3Method::kPost:
      return "POST";
    case S3Method::kDelete:
      return "DELETE";
  }
  return "GET";
}

long Milliseconds(Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

long Seconds(Duration duration) {
  return std::max<long>(1, std::chrono::duration_cast<std::chrono::seconds>(duration).count());
}

struct Sink {
  CURL* easy;
  std::span<char> into;
  S3Answer* answer;
  bool overflow = false;
};

size_t OnBody(char* data, size_t, size_t size, void* context) {
  Sink& sink = *static_cast<Sink*>(context);
  long status = 0;
  curl_easy_getinfo(sink.easy, CURLINFO_RESPONSE_CODE, &status);
  if (!sink.into.empty() && status >= 200 && status < 300) {
    const size_t room = std::min(size, sink.into.size() - sink.answer->received);
    std::memcpy(sink.into.data() + sink.answer->received, data, room);
    sink.answer->received += room;
    sink.overflow = room < size;
    return room;
  }
  if (size > limits::kS3MaxXmlBytes - sink.answer->body.size()) {
    sink.overflow = true;
    return 0;
  }
  sink.answer->body.append(data, size);
  return size;
}

std::string Header(CURL* easy, const char* name) {
  curl_header* header = nullptr;
  if (curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK) return "";
  return header->value;
}

// What went wrong before there was an answer.
absl::Status TransportStatus(CURLcode code, const char* detail, const S3Options& options) {
  const std::string why =
      detail[0] != '\0' ? std::string(detail) : std::string(curl_easy_strerror(code));
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
      return absl::FailedPreconditionError(StrCat("the TLS certificate of ", options.endpoint,
                                                  " is not trusted (", why,
                                                  "); name the file of its CA with --s3-ca-file"));
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return absl::FailedPreconditionError(StrCat(options.endpoint, " is no usable URL: ", why));
    default:
      return absl::UnavailableError(
          StrCat("cannot reach the S3 store at ", options.endpoint, " (", why,
                 "); check that it runs, --s3-endpoint, and the network"));
  }
}

}  // namespace

std::string S3Escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (absl::ascii_isalnum(byte) || c == '-' || c == '.' || c == '_' || c == '~') {
      out += c;
    } else {
      StrAppend(&out, "%", absl::AsciiStrToUpper(HexEncode({&c, 1})));
    }
  }
  return out;
}

struct S3Http::Handle {
  CURL* easy = curl_easy_init();
  char error[CURL_ERROR_SIZE] = {};
  ~Handle() { curl_easy_cleanup(easy); }
};

absl::StatusOr<std::unique_ptr<S3Http>> S3Http::Create(const S3Options& options) {
  MUSTER_RETURN_IF_ERROR(InitializeCurl());
  return std::unique_ptr<S3Http>(new S3Http(options));
}

S3Http::S3Http(const S3Options& options) : options_(options) {}
S3Http::~S3Http() = default;

// The one used last, whose connection is most likely still open.
std::unique_ptr<S3Http::Handle> S3Http::Take() {
  std::lock_guard lock(mutex_);
  if (idle_.empty()) return std::make_unique<Handle>();
  std::unique_ptr<Handle> handle = std::move(idle_.back());
  idle_.pop_back();
  return handle;
}

void S3Http::Return(std::unique_ptr<Handle> handle) {
  std::lock_guard lock(mutex_);
  if (idle_.size() < limits::kS3IdleConnections) idle_.push_back(std::move(handle));
}

namespace {

std::string Url(const S3Options& options, const S3Call& call) {
  std::string url = StrCat(options.endpoint, "/", options.location.bucket);
  if (!call.key.empty()) StrAppend(&url, "/", call.key);
  // libcurl signs the query as it stands, so it must stand in S3's canonical form: sorted, escaped.
  char separator = '?';
  for (const auto& [name, value] : call.query) {
    StrAppend(&url, std::string(1, separator), S3Escape(name), "=", S3Escape(value));
    separator = '&';
  }
  return url;
}

void SetSecurity(CURL* easy, const S3Options& options, const std::string& sigv4) {
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
  if (!options.ca_file.empty()) curl_easy_setopt(easy, CURLOPT_CAINFO, options.ca_file.c_str());
  curl_easy_setopt(easy, CURLOPT_AWS_SIGV4, sigv4.c_str());
  curl_easy_setopt(easy, CURLOPT_USERNAME, options.credentials.access_key_id.c_str());
  curl_easy_setopt(easy, CURLOPT_PASSWORD, options.credentials.secret_access_key.reveal().c_str());
}

void SetTimes(CURL* easy, const S3Options& options) {
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, Milliseconds(options.connect_timeout));
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, Seconds(options.stall_timeout));
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, kBufferBytes);
  curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, kBufferBytes);
}

void SetMethod(CURL* easy, const S3Call& call) {
  if (call.method == S3Method::kHead) curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
  if (call.method == S3Method::kDelete) curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "DELETE");
  if (call.method == S3Method::kPut || call.method == S3Method::kPost) {
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call.body.empty() ? "" : call.body.data());
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(call.body.size()));
    if (call.method == S3Method::kPut) curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "PUT");
  }
}

}  // namespace

std::string S3Http::Describe(const S3Call& call) const {
  return StrCat(MethodName(call.method), " ", options_.endpoint, "/", options_.location.bucket,
                call.key.empty() ? "" : "/", call.key);
}

S3Answer S3Http::Perform(const S3Call& call) {
  std::unique_ptr<Handle> handle = Take();
  CURL* const easy = handle->easy;
  curl_easy_reset(easy);  // keeps the connections
  const std::string sigv4 = StrCat("aws:amz:", options_.region, ":s3");
  SetSecurity(easy, options_, sigv4);
  SetTimes(easy, options_);
  curl_easy_setopt(easy, CURLOPT_URL, Url(options_, call).c_str());
  curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
  SetMethod(easy, call);

  // libcurl 7.88 signs this header and takes the payload's hash from it, but does not make it.
  curl_slist* headers =
      curl_slist_append(nullptr, StrCat("x-amz-content-sha256: ", Sha256(call.body).hex()).c_str());
  const SecretText& token = options_.credentials.session_token;
  if (!token.empty()) {
    headers = curl_slist_append(headers, StrCat("x-amz-security-token: ", token.reveal()).c_str());
  }
  if (call.method == S3Method::kPut || call.method == S3Method::kPost) {
    headers = curl_slist_append(headers, "Content-Type: application/octet-stream");
  }
  for (const std::string& header : call.headers) {
    headers = curl_slist_append(headers, header.c_str());
  }
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);

  S3Answer answer;
  Sink sink{easy, call.into, &answer};
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, OnBody);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &sink);
  handle->error[0] = '\0';
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, handle->error);
  const CURLcode code = curl_easy_perform(easy);
  curl_slist_free_all(headers);

  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &answer.status);
  answer.etag = Header(easy, "ETag");
  answer.content_range = Header(easy, "Content-Range");
  answer.content_length = Header(easy, "Content-Length");
  answer.date = Header(easy, "Date");
  if (code == CURLE_WRITE_ERROR && sink.overflow && !call.into.empty()) {
    // More came than was asked for: the store does not know ranges. What fits is there.
    answer.transport = absl::OkStatus();
  } else if (code == CURLE_WRITE_ERROR && sink.overflow) {
    answer.transport = absl::FailedPreconditionError(
        StrCat("the answer of ", options_.endpoint, " has more than ", limits::kS3MaxXmlBytes,
               " bytes; is it an S3-compatible store?"));
  } else if (code != CURLE_OK) {
    answer.transport = TransportStatus(code, handle->error, options_);
  }
  Return(std::move(handle));
  return answer;
}

}  // namespace muster
