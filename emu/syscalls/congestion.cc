// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/congestion.h"

#include <netinet/in.h>
#include <linux/tcp.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>

namespace bpfemu {

namespace {

constexpr u32 kNameMax = 16;  // kernel: TCP_CA_NAME_MAX
constexpr std::string_view kReno = "reno";  // which every kernel has, and lets everybody choose

bool is_about_congestion(const System& system, const Call& call) {
  const bool asked = static_cast<int>(call.args[1]) == IPPROTO_TCP && static_cast<int>(call.args[2]) == TCP_CONGESTION;
  return asked && !system.congestion_controls.empty();
}

// Which socket it is, if one of TCP's.
std::optional<u64> socket_of(Call& call, int fd) {
  const auto id = call.task.file_id(fd);
  return id ? std::optional(id->ino) : std::nullopt;
}

std::optional<u64> socket_of(int fd) {
  struct stat found{};
  return ::fstat(fd, &found) == 0 ? std::optional<u64>(found.st_ino) : std::nullopt;
}

}  // namespace

// Kernel: tcp_set_congestion_control. The host's own answer to a name that it has says what kind of socket it is.
std::optional<Reply> set_congestion(System& system, Call& call) {
  if (!is_about_congestion(system, call)) return std::nullopt;
  const auto socket = socket_of(call, static_cast<int>(call.args[0]));
  const s32 size = static_cast<s32>(call.args[4]);
  char name[kNameMax] = {};
  if (!socket || size < 1) return std::nullopt;
  const size_t shown = std::min<size_t>(static_cast<size_t>(size), kNameMax - 1);
  if (!call.task.read(call.args[3], name, shown)) return std::nullopt;
  auto control = system.congestion_controls.find(name);
  if (control) {
    const auto scratch = call.task.scratch(kReno.size());
    if (!scratch || !call.task.write(*scratch, kReno.data(), kReno.size())) return Reply::answer(-ENOMEM);
    if (!control->everybody() && !system.capabilities(call.task).net_admin) return Reply::answer(-EPERM);
    call.args[3] = *scratch;
    call.args[4] = kReno.size();
    system.unmodelled.note("functions of the congestion control", control->name);
  }
  const auto set = call.task.call(call.number, call.args);
  if (!set) return Reply::answer(-s64{set.error().value});
  system.congestion_controls.choose(*socket, std::move(control));
  return Reply::answer(*set);
}

// Kernel: the TCP_CONGESTION arm of do_tcp_getsockopt.
std::optional<Reply> get_congestion(System& system, Call& call) {
  if (!is_about_congestion(system, call)) return std::nullopt;
  const auto socket = socket_of(call, static_cast<int>(call.args[0]));
  const auto control = socket ? system.congestion_controls.of(*socket) : nullptr;
  s32 size = 0;
  if (!control || !call.task.read(call.args[4], &size, sizeof size) || size < 0) return std::nullopt;
  char name[kNameMax] = {};
  control->name.copy(name, kNameMax - 1);
  size = std::min<s32>(size, kNameMax);
  const bool put = call.task.write(call.args[4], &size, sizeof size) &&
                   call.task.write(call.args[3], name, static_cast<size_t>(size));
  return Reply::answer(put ? 0 : -EFAULT);
}

s64 set_congestion(System& system, int fd, const void* value, u32 size) {
  if (size < 2) return -EINVAL;
  const std::string_view text(static_cast<const char*>(value), std::min(size, kNameMax - 1));
  const std::string_view name = text.substr(0, text.find('\0'));
  if (name == "cdg") return -ENOTSUPP;  // its state is a pointer, which programs could change
  auto control = system.congestion_controls.find(name);
  if (control) system.unmodelled.note("functions of the congestion control", control->name);
  const std::string_view chosen = control ? kReno : name;
  if (::setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, chosen.data(), static_cast<socklen_t>(chosen.size())) != 0) return -errno;
  if (const auto socket = socket_of(fd)) system.congestion_controls.choose(*socket, std::move(control));
  return 0;
}

s64 get_congestion(System& system, int fd, void* value, u32 size) {
  if (size < 2) return -EINVAL;
  char* const name = static_cast<char*>(value);
  const auto socket = socket_of(fd);
  const auto control = socket ? system.congestion_controls.of(*socket) : nullptr;
  socklen_t length = size - 1;
  name[length] = '\0';
  if (!control) return ::getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &length) == 0 ? 0 : -errno;
  std::memset(name, 0, std::min<size_t>(length, kNameMax));
  control->name.copy(name, length);
  return 0;
}

void forget_congestion(System& system, int fd) {
  if (const auto socket = socket_of(fd)) system.congestion_controls.choose(*socket, nullptr);
}

void accepted_congestion(System& system, Call& call, s64 connection) {
  if (system.congestion_controls.empty()) return;
  const auto from = socket_of(call, static_cast<int>(call.args[0])), to = socket_of(call, static_cast<int>(connection));
  if (from && to) system.congestion_controls.inherit(*from, *to);
}

}  // namespace bpfemu
