// Writing the audit log: changes go with the transaction that makes them.
#pragma once

#include <string>
#include <string_view>

#include "coordinator/drive/context.h"

namespace muster {

// What can be in the column `action`. Never rename one.
namespace audit {
inline constexpr char kTokenCreate[] = "token.create";
inline constexpr char kTokenRevoke[] = "token.revoke";
inline constexpr char kDeviceEnrol[] = "device.enrol";
inline constexpr char kDeviceRenew[] = "device.renew";
inline constexpr char kDeviceRevoke[] = "device.revoke";
inline constexpr char kCredentialRenew[] = "credential.renew";
inline constexpr char kCaChange[] = "ca.change";
inline constexpr char kJobSubmit[] = "job.submit";
inline constexpr char kJobCancel[] = "job.cancel";
inline constexpr char kModelPromote[] = "model.promote";
inline constexpr char kModelRollBack[] = "model.roll-back";
inline constexpr char kGarbageCollect[] = "gc.run";
inline constexpr char kRestore[] = "store.restore";
inline constexpr char kRefused[] = "refused";  // then a dot and the status code
}  // namespace audit

// Each replica has one chain for changes and one for refusals, so that whoever makes many refusals
// happen cannot push a change out of the log.
inline constexpr char kChangesSuffix[] = "/changes";
inline constexpr char kRefusalsSuffix[] = "/refusals";
std::string ChangesChain(const DriveOptions& options);
std::string RefusalsChain(const DriveOptions& options);

struct AuditEntry {
  std::string actor;  // "operator/ada"
  std::string_view action;
  std::string subject;  // "device/d-1"
  std::string detail;   // cut at kMaxAuditDetailBytes
};

// Adds the row in `tx`, at the end of the changes.
absl::Status Audit(StoreTx& tx, DriveContext& context, const AuditEntry& entry);

// At most `bytes` bytes of `text`, cut between characters.
std::string CutText(std::string_view text, size_t bytes);

}  // namespace muster
