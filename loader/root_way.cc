// SPDX-License-Identifier: Apache-2.0
#include "loader/root_way.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "emu/base/fd.h"

namespace bpfemu {

namespace {

Result<void> put(const char* path, const std::string& text) {
  const UniqueFd file(::open(path, O_WRONLY | O_CLOEXEC));
  if (!file || ::write(file.get(), text.data(), text.size()) < 0) return fail(errno);
  return {};
}

u64 own_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  ::syscall(SYS_capget, &header, data);
  return u64{data[1].effective} << 32 | data[0].effective;
}

// 0, or the errno of what a user namespace lacks. Its capabilities show when one is used.
int try_namespace(u32 uid, u32 gid) {
  const pid_t child = ::fork();
  if (child < 0) return errno;
  if (child == 0) {
    const Result<void> entered = enter_user_namespace(uid, gid);
    if (!entered) ::_exit(entered.error().value);
    ::_exit(::unshare(CLONE_NEWUTS) == 0 ? 0 : errno);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return errno;
  return WIFEXITED(status) ? WEXITSTATUS(status) : EPERM;
}

}  // namespace

Result<void> enter_user_namespace(u32 uid, u32 gid) {
  if (::unshare(CLONE_NEWUSER) != 0) return fail(errno);
  // Without this nobody may map a group (user_namespaces(7)).
  TRY(put("/proc/self/setgroups", "deny"));
  TRY(put("/proc/self/uid_map", fmt::format("0 {} 1", uid)));
  return put("/proc/self/gid_map", fmt::format("0 {} 1", gid));
}

Root find_root() {
  Root root;
  if (::geteuid() == 0) {
    root.way = RootWay::kReal;
    root.lacking = Root::kAllCapabilities & ~own_capabilities();
    return root;
  }
  root.uid = ::geteuid();
  root.gid = ::getegid();
  root.refused = try_namespace(root.uid, root.gid);
  root.way = root.refused == 0 ? RootWay::kNamespace : RootWay::kAnswered;
  return root;
}

std::string describe(const Root& root) {
  switch (root.way) {
    case RootWay::kBare: return "the command runs as the user that started it";
    case RootWay::kReal: return "the command runs as root, which started it";
    case RootWay::kNamespace: return "the command is root in a user namespace";
    case RootWay::kAnswered: break;
  }
  return fmt::format("the command is told that it is root: a user namespace cannot be had: {}",
                     std::strerror(root.refused));
}

}  // namespace bpfemu
