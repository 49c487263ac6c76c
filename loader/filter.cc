// SPDX-License-Identifier: Apache-2.0
#include "loader/filter.h"

#include <linux/audit.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <initializer_list>
#include <optional>

#include "loader/stub_area.h"

namespace bpfemu {

namespace {

using Code = std::vector<sock_filter>;

constexpr u32 kI386Bpf = 357, kI386PerfEventOpen = 336;

constexpr u32 kOffsetNr = offsetof(seccomp_data, nr), kOffsetArch = offsetof(seccomp_data, arch);
constexpr u32 arg_low(int n) {
  return offsetof(seccomp_data, args) + 8 * n;
}
constexpr u32 arg_high(int n) {
  return arg_low(n) + 4;
}

sock_filter statement(u32 code, u32 k) {
  return {static_cast<u16>(code), 0, 0, k};
}
sock_filter load(u32 offset) {
  return statement(BPF_LD | BPF_W | BPF_ABS, offset);
}
sock_filter give(u32 action) {
  return statement(BPF_RET | BPF_K, action);
}
sock_filter jump(u32 op, u32 k, u8 yes, u8 no) {
  return {static_cast<u16>(BPF_JMP | op | BPF_K), yes, no, k};
}

void append(Code& code, std::initializer_list<sock_filter> more) {
  for (const sock_filter& instruction : more) code.push_back(instruction);
}

// The loader's own calls, and when a call stops for some arguments only. `op` compares the low word of argument `arg`
// with each of `values`; `stop_if` says which outcome stops.
struct Narrowed {
  long number;
  int arg;
  u32 op;
  u32 values[4];
  bool stop_if;
};
constexpr Narrowed kNarrowed[] = {
    {SYS_clone, 0, BPF_JSET, {CLONE_UNTRACED, CLONE_NEWPID, 0, 0}, true},                // the child would escape
    {SYS_rt_sigaction, 0, BPF_JEQ, {SIGTRAP, SIGSYS, SIGSEGV, SIGBUS}, true},  // our own traps and faults reset these
    {SYS_prctl,
     0,
     BPF_JEQ,
     {PR_SET_NAME, PR_SET_SECCOMP, PR_SET_SYSCALL_USER_DISPATCH, PR_SET_SECCOMP},
     true},                                                    // comm is cached; see own_filter.h, decider.h
    {SYS_mmap, 3, BPF_JSET, {MAP_ANONYMOUS, 0, 0, 0}, false},  // carriers and code come from files
    {SYS_ioctl, 1, BPF_JEQ, {kNewUserfault, kNewUserfault, kNewUserfault, kNewUserfault}, true},  // see memory_worker.h
    // Every program asks for its limit of stack as it starts; this one alone is answered (emu/syscalls/limits.cc).
    {SYS_prlimit64, 1, BPF_JEQ, {RLIMIT_MEMLOCK, RLIMIT_MEMLOCK, RLIMIT_MEMLOCK, RLIMIT_MEMLOCK}, true},
    {SYS_setrlimit, 0, BPF_JEQ, {RLIMIT_MEMLOCK, RLIMIT_MEMLOCK, RLIMIT_MEMLOCK, RLIMIT_MEMLOCK}, true},
    // Through these programs are attached, whoever is on the other side (emu/syscalls/network.cc).
    {SYS_socket, 0, BPF_JEQ, {AF_PACKET, AF_XDP, AF_XDP, AF_XDP}, true},
    // And messages to rtnetlink, of those who do not ask for extended errors.
    {SYS_sendto, 5, BPF_JEQ, {sizeof(sockaddr_nl), sizeof(sockaddr_nl), sizeof(sockaddr_nl), sizeof(sockaddr_nl)}, true},
    // And SO_PASSCRED asks for ids (emu/syscalls/socket_ids.cc).
    {SYS_setsockopt, 2, BPF_JEQ, {NETLINK_EXT_ACK, SO_ATTACH_BPF, SO_ATTACH_REUSEPORT_EBPF, SO_PASSCRED}, true},
};
// Always: flags in memory, a restarted call, the cached credentials, filters and tracers of the program's own, masks of
// CPUs (cpu_follower.h), memory that keeps others waiting, descriptors of a thread that maps for us, folders that are had
// without a path that is looked at (emu/syscalls/held_folders.h).
constexpr long kLoaderCalls[] = {
    SYS_open_tree,        SYS_open_by_handle_at,
    SYS_userfaultfd,      SYS_pidfd_getfd, SYS_clone3,    SYS_restart_syscall, SYS_setuid,   SYS_setgid,
    SYS_setreuid,         SYS_setregid,    SYS_setresuid, SYS_setresgid,       SYS_setfsuid, SYS_setfsgid,
    SYS_capset,           SYS_unshare,     SYS_setns,     SYS_seccomp,         SYS_ptrace,   SYS_sched_getaffinity,
    SYS_sched_setaffinity};

// Null where the call stops always or never. Anonymous mappings are nobody's business; the other conditions are the
// loader's, and give way when the table wants every call.
const Narrowed* narrowing(const FilterSpec& spec, long number) {
  for (const Narrowed& n : kNarrowed)
    if (n.number == number) return n.stop_if && spec.trace[number] ? nullptr : &n;
  return nullptr;
}

// One run of call numbers that all get the same instructions.
struct Range {
  u32 first;
  Code body;
};

Code getpid_body(const FilterSpec& spec, u32 otherwise) {
  Code code;
  append(code, {load(arg_low(0)), jump(BPF_JEQ, static_cast<u32>(kPresence), 0, 3), load(arg_high(0)),
                jump(BPF_JEQ, kPresence >> 32, 0, 1), give(SECCOMP_RET_ERRNO | kPresenceErrno)});
  if (spec.secret) {
    const Secret& s = *spec.secret;
    append(code, {load(arg_low(0)), jump(BPF_JEQ, static_cast<u32>(s.first), 0, 7), load(arg_high(0)),
                  jump(BPF_JEQ, static_cast<u32>(s.first >> 32), 0, 5), load(arg_low(1)),
                  jump(BPF_JEQ, static_cast<u32>(s.second), 0, 3), load(arg_high(1)),
                  jump(BPF_JEQ, static_cast<u32>(s.second >> 32), 0, 1), give(SECCOMP_RET_USER_NOTIF)});
  }
  code.push_back(give(otherwise));
  return code;
}

Code narrowed_body(const Narrowed& n) {
  const u32 met = n.stop_if ? SECCOMP_RET_TRACE : SECCOMP_RET_ALLOW;
  const u32 unmet = n.stop_if ? SECCOMP_RET_ALLOW : SECCOMP_RET_TRACE;
  return {load(arg_low(n.arg)),
          jump(n.op, n.values[0], 3, 0),
          jump(n.op, n.values[1], 2, 0),
          jump(n.op, n.values[2], 1, 0),
          jump(n.op, n.values[3], 0, 1),
          give(met),
          give(unmet)};
}

// Calls that are made by code of ours do not stop: it lies at [first, first + size), all within one high word.
Code made_by_us(u64 first, u64 size) {
  constexpr u32 kIpLow = offsetof(seccomp_data, instruction_pointer), kIpHigh = kIpLow + 4;
  const u32 low = static_cast<u32>(first), end = low + static_cast<u32>(size);
  return {load(kIpHigh),
          jump(BPF_JEQ, static_cast<u32>(first >> 32), 0, 4),
          load(kIpLow),
          jump(BPF_JGE, low, 0, 2),
          jump(BPF_JGE, end + 1, 1, 0),
          give(SECCOMP_RET_ALLOW),
          give(SECCOMP_RET_TRACE)};
}
// A process may have decided by itself that the call is the kernel's.
Code decided_body() { return made_by_us(kStubArea, kStubAreaSize); }
// Or has run the programs that listen to it: whatever the call, what follows is for others.
Code told_begin() {
  Code code = made_by_us(kStubArea, kInsideState - kStubArea);
  code.pop_back();
  return code;
}
// The image asks the kernel which file a descriptor is.
Code image_body() { return made_by_us(kInsideImage, kInsideState - kInsideImage); }

// A read that fills more than a page is nobody's business, unless every read is.
constexpr Narrowed kSmallReads = {SYS_read, 2, BPF_JGE, {4097, 4097, 4097, 4097}, false};

// So few bytes are, where a descriptor may be an object's, but not what goes to a terminal or a log.
Code brief_body() {
  constexpr u32 kFirstOther = 3, kTooMany = 1025;
  return {load(arg_low(0)), jump(BPF_JGE, kFirstOther, 0, 2), load(arg_low(2)), jump(BPF_JGE, kTooMany, 0, 1),
          give(SECCOMP_RET_ALLOW), give(SECCOMP_RET_TRACE)};
}

// The conditions that stand for numbers of their own in the set of calls.
std::optional<Code> conditional_body(const FilterSpec& spec, long number) {
  if (spec.trace[number]) return std::nullopt;
  if (number == SYS_read && spec.trace[kSmallRead]) return narrowed_body(kSmallReads);
  if (number == SYS_read && spec.trace[kBriefRead]) return brief_body();
  if (number == SYS_write && spec.trace[kBriefWrite]) return brief_body();
  return std::nullopt;
}

Code body_of(const FilterSpec& spec, long number) {
  if (spec.base && !is_claimed_call(number)) return {give(SECCOMP_RET_TRACE)};
  if (const std::optional<Code> conditional = conditional_body(spec, number)) return *conditional;
  if (spec.base && number == SYS_fstat && spec.trace[number]) return image_body();
  u32 action = SECCOMP_RET_ALLOW;
  if (spec.trap[number]) action = SECCOMP_RET_TRAP | kTrapTag;
  if (spec.trace[number]) action = SECCOMP_RET_TRACE;
  if (spec.base) {
    if (number == SYS_getpid) return getpid_body(spec, action);
    if (const Narrowed* narrowed = narrowing(spec, number)) {
      Code code = narrowed_body(*narrowed);
      if (!spec.decided || !decided_calls()[number]) return code;
      code.pop_back();  // the verdict that stops
      for (const sock_filter& instruction : decided_body()) code.push_back(instruction);
      return code;
    }
    if (loader_syscalls()[number]) action = SECCOMP_RET_TRACE;
    if (spec.decided && spec.trace[number] && decided_calls()[number]) return decided_body();
  }
  return {give(action)};
}

bool same(const Code& a, const Code& b) {
  return a.size() == 1 && b.size() == 1 && a[0].code == b[0].code && a[0].k == b[0].k;
}

std::vector<Range> ranges_of(const FilterSpec& spec) {
  std::vector<Range> ranges;
  // The last place is that of all numbers above, x32's and negative ones among them.
  for (u32 number = 0; number <= kUnknownCalls; ++number) {
    Code body = body_of(spec, number);
    if (ranges.empty() || !same(ranges.back().body, body)) ranges.push_back({number, std::move(body)});
  }
  return ranges;
}

// Binary search over ranges [from, to): the accumulator holds the call's number.
Code search(const std::vector<Range>& ranges, size_t from, size_t to) {
  if (to - from == 1) return ranges[from].body;
  const size_t middle = from + (to - from) / 2;
  Code left = search(ranges, from, middle), right = search(ranges, middle, to);
  Code code;
  if (left.size() <= 255) {
    code.push_back(jump(BPF_JGE, ranges[middle].first, static_cast<u8>(left.size()), 0));
  } else {
    append(code,
           {jump(BPF_JGE, ranges[middle].first, 0, 1), statement(BPF_JMP | BPF_JA, static_cast<u32>(left.size()))});
  }
  code.insert(code.end(), left.begin(), left.end());
  code.insert(code.end(), right.begin(), right.end());
  return code;
}

}  // namespace

const SyscallSet& loader_syscalls() {
  static const SyscallSet set = [] {
    SyscallSet s;
    for (const Narrowed& n : kNarrowed) s.set(n.number);
    for (long number : kLoaderCalls) s.set(number);
    return s;
  }();
  return set;
}

bool is_claimed_call(long number) {
  static const SyscallSet calls = [] {
    SyscallSet set;
#define SYSCALL(number, ...) set.set(number);
#include "emu/abi/syscalls.inc"
#undef SYSCALL
    return set;
  }();
  return calls[place_of_call(number)];
}

SyscallSet fully_traced(const FilterSpec& spec) {
  SyscallSet set = spec.trace;
  if (!spec.base) return set;
  for (long number : kLoaderCalls) set.set(number);
  for (const Narrowed& n : kNarrowed)
    if (narrowing(spec, n.number)) set.reset(n.number);
  return set;
}

std::vector<sock_filter> build_filter(const FilterSpec& spec) {
  Code code;
  append(code, {load(kOffsetArch), jump(BPF_JEQ, AUDIT_ARCH_X86_64, spec.base ? 5 : 1, 0)});
  if (spec.base) {
    // 32-bit bpf() and perf_event_open() are answered ENOSYS, but aloud, so they stop too.
    append(code, {load(kOffsetNr), jump(BPF_JEQ, kI386Bpf, 1, 0), jump(BPF_JEQ, kI386PerfEventOpen, 0, 1),
                  give(SECCOMP_RET_TRACE | kCompatTag)});
  }
  code.push_back(give(SECCOMP_RET_ALLOW));
  if (!spec.base)
    for (const sock_filter& instruction : told_begin()) code.push_back(instruction);
  code.push_back(load(kOffsetNr));
  Code tree = search(ranges_of(spec), 0, ranges_of(spec).size());
  code.insert(code.end(), tree.begin(), tree.end());
  return code;
}

}  // namespace bpfemu
