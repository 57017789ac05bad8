#include "client/sandbox/jail.h"

#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "proto/core/status.h"

namespace muster {
namespace {

absl::Status SystemError(const std::string& what) {
  return absl::InternalError(absl::StrCat("sandbox: ", what, ": ", std::strerror(errno)));
}

// Refused with EPERM whatever the arguments. Everything that reaches the network, another process,
// another program or the kernel's configuration; io_uring, because it opens sockets by another
// door.
constexpr int kRefused[] = {
    SCMP_SYS(socket),
    SCMP_SYS(socketpair),
    SCMP_SYS(connect),
    SCMP_SYS(bind),
    SCMP_SYS(listen),
    SCMP_SYS(accept),
    SCMP_SYS(accept4),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(io_uring_enter),
    SCMP_SYS(io_uring_register),
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(fork),
    SCMP_SYS(vfork),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(process_madvise),
    SCMP_SYS(tkill),
    SCMP_SYS(rt_sigqueueinfo),
    SCMP_SYS(rt_tgsigqueueinfo),
    SCMP_SYS(pidfd_open),
    SCMP_SYS(pidfd_send_signal),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(kcmp),
    SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(keyctl),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(unshare),
    SCMP_SYS(setns),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(move_mount),
    SCMP_SYS(open_tree),
    SCMP_SYS(fsopen),
    SCMP_SYS(fsmount),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(setuid),
    SCMP_SYS(setgid),
    SCMP_SYS(setreuid),
    SCMP_SYS(setregid),
    SCMP_SYS(setresuid),
    SCMP_SYS(setresgid),
    SCMP_SYS(setgroups),
    SCMP_SYS(capset),
    SCMP_SYS(personality),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(reboot),
    SCMP_SYS(swapon),
    SCMP_SYS(swapoff),
    SCMP_SYS(acct),
    SCMP_SYS(sethostname),
    SCMP_SYS(setdomainname),
    SCMP_SYS(settimeofday),
    SCMP_SYS(clock_settime),
    SCMP_SYS(adjtimex),
    SCMP_SYS(clock_adjtime),
    SCMP_SYS(quotactl),
    SCMP_SYS(syslog),
    SCMP_SYS(iopl),
    SCMP_SYS(ioperm),
};

absl::Status LoadFilter() {
  std::unique_ptr<void, decltype(&seccomp_release)> filter(seccomp_init(SCMP_ACT_ALLOW),
                                                           &seccomp_release);
  if (filter == nullptr) return absl::InternalError("sandbox: seccomp_init failed");
  int error = 0;
  auto refuse = [&](int action_errno, int call, std::initializer_list<scmp_arg_cmp> when) {
    int result = seccomp_rule_add_array(filter.get(), SCMP_ACT_ERRNO(action_errno), call,
                                        static_cast<unsigned>(when.size()), when.begin());
    if (result != 0 && error == 0) error = -result;
  };
  for (int call : kRefused) refuse(EPERM, call, {});
  // Signals only to itself (abort() needs that), limits only of itself.
  const auto self = static_cast<scmp_datum_t>(getpid());
  refuse(EPERM, SCMP_SYS(kill), {SCMP_A0(SCMP_CMP_NE, self)});
  refuse(EPERM, SCMP_SYS(tgkill), {SCMP_A0(SCMP_CMP_NE, self)});
  refuse(EPERM, SCMP_SYS(prlimit64), {SCMP_A0(SCMP_CMP_NE, 0)});
  // Threads are fine, processes are not. clone3 hides its flags behind a pointer: glibc falls back
  // to clone when it does not exist.
  refuse(EPERM, SCMP_SYS(clone), {SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0)});
  refuse(ENOSYS, SCMP_SYS(clone3), {});
  if (error != 0) {
    return absl::InternalError(absl::StrCat("sandbox: seccomp rule: ", std::strerror(error)));
  }
  if (int result = seccomp_load(filter.get()); result != 0) {
    return absl::InternalError(
        absl::StrCat("sandbox: the kernel refused the seccomp filter: ", std::strerror(-result),
                     "; functions need a kernel with CONFIG_SECCOMP_FILTER"));
  }
  return absl::OkStatus();
}

absl::Status Limit(__rlimit_resource resource, rlim_t value, const char* name) {
  rlimit current{};
  if (getrlimit(resource, &current) != 0) return SystemError(name);
  if (current.rlim_max != RLIM_INFINITY && current.rlim_max < value) value = current.rlim_max;
  const rlimit limit{value, value};
  if (setrlimit(resource, &limit) != 0) return SystemError(name);
  return absl::OkStatus();
}

// Bytes of address space that the process has now.
absl::StatusOr<uint64_t> AddressSpace() {
  std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen("/proc/self/statm", "re"), &std::fclose);
  unsigned long long pages = 0;
  if (file == nullptr || std::fscanf(file.get(), "%llu", &pages) != 1) {
    return SystemError("/proc/self/statm");
  }
  return pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

absl::Status SetLimits(const JailOptions& options) {
  MUSTER_ASSIGN_OR_RETURN(const uint64_t now, AddressSpace());
  MUSTER_RETURN_IF_ERROR(Limit(RLIMIT_AS, now + options.memory_bytes, "RLIMIT_AS"));
  MUSTER_RETURN_IF_ERROR(Limit(RLIMIT_FSIZE, options.file_bytes, "RLIMIT_FSIZE"));
  MUSTER_RETURN_IF_ERROR(Limit(RLIMIT_CORE, 0, "RLIMIT_CORE"));
  MUSTER_RETURN_IF_ERROR(Limit(RLIMIT_NOFILE, kJailMaxOpenFiles, "RLIMIT_NOFILE"));
  signal(SIGXFSZ, SIG_IGN);
  return absl::OkStatus();
}

// 0 and 1 become /dev/null; 2 stays for logs; all others but keep_fd close.
absl::Status CloseDescriptors(int keep_fd) {
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) return SystemError("/dev/null");
  if (dup2(null, 0) < 0 || dup2(null, 1) < 0) return SystemError("dup2");
  const auto keep = static_cast<unsigned>(keep_fd);
  if (keep_fd < 3) return close_range(3, ~0u, 0) == 0 ? absl::OkStatus() : SystemError("close");
  if (keep > 3 && close_range(3, keep - 1, 0) != 0) return SystemError("close");
  if (close_range(keep + 1, ~0u, 0) != 0) return SystemError("close");
  return absl::OkStatus();
}

}  // namespace

absl::Status EnterJail(const JailOptions& options) {
  MUSTER_RETURN_IF_ERROR(CloseDescriptors(options.keep_fd));
  if (chdir(options.temp_dir.c_str()) != 0) return SystemError(options.temp_dir.string());
  if (setenv("TMPDIR", options.temp_dir.c_str(), 1) != 0) return SystemError("TMPDIR");
  MUSTER_RETURN_IF_ERROR(SetLimits(options));
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return SystemError("PR_SET_NO_NEW_PRIVS");
  return LoadFilter();
}

}  // namespace muster
