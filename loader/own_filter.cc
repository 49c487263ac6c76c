// SPDX-License-Identifier: Apache-2.0
#include "loader/own_filter.h"

#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>

namespace bpfemu {

namespace {

// Calls that we run in a thread's name, apart from mmap. None takes more than four arguments, as we use them.
constexpr long kMarked[] = {SYS_getpid,  SYS_seccomp, SYS_rt_sigaction, SYS_openat,     SYS_close,
                            SYS_munmap,  SYS_clone,   SYS_fstat,        SYS_newfstatat, SYS_getppid,
                            SYS_sendmsg, SYS_poll,    SYS_epoll_wait,   SYS_prctl,      SYS_exit};
constexpr int kFirst = 4, kSecond = 5;
constexpr u64 kHighWord = ~u64{0} << 32;

constexpr u32 low_of(int arg) {
  return offsetof(seccomp_data, args) + 8 * arg;
}

sock_filter load(u32 offset) {
  return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset);
}
sock_filter give(u32 action) {
  return BPF_STMT(BPF_RET | BPF_K, action);
}
sock_filter if_equal(u32 value, size_t yes, size_t no) {
  return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, static_cast<u8>(yes), static_cast<u8>(no));
}

}  // namespace

std::optional<SeccompRequest> seccomp_request(long number, const std::array<u64, 6>& args) {
  if (number == SYS_prctl && static_cast<int>(args[0]) == PR_SET_SECCOMP)
    return SeccompRequest{args[1] == SECCOMP_MODE_STRICT, false};
  if (number != SYS_seccomp) return {};
  const u32 operation = static_cast<u32>(args[0]);
  if (operation == SECCOMP_SET_MODE_STRICT) return SeccompRequest{true, false};
  if (operation != SECCOMP_SET_MODE_FILTER) return {};
  return SeccompRequest{false, (args[1] & SECCOMP_FILTER_FLAG_NEW_LISTENER) != 0};
}

std::array<u64, 6> marked(long number, std::array<u64, 6> args, const Secret& secret) {
  if (number == SYS_prctl) return args;  // it minds its fifth
  if (number == SYS_mmap) {
    // The kernel takes 32 bits of the descriptor, and none where there is no file.
    args[kFirst] = (args[kFirst] & ~kHighWord) | (secret.first & kHighWord);
  } else if (std::ranges::find(kMarked, number) != std::end(kMarked)) {
    args[kFirst] = secret.first;
    args[kSecond] = secret.second;
  }
  return args;
}

std::vector<sock_filter> behind_gate(const std::vector<sock_filter>& filter, const Secret& secret) {
  const auto low = [](u64 word) { return static_cast<u32>(word); };
  const auto high = [](u64 word) { return static_cast<u32>(word >> 32); };
  const std::vector<sock_filter> of_mmap = {load(low_of(kFirst) + 4), if_equal(high(secret.first), 0, 1),
                                            give(SECCOMP_RET_ALLOW)};
  const size_t past = of_mmap.size();  // what fails goes on with the program's filter
  const std::vector<sock_filter> both = {load(low_of(kFirst)),      if_equal(low(secret.first), 0, past + 7),
                                         load(low_of(kFirst) + 4),  if_equal(high(secret.first), 0, past + 5),
                                         load(low_of(kSecond)),     if_equal(low(secret.second), 0, past + 3),
                                         load(low_of(kSecond) + 4), if_equal(high(secret.second), 0, past + 1),
                                         give(SECCOMP_RET_ALLOW)};
  const size_t numbers = std::size(kMarked);
  std::vector<sock_filter> code = {load(offsetof(seccomp_data, nr)), if_equal(SYS_mmap, numbers + 1 + both.size(), 0)};
  for (size_t i = 0; i < numbers; ++i) code.push_back(if_equal(static_cast<u32>(kMarked[i]), numbers - i, 0));
  code.push_back(BPF_STMT(BPF_JMP | BPF_JA, static_cast<u32>(both.size() + of_mmap.size())));
  code.insert(code.end(), both.begin(), both.end());
  code.insert(code.end(), of_mmap.begin(), of_mmap.end());
  // A filter begins with nothing in its accumulator.
  code.push_back(BPF_STMT(BPF_LD | BPF_IMM, 0));
  for (sock_filter insn : filter) {
    const bool traces = insn.code == (BPF_RET | BPF_K) && (insn.k & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_TRACE;
    code.push_back(traces ? give(SECCOMP_RET_ERRNO | ENOSYS) : insn);
  }
  if (code.size() > BPF_MAXINSNS) code.clear();
  return code;
}

}  // namespace bpfemu
