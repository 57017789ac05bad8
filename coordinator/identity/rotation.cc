#include "coordinator/identity/rotation.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "coordinator/identity/authority.h"
#include "proto/core/files.h"
#include "proto/core/status.h"

namespace muster {
namespace {

namespace fs = std::filesystem;

absl::StatusOr<UniqueFd> LockFolder(const fs::path& dir) {
  UniqueFd fd(open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, "opening the identity folder", dir);
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("another command changes the CA in ", dir.string(), "; wait for its end"));
  }
  return fd;
}

absl::Status Remove(const fs::path& path) {
  std::error_code error;
  fs::remove(path, error);
  return error ? ErrnoStatus(error.value(), "removing", path) : absl::OkStatus();
}

// Keys that no state names: of a rotation that was cut short before it was committed, or of a CA
// that was retired.
absl::Status RemoveUnused(const fs::path& dir, const CaState& state) {
  const auto drop = [&](uint32_t number) -> absl::Status {
    MUSTER_RETURN_IF_ERROR(Remove(dir / CaKeyFileOf(number)));
    return Remove(dir / CaCertificateFileOf(number));
  };
  if (state.trusted.front() > 1) MUSTER_RETURN_IF_ERROR(drop(state.trusted.front() - 1));
  MUSTER_RETURN_IF_ERROR(drop(state.newest() + 1));
  return FsyncDirectory(dir);
}

absl::Status Commit(const fs::path& dir, const CaState& state) {
  return WriteFileDurably(dir / kCaStateFile, PrintCaState(state), kPublicFileMode);
}

}  // namespace

absl::StatusOr<CaState> AnnounceCa(const fs::path& dir, RandomSource& random, Timestamp now) {
  MUSTER_ASSIGN_OR_RETURN(const UniqueFd lock, LockFolder(dir));
  // A folder that is not whole is no place to begin.
  MUSTER_ASSIGN_OR_RETURN(const CertificateAuthority present, CertificateAuthority::Open(dir));
  MUSTER_ASSIGN_OR_RETURN(CaState next, Announced(present.state()));
  MUSTER_RETURN_IF_ERROR(RemoveUnused(dir, present.state()));
  MUSTER_RETURN_IF_ERROR(CertificateAuthority::MakeKeyAndCertificate(
      dir / CaKeyFileOf(next.newest()), dir / CaCertificateFileOf(next.newest()), random, now,
      present.trust_domain()));
  MUSTER_RETURN_IF_ERROR(Commit(dir, next));
  return next;
}

absl::StatusOr<CaState> SwitchCa(const fs::path& dir) {
  MUSTER_ASSIGN_OR_RETURN(const UniqueFd lock, LockFolder(dir));
  MUSTER_ASSIGN_OR_RETURN(const CaState present, ReadCaState(dir));
  MUSTER_ASSIGN_OR_RETURN(const CaState next, Switched(present));
  // The new one must be able to issue before it has to.
  MUSTER_RETURN_IF_ERROR(CertificateAuthority::OpenAs(dir, next).status());
  MUSTER_RETURN_IF_ERROR(Commit(dir, next));
  return next;
}

absl::StatusOr<CaState> RetireCa(const fs::path& dir) {
  MUSTER_ASSIGN_OR_RETURN(const UniqueFd lock, LockFolder(dir));
  MUSTER_ASSIGN_OR_RETURN(const CertificateAuthority present, CertificateAuthority::Open(dir));
  // Killed between the commit and the removal, it ends now.
  const uint32_t oldest = present.state().trusted.front();
  std::error_code error;
  if (present.state().stage() == CaStage::kSettled && oldest > 1 &&
      fs::exists(dir / CaKeyFileOf(oldest - 1), error)) {
    MUSTER_RETURN_IF_ERROR(RemoveUnused(dir, present.state()));
    return present.state();
  }
  MUSTER_ASSIGN_OR_RETURN(const CaState next, Retired(present.state()));
  MUSTER_RETURN_IF_ERROR(Commit(dir, next));
  MUSTER_RETURN_IF_ERROR(RemoveUnused(dir, next));
  return next;
}

}  // namespace muster
