// SPDX-License-Identifier: Apache-2.0
// Calls that ask for a capability and pass little else that is told: which one, and when it comes to that.
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <time.h>

#include <algorithm>

#include "emu/base/proc_files.h"
#include "emu/hook/capability_checks.h"
#include "emu/hook/paths.h"

namespace bpfemu {

namespace {

constexpr u32 kUnchanged = ~0u;
constexpr u64 kUserModeOnly = 1;                         // kernel: UFFD_USER_MODE_ONLY
constexpr u32 kIoClassShift = 13, kIoClassRealTime = 1;  // kernel: IOPRIO_*, in a header that is not C++

// What a call asks before it looks at its arguments.
struct FirstThing {
  long call;
  u32 capability;
};
constexpr FirstThing kFirstThings[] = {
    {SYS_sethostname, CAP_SYS_ADMIN},    {SYS_setdomainname, CAP_SYS_ADMIN},
    {SYS_init_module, CAP_SYS_MODULE},   {SYS_finit_module, CAP_SYS_MODULE},
    {SYS_delete_module, CAP_SYS_MODULE}, {SYS_reboot, CAP_SYS_BOOT},
    {SYS_kexec_load, CAP_SYS_BOOT},      {SYS_swapon, CAP_SYS_ADMIN},
    {SYS_swapoff, CAP_SYS_ADMIN},        {SYS_acct, CAP_SYS_PACCT},
    {SYS_pivot_root, CAP_SYS_ADMIN},     {SYS_vhangup, CAP_SYS_TTY_CONFIG},
    {SYS_fanotify_init, CAP_SYS_ADMIN},  {SYS_syslog, CAP_SYSLOG},  // kernel.dmesg_restrict is set, as Debian has it
};

TaskFacts facts_of(Transit& call) {
  return call.services().host.facts(call.task().tid()).value_or(TaskFacts{});
}

bool is_new(u32 id, std::initializer_list<u32> held) {
  return id != kUnchanged && std::ranges::count(held, id) == 0;
}

void leave_untold(Transit& call) {
  call.untold(Hook::security_capable);
  call.untold(Hook::cap_capable);
}

// kernel: __sys_setreuid and its kin. `saved` of the task's ids is taken to be the effective one.
void set_ids(Transit& call, u32 capability, u32 real, u32 effective) {
  const auto ask = [&] { return pass_capable(call, capability, CapabilityOption::kInSetId); };
  const u32 first = static_cast<u32>(call.arg(0)), second = static_cast<u32>(call.arg(1)),
            third = static_cast<u32>(call.arg(2));
  switch (call.number()) {
    case SYS_setuid:
    case SYS_setgid:
      if (first != kUnchanged) ask();
      break;
    case SYS_setreuid:
    case SYS_setregid:
      if (is_new(first, {real, effective}) && !ask()) break;
      if (is_new(second, {real, effective})) ask();
      break;
    case SYS_setresuid:
    case SYS_setresgid:
      if (is_new(first, {real, effective}) || is_new(second, {real, effective}) || is_new(third, {real, effective}))
        ask();
      break;
    default:  // setfsuid, setfsgid
      if (is_new(first, {real, effective})) ask();
  }
}

// kernel: set_one_prio, can_nice. RLIMIT_NICE is taken to be 0, as it is by default.
void set_priority(Transit& call) {
  const u32 who = static_cast<u32>(call.arg(1));
  const TaskFacts facts = facts_of(call);
  if (call.arg(0) != PRIO_PROCESS || (who != 0 && who != static_cast<u32>(facts.local_tid))) return leave_untold(call);
  const s32 nice = std::clamp(static_cast<s32>(call.arg(2)), -20, 19);
  if (nice < static_cast<s32>(facts.priority) - 120) pass_capable(call, CAP_SYS_NICE);
}

// kernel: do_prlimit
void raise_limit(Transit& call) {
  const bool other = call.number() == SYS_prlimit64 && call.arg(0) != 0;
  const u64 given = call.arg(call.number() == SYS_prlimit64 ? 2 : 1);
  rlimit wanted;
  if (!given) return;
  if (other) return leave_untold(call);
  const u32 resource = static_cast<u32>(call.arg(call.number() == SYS_prlimit64 ? 1 : 0));
  if (resource >= RLIM_NLIMITS || !call.task().read(given, &wanted, sizeof wanted) || wanted.rlim_cur > wanted.rlim_max)
    return;
  rlimit now;
  if (::prlimit(call.task().tid(), static_cast<__rlimit_resource>(resource), nullptr, &now) != 0) return;
  if (wanted.rlim_max > now.rlim_max) pass_capable(call, CAP_SYS_RESOURCE);
}

// kernel: do_adjtimex, do_clock_settime; a time that is none is refused before.
void set_time(Transit& call) {
  if (call.number() == SYS_adjtimex || call.number() == SYS_clock_adjtime) {
    timex wanted;
    if (!call.task().read(call.arg(call.number() == SYS_adjtimex ? 0 : 1), &wanted, sizeof wanted)) return;
    if (wanted.modes != 0 && wanted.modes != ADJ_OFFSET_SS_READ) pass_capable(call, CAP_SYS_TIME);
    return;
  }
  const bool clock = call.number() == SYS_clock_settime;
  timespec wanted;
  if (!call.task().read(call.arg(clock ? 1 : 0), &wanted, sizeof wanted) || wanted.tv_sec < 0) return;
  if (clock && call.arg(0) == CLOCK_REALTIME && (wanted.tv_nsec < 0 || wanted.tv_nsec >= 1'000'000'000)) return;
  if (!clock || call.arg(0) == CLOCK_REALTIME) pass_capable(call, CAP_SYS_TIME);
}

// kernel: check_unshare_flags
bool has_siblings(Transit& call) {
  return status_field(read_proc(call.task().tid(), "status").value_or(""), "Threads", 10) > 1;
}

// kernel: ksys_unshare
void leave_user_namespace(Transit& call) {
  const Hook hook = Hook::security_create_user_ns;
  if (!(call.arg(0) & CLONE_NEWUSER) || !(call.awaited(hook) || call.decided(hook))) return;
  if (!has_siblings(call)) pass_new_user_namespace(call);
}

// kernel: copy_namespaces, unshare_nsproxy_namespaces
void make_namespaces(Transit& call, u64 flags) {
  constexpr u64 kSpaces = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWCGROUP;
  // A new user namespace gives the capability for those that are made with it.
  if (flags & kSpaces && !(flags & CLONE_NEWUSER)) pass_capable(call, CAP_SYS_ADMIN);
}

// kernel: check_kill_permission
void send_signal(Transit& call) {
  const pid_t whom = static_cast<pid_t>(call.arg(call.number() == SYS_tgkill ? 1 : 0));
  const auto target = whom > 0 ? call.services().host.facts(whom) : Result<TaskFacts>(fail(ESRCH));
  if (!target) return;
  const TaskFacts facts = facts_of(call);
  if (is_new(facts.euid, {target->uid, target->euid}) && is_new(facts.uid, {target->uid, target->euid}))
    pass_capable(call, CAP_KILL);
}

// kernel: sock_setsockopt
void set_socket(Transit& call) {
  if (call.arg(1) != SOL_SOCKET) return;
  switch (static_cast<u32>(call.arg(2))) {
    case SO_MARK: pass_capable(call, CAP_NET_RAW); break;
    case SO_SNDBUFFORCE:
    case SO_RCVBUFFORCE: pass_capable(call, CAP_NET_ADMIN); break;
    default:;
  }
}

// kernel: __sys_bpf asks first; what its commands ask is told of those alone that ask no more.
void use_bpf(Transit& call) {
  pass_capable(call, CAP_BPF);
  switch (static_cast<u32>(call.arg(0))) {
    case BPF_MAP_LOOKUP_ELEM:
    case BPF_MAP_UPDATE_ELEM:
    case BPF_MAP_DELETE_ELEM:
    case BPF_MAP_GET_NEXT_KEY:
    case BPF_MAP_LOOKUP_AND_DELETE_ELEM:
    case BPF_MAP_LOOKUP_BATCH:
    case BPF_OBJ_GET_INFO_BY_FD: break;
    default: leave_untold(call);
  }
}

}  // namespace

void pass_own_checks(Transit& call) {
  const auto first =
      std::ranges::find_if(kFirstThings, [&](const FirstThing& thing) { return thing.call == call.number(); });
  if (first != std::end(kFirstThings)) {
    pass_capable(call, first->capability);
    return;
  }
  switch (call.number()) {
    case SYS_setuid:
    case SYS_setreuid:
    case SYS_setresuid:
    case SYS_setfsuid: {
      const TaskFacts facts = facts_of(call);
      set_ids(call, CAP_SETUID, facts.uid, facts.euid);
      break;
    }
    case SYS_setgid:
    case SYS_setregid:
    case SYS_setresgid:
    case SYS_setfsgid: {
      const TaskFacts facts = facts_of(call);
      set_ids(call, CAP_SETGID, facts.gid, facts.gid);
      break;
    }
    case SYS_setgroups: pass_capable(call, CAP_SETGID, CapabilityOption::kInSetId); break;
    case SYS_setpriority: set_priority(call); break;
    case SYS_setrlimit:
    case SYS_prlimit64: raise_limit(call); break;
    case SYS_settimeofday:
    case SYS_clock_settime:
    case SYS_adjtimex:
    case SYS_clock_adjtime: set_time(call); break;
    case SYS_unshare: leave_user_namespace(call); [[fallthrough]];
    case SYS_clone: make_namespaces(call, call.arg(0)); break;
    case SYS_kill:
    case SYS_tkill:
    case SYS_tgkill: send_signal(call); break;
    case SYS_setsockopt: set_socket(call); break;
    case SYS_bpf: use_bpf(call); break;
    case SYS_ioprio_set:
      if (static_cast<u32>(call.arg(2)) >> kIoClassShift == kIoClassRealTime) pass_capable(call, CAP_SYS_ADMIN);
      break;
    case SYS_timerfd_create:
      if (call.arg(0) == CLOCK_REALTIME_ALARM || call.arg(0) == CLOCK_BOOTTIME_ALARM)
        pass_capable(call, CAP_WAKE_ALARM);
      break;
    case SYS_userfaultfd:
      if (!(call.arg(0) & kUserModeOnly)) pass_capable(call, CAP_SYS_PTRACE);
      break;
    case SYS_prctl:
      if (call.arg(0) == PR_CAPBSET_DROP) pass_capable(call, CAP_SETPCAP);
      break;
    default: leave_untold(call);  // it depends on what is not looked at here
  }
}

// Calls that do little else.
Path asking_leave(Transit& call) {
  pass_own_checks(call);
  co_return;
}

}  // namespace bpfemu
