// SPDX-License-Identifier: Apache-2.0
// Calls whose one place is a question to the security modules: what tasks, limits, locks and sockets are asked about.
#include <linux/capability.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <algorithm>

#include "emu/hook/capability_checks.h"
#include "emu/hook/lookup.h"
#include "emu/hook/paths.h"

namespace bpfemu {

namespace {

// Calls on the task that their first argument names.
struct TaskQuestion {
  long call;
  Hook hook;
  bool of_itself;  // 0 is asked about, too
};
constexpr TaskQuestion kTaskQuestions[] = {
    {SYS_getpgid, Hook::security_task_getpgid, false},
    {SYS_getsid, Hook::security_task_getsid, false},
    {SYS_sched_getscheduler, Hook::security_task_getscheduler, true},
    {SYS_sched_getparam, Hook::security_task_getscheduler, true},
    {SYS_sched_getaffinity, Hook::security_task_getscheduler, true},
    {SYS_sched_getattr, Hook::security_task_getscheduler, true},
    {SYS_sched_rr_get_interval, Hook::security_task_getscheduler, true},
    {SYS_sched_setscheduler, Hook::security_task_setscheduler, true},
    {SYS_sched_setparam, Hook::security_task_setscheduler, true},
    {SYS_sched_setaffinity, Hook::security_task_setscheduler, true},
};

// kernel: __sched_setscheduler. Deadlines take another call.
bool is_policy(Transit& call) {
  constexpr int kResetOnFork = 0x40000000, kMostPriority = 99;
  const bool keeps = call.number() == SYS_sched_setparam;
  const int policy = keeps ? ::sched_getscheduler(static_cast<pid_t>(call.arg(0) ? call.arg(0) : static_cast<u64>(call.task().tid())))
                           : static_cast<int>(call.arg(1));
  sched_param parameters;
  const u64 given = call.arg(keeps ? 1 : 2);
  if (policy < 0 || !given || !call.task().read(given, &parameters, sizeof parameters)) return false;
  switch (policy & ~kResetOnFork) {
    case SCHED_FIFO:
    case SCHED_RR: return parameters.sched_priority >= 1 && parameters.sched_priority <= kMostPriority;
    case SCHED_OTHER:
    case SCHED_BATCH:
    case SCHED_IDLE: return parameters.sched_priority == 0;
    default: return false;
  }
}

// What is refused before the task is asked about.
bool is_possible(Transit& call) {
  const u64 size = static_cast<u32>(call.arg(1));
  switch (call.number()) {
    case SYS_sched_getparam: return call.arg(1) != 0;
    case SYS_sched_getaffinity: return size % sizeof(u64) == 0 && size * 8 >= static_cast<u64>(::sysconf(_SC_NPROCESSORS_CONF));
    case SYS_sched_getattr: {
      constexpr u32 kLeast = 48;  // SCHED_ATTR_SIZE_VER0
      const u32 room = static_cast<u32>(call.arg(2));
      return call.arg(1) && room >= kLeast && room <= 4096 && !static_cast<u32>(call.arg(3));
    }
    case SYS_sched_setscheduler:
    case SYS_sched_setparam: return is_policy(call);
    default: return true;
  }
}

// The task that a number of the caller's names, 0: itself. Null: there is none.
u64 task_named(Transit& call, u64 number) {
  const pid_t pid = static_cast<pid_t>(number);
  return pid < 0 ? 0 : call.services().task_struct(pid ? pid : call.task().tid());
}

bool listened_to(const Transit& call, Hook hook) { return call.awaited(hook) || call.decided(hook); }

void ask_about(Transit& call, Hook hook, u64 number, u64 second = 0) {
  if (!listened_to(call, hook)) return;
  const u64 task = task_named(call, number);
  if (!task) return;
  call.ask(hook, [&](Arguments& a) {
    a[0] = task;
    a[1] = second;
  });
}

// kernel: setpgid. Of children alone, and not of those that lead a session or have executed.
void ask_about_group(Transit& call) {
  const Hook hook = Hook::security_task_setpgid;
  const pid_t self = call.task().tgid();
  const pid_t whom = static_cast<pid_t>(call.arg(0)) ? static_cast<pid_t>(call.arg(0)) : self;
  const pid_t group = static_cast<pid_t>(call.arg(1)) ? static_cast<pid_t>(call.arg(1)) : whom;
  if (group < 0 || !listened_to(call, hook)) return;
  const auto facts = call.services().host.facts(whom);
  if (!facts || facts->tid != facts->tgid || ::getsid(whom) == whom || ::getsid(whom) != ::getsid(self)) return;
  if (whom != self) {
    if (facts->parent_tgid != self) return;
    if (call.decided(hook)) call.untold(hook);  // whether it has executed is not looked at
  }
  if (group != whom && ::getsid(group) != ::getsid(self)) return;
  ask_about(call, hook, static_cast<u64>(whom), static_cast<u64>(group));
}

// kernel: ioprio_check_cap
bool is_io_priority(u64 value) {
  constexpr u32 kLevels = 8;
  const u32 level = static_cast<u32>(value) & 0x1fff;
  switch (static_cast<u32>(value) >> 13) {
    case 0: return level == 0;
    case 1:
    case 2: return level < kLevels;
    case 3: return true;
    default: return false;
  }
}

void ask_about_io(Transit& call) {
  constexpr u64 kProcess = 1;  // IOPRIO_WHO_PROCESS
  const bool sets = call.number() == SYS_ioprio_set;
  const Hook hook = sets ? Hook::security_task_setioprio : Hook::security_task_getioprio;
  if (sets) pass_own_checks(call);
  if (sets && !is_io_priority(call.arg(2))) return;
  if (call.arg(0) != kProcess) return call.arg(0) <= 3 ? call.untold(hook) : void();
  ask_about(call, hook, call.arg(1), sets ? static_cast<u32>(call.arg(2)) : 0);
}

}  // namespace

// getpgid and its kin, the scheduler's, and those of I/O priorities
Path asking_about_task(Transit& call) {
  switch (call.number()) {
    case SYS_setpgid: ask_about_group(call); co_return;
    case SYS_ioprio_get:
    case SYS_ioprio_set: ask_about_io(call); co_return;
    case SYS_sched_setattr:
      pass_own_checks(call);
      call.untold(Hook::security_task_setscheduler);
      co_return;
    case SYS_sched_setscheduler: pass_own_checks(call); break;
    default:;
  }
  const auto question =
      std::ranges::find_if(kTaskQuestions, [&](const TaskQuestion& each) { return each.call == call.number(); });
  if (!listened_to(call, question->hook) || !is_possible(call)) co_return;
  if (static_cast<pid_t>(call.arg(0)) || question->of_itself) ask_about(call, question->hook, call.arg(0));
}

// setrlimit, prlimit64 (kernel: do_prlimit)
Path limiting(Transit& call) {
  const bool of_any = call.number() == SYS_prlimit64;
  const u64 whom = of_any ? call.arg(0) : 0, given = call.arg(of_any ? 2 : 1);
  const u32 resource = static_cast<u32>(call.arg(of_any ? 1 : 0));
  rlimit wanted{};
  if (given && !call.task().read(given, &wanted, sizeof wanted)) co_return;
  const bool other = whom && static_cast<pid_t>(whom) != call.task().tid();
  if (other && listened_to(call, Hook::security_task_prlimit) && task_named(call, whom))
    call.ask(Hook::security_task_prlimit, [&](Arguments& a) {
      const auto credentials = [&](u64 task) {
        const u64 at = KernelObject(task, call.services().objects.structure("task_struct")).address("cred");
        return load<u64>(reinterpret_cast<const void*>(at));
      };
      a.lazily(0, [&] { return credentials(task_named(call, 0)); });
      a.lazily(1, [&] { return credentials(task_named(call, whom)); });
      a[2] = (call.arg(3) ? 1 : 0) | (given ? 2 : 0);  // LSM_PRLIMIT_READ, LSM_PRLIMIT_WRITE
    });
  pass_own_checks(call);
  if (!given || resource >= RLIM_NLIMITS || wanted.rlim_cur > wanted.rlim_max) co_return;
  if (!listened_to(call, Hook::security_task_setrlimit) || !task_named(call, whom)) co_return;
  call.ask(Hook::security_task_setrlimit, [&](Arguments& a) {
    a[0] = task_named(call, whom);
    a[1] = resource;
    a.lazily(2, [&] { return call.place(wanted); });
  });
}

// syslog: what comes before depends on kernel.dmesg_restrict, which Debian sets.
Path asking_log(Transit& call) {
  pass_own_checks(call);
  call.ask(Hook::security_syslog, [&](Arguments& a) { a[0] = static_cast<u32>(call.arg(0)); });
  co_return;
}

// flock
Path locking(Transit& call) {
  constexpr u64 kRead = 0, kWrite = 1, kNone = 2, kMandatory = 32;  // F_RDLCK, F_WRLCK, F_UNLCK, LOCK_MAND
  const u32 wanted = static_cast<u32>(call.arg(1)) & ~u32{LOCK_NB};
  const bool known = wanted == LOCK_SH || wanted == LOCK_EX || wanted == LOCK_UN;
  if (call.arg(1) & kMandatory || !known) co_return;
  OpenFile file(call, call.arg(0));
  if (!file.usable()) co_return;
  call.ask(Hook::security_file_lock, [&](Arguments& a) {
    a.lazily(0, [&] { return file.address(); });
    a[1] = wanted == LOCK_SH ? kRead : wanted == LOCK_EX ? kWrite : kNone;
  });
}

// getsockname, getpeername, getsockopt, setsockopt
Path asking_socket(Transit& call) {
  const long number = call.number();
  const bool sets = number == SYS_setsockopt, of_option = sets || number == SYS_getsockopt;
  const Hook hook = sets                        ? Hook::security_socket_setsockopt
                    : of_option                 ? Hook::security_socket_getsockopt
                    : number == SYS_getsockname ? Hook::security_socket_getsockname
                                                : Hook::security_socket_getpeername;
  const bool possible = !sets || static_cast<s32>(call.arg(4)) >= 0;
  if (possible && listened_to(call, hook)) {
    if (const auto socket = call.services().sockets.behind(call.task(), static_cast<int>(call.arg(0))))
      call.ask(hook, [&](Arguments& a) {
        a[0] = call.services().sockets.socket(*socket).address();
        a[1] = of_option ? static_cast<u32>(call.arg(1)) : 0;
        a[2] = of_option ? static_cast<u32>(call.arg(2)) : 0;
      });
  }
  if (sets && !call.denial()) pass_own_checks(call);
  co_return;
}

}  // namespace bpfemu
