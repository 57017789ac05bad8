#include "coordinator/ca_audit.h"

#include "coordinator/drive/audit.h"
#include "proto/core/files.h"
#include "proto/core/status.h"
#include "proto/core/strings.h"

namespace muster {
namespace {

constexpr uint64_t kMaxServedBytes = 4096;

std::string Describe(const CertificateAuthority& authority) {
  const CaState& state = authority.state();
  std::string text = StrCat(CaStageName(state.stage()), ", generation ", state.generation);
  for (const uint32_t number : state.trusted) {
    text += StrCat("; CA ", number, " ", CertificatePin(authority.authority(number)),
                   number == state.issuer ? " issues" : " is trusted");
  }
  return text;
}

}  // namespace

absl::Status AuditCaChange(DriveContext& drive, const CertificateAuthority& authority,
                           const std::filesystem::path& state_dir) {
  const std::string now = PrintCaState(authority.state());
  const auto served = ReadFile(state_dir / kCaServedFile, kMaxServedBytes);
  if (!served.ok() && !absl::IsNotFound(served.status())) return served.status();
  if (served.ok() && *served == now) return absl::OkStatus();
  if (served.ok()) {
    MUSTER_RETURN_IF_ERROR(Transact(drive, [&](StoreTx& tx, AfterCommit&) {
      return Audit(tx, drive,
                   {.actor = StrCat("coordinator/", drive.options.replica),
                    .action = audit::kCaChange,
                    .subject = StrCat("ca/", authority.state().issuer),
                    .detail = Describe(authority)});
    }));
  }
  return WriteFileDurably(state_dir / kCaServedFile, now);
}

}  // namespace muster
