// SPDX-License-Identifier: Apache-2.0
// Ids in what Unix sockets tell of those at their ends (unix(7)), where ids are answered: SCM_CREDENTIALS and SO_PEERCRED.
#include "emu/syscalls/cgroup_calls.h"
#include "emu/syscalls/congestion.h"
#include "emu/syscalls/socket_ids.h"

#include <sys/socket.h>
#include <sys/syscall.h>

#include <cstring>
#include <functional>

#include "emu/syscalls/handlers.h"
#include "emu/syscalls/rtnetlink.h"
#include "emu/syscalls/system.h"

namespace bpfemu {

namespace {

constexpr size_t kMostControl = 2048;

// The control messages of a msghdr in the tool's memory.
Result<std::string> control_of(Task& task, u64 address, msghdr& head) {
  TRY(task.read(address, &head, sizeof head));
  if (head.msg_controllen > kMostControl) return fail(EINVAL);
  std::string control(head.msg_controllen, '\0');
  TRY(task.read(reinterpret_cast<u64>(head.msg_control), control.data(), control.size()));
  return control;
}

// Changes every SCM_CREDENTIALS among them. False: there is none.
bool change_each(std::string& control, const std::function<void(ucred&)>& change) {
  bool found = false;
  for (size_t at = 0; at + sizeof(cmsghdr) <= control.size();) {
    cmsghdr message;
    std::memcpy(&message, control.data() + at, sizeof message);
    if (message.cmsg_len < sizeof message || message.cmsg_len > control.size() - at) break;
    size_t body = at + CMSG_LEN(0);
    if (message.cmsg_level == SOL_SOCKET && message.cmsg_type == SCM_CREDENTIALS &&
        message.cmsg_len >= CMSG_LEN(sizeof(ucred))) {
      ucred who;
      std::memcpy(&who, control.data() + body, sizeof who);
      change(who);
      std::memcpy(control.data() + body, &who, sizeof who);
      found = true;
    }
    at += CMSG_ALIGN(message.cmsg_len);
  }
  return found;
}

void show(const Root& root, ucred& who) {
  who.uid = root.shown_uid(who.uid);
  who.gid = root.shown_gid(who.gid);
}

}  // namespace

void watch_peers(System& system, Task& task) {
  if (system.identities.root().answered()) system.host.want_in_process(task, calls_of(TraceWhen::kPeers));
}

// The message is sent from a copy, for other threads may look at the tool's own.
Reply send_credentials(System& system, Call& call) {
  const Root& root = system.identities.root();
  msghdr head;
  if (!root.answered()) return Reply::native();
  auto control = control_of(call.task, call.args[1], head);
  if (!control) return Reply::native();
  bool others = false;  // that have no place in such a namespace (kernel: __scm_send)
  bool sent = change_each(*control, [&](ucred& who) {
    others |= who.uid != 0 || who.gid != 0;
    who.uid = root.uid;
    who.gid = root.gid;
  });
  if (others) return Reply::answer(-EINVAL);
  auto at = sent ? call.task.scratch(sizeof head + control->size()) : Result<u64>(u64{0});
  if (!sent || !at) return Reply::native();
  head.msg_control = reinterpret_cast<void*>(*at + sizeof head);
  if (!call.task.write(*at, &head, sizeof head)) return Reply::native();
  if (!call.task.write(*at + sizeof head, control->data(), control->size())) return Reply::native();
  call.args[1] = *at;
  return Reply::rewritten();
}

Reply enter_recvmsg(System& system, Call& call) {
  if (auto reply = receive_rtnetlink(system, call)) return *reply;
  if (receives_in_cgroup(system, call)) return Reply::native_then_exit();
  return system.identities.root().answered() ? Reply::native_then_exit() : Reply::native();
}

s64 exit_recvmsg(System& system, Call& call, s64 result) {
  msghdr head;
  if (result < 0) return result;
  received_in_cgroup(system, call);
  auto control = control_of(call.task, call.args[1], head);
  if (!control || !change_each(*control, [&](ucred& who) { show(system.identities.root(), who); })) return result;
  (void)call.task.write(reinterpret_cast<u64>(head.msg_control), control->data(), control->size());
  return result;
}

Reply enter_getsockopt(System& system, Call& call) {
  if (auto reply = get_option_in_cgroup(system, call)) return *reply;
  if (auto reply = get_congestion(system, call)) return *reply;
  bool asks = static_cast<int>(call.args[1]) == SOL_SOCKET && static_cast<int>(call.args[2]) == SO_PEERCRED;
  return asks && system.identities.root().answered() ? Reply::native_then_exit() : Reply::native();
}

s64 exit_getsockopt(System& system, Call& call, s64 result) {
  ucred who;
  u32 size = 0;
  if (result != 0 || !call.task.read(call.args[4], &size, sizeof size) || size < sizeof who) return result;
  if (!call.task.read(call.args[3], &who, sizeof who)) return result;
  if (who.pid == 0) return result;  // nobody at the other end: ids of -1
  show(system.identities.root(), who);
  (void)call.task.write(call.args[3], &who, sizeof who);
  return result;
}

}  // namespace bpfemu
