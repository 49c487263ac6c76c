// SPDX-License-Identifier: Apache-2.0
// epoll. The kernel's own set holds the carriers, and reports those that are readable. A perf event reports a wakeup
// once, so what a wait reported is taken away at its exit; a state that no pipe can show is added at its entry.
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cstdio>

#include "emu/syscalls/poll.h"
#include "emu/syscalls/system.h"

namespace bpfemu {

namespace {

constexpr u32 kKernelMinorBits = 20;  // of the kernel's own dev_t, which fdinfo shows
constexpr u64 kMaxEvents = 1 << 16;

// A file in an epoll set.
struct Member {
  u32 events;
  u64 data;
  FileId file;
};

// What the set holds, as the host shows it. Error: the thread's /proc is closed to us.
Result<std::vector<Member>> members_of(Task& task, int set) {
  std::FILE* file = std::fopen(fmt::format("/proc/{}/fdinfo/{}", task.tid(), set).c_str(), "re");
  if (!file) return fail(errno);
  std::vector<Member> members;
  char line[256];
  while (std::fgets(line, sizeof line, file)) {
    unsigned events, device;
    unsigned long long data, inode;
    if (std::sscanf(line, "tfd: %*d events: %x data: %llx pos:%*d ino:%llx sdev:%x", &events, &data, &inode, &device) ==
        4) {
      u64 host_device = makedev(device >> kKernelMinorBits, device & ((1u << kKernelMinorBits) - 1));
      members.push_back({events, data, {host_device, inode}});
    }
  }
  std::fclose(file);
  return members;
}

std::vector<epoll_event> read_events(const Call& call, s64 count) {
  std::vector<epoll_event> events(static_cast<size_t>(count));
  if (!call.task.read(call.args[1], events.data(), events.size() * sizeof(epoll_event))) events.clear();
  return events;
}

// Files in the set whose state lasts, and is of interest there.
std::vector<epoll_event> lasting_events(System& system, Call& call) {
  std::vector<epoll_event> events;
  auto members = members_of(call.task, static_cast<int>(call.args[0]));
  if (!members) return events;
  for (const Member& member : *members) {
    // An edge was there once, when the file joined the set.
    if (member.events & (EPOLLET | EPOLLONESHOT)) continue;
    auto file = system.files.find(member.file);
    u32 mask = file ? file->condition() & (member.events | EPOLLERR | EPOLLHUP) : 0;
    if (mask) events.push_back({.events = mask, .data = {.u64 = member.data}});
  }
  return events;
}

// Adds `events` to what the kernel finds without waiting.
Result<u64> wait_now(Call& call, const std::vector<epoll_event>& events) {
  u64 limit = static_cast<u32>(call.args[2]);
  u64 count = TRY(call.task.call(SYS_epoll_wait, {call.args[0], call.args[1], limit, 0, 0, 0}));
  u64 more = std::min<u64>(limit - std::min(limit, count), events.size());
  TRY(call.task.write(call.args[1] + count * sizeof(epoll_event), events.data(), more * sizeof(epoll_event)));
  return count + more;
}

}  // namespace

// kernel: ep_insert and ep_modify ask the file at once. What a perf event answers to that, epoll_wait does not get:
// it asks again.
Reply enter_epoll_ctl(System& system, Call& call) {
  int operation = static_cast<int>(call.args[1]);
  if (operation != EPOLL_CTL_ADD && operation != EPOLL_CTL_MOD) return Reply::native();
  auto file = system.files.ours(call.task, static_cast<int>(call.args[2]));
  if (!file || (!file->object() && !file->pollable())) return Reply::native();
  if (!file->can_poll()) return Reply::answer(-EPERM);
  if (file->condition()) system.files.remember_condition(*file);
  if (file->reports_once() || !file->readable()) {
    ask(system, *file);
  } else {
    system.files.signal(*file);
  }
  return Reply::native();
}

// Nothing is ever signalled here: a record that woke nobody when it was written must not end a wait that begins later.
Reply enter_epoll_wait(System& system, Call& call) {
  system.files.settle();
  int limit = static_cast<int>(call.args[2]);
  if (system.files.has_conditions() && limit > 0) {
    auto events = lasting_events(system, call);
    if (!events.empty()) return Reply::answer(wait_now(call, events));
  }
  return system.files.any_reports_once() ? Reply::native_then_exit() : Reply::native();
}

s64 exit_epoll_wait(System& system, Call& call, s64 result) {
  if (result <= 0 || static_cast<u64>(result) > kMaxEvents) return result;
  auto signalled = system.files.signalled_once();
  if (signalled.empty()) return result;
  auto members = members_of(call.task, static_cast<int>(call.args[0]));
  if (!members) {
    // Which of them were reported nobody can say. Rather one too few wakeups than a loop that never sleeps.
    for (auto& file : signalled) ask(system, *file);
    return result;
  }
  for (const epoll_event& event : read_events(call, result)) {
    auto reported = std::ranges::find_if(*members, [&](const Member& member) {
      auto file = member.data == event.data.u64 ? system.files.find(member.file) : nullptr;
      return file && std::ranges::count(signalled, file);
    });
    if (reported == members->end()) continue;
    ask(system, *system.files.find(reported->file));
    members->erase(reported);
  }
  return result;
}

}  // namespace bpfemu
