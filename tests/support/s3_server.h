// A real S3-compatible server (Versity S3 Gateway) in a folder of the test's own, on a port of its
// own, with one bucket. It checks signatures, and keeps objects as files, so that a test can damage
// or age one. scripts/s3-server installs it.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "coordinator/blobs/s3/s3_client.h"
#include "tests/support/temp_folder.h"

namespace muster {

class S3Server {
 public:
  struct Tls {
    std::filesystem::path certificate, key;  // PEM
  };
  // NotFound, with the reason, where the server is not installed.
  static absl::StatusOr<std::unique_ptr<S3Server>> Start(const Tls& tls = {});
  ~S3Server();

  // One for all tests of the process. Null, with the reason in `why`, where there is none.
  static S3Server* Shared(std::string* why);

  void Kill();             // -9
  absl::Status Restart();  // on the same port, over the same files

  std::string endpoint() const;
  static constexpr char kBucket[] = "muster-test";
  static constexpr char kAccessKey[] = "AKTEST";
  static constexpr char kSecretKey[] = "not-a-secret-of-anybody";
  // For a prefix that no other test uses.
  S3Options Options(const std::string& prefix) const;
  std::shared_ptr<S3Client> Client(const std::string& prefix) const;
  std::filesystem::path Files(const std::string& prefix) const {
    return folder_.path() / "data" / kBucket / prefix;
  }

 private:
  S3Server(std::filesystem::path program, Tls tls)
      : program_(std::move(program)), tls_(std::move(tls)) {}
  absl::Status Launch();
  absl::Status MakeBucket();

  TempFolder folder_;
  const std::filesystem::path program_;
  const Tls tls_;
  int port_ = 0;
  pid_t pid_ = -1;
};

}  // namespace muster
