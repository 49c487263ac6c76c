// SPDX-License-Identifier: Apache-2.0
// A program that takes long to verify holds up nobody but its loader, and a signal or SIGKILL ends the load.
#include "probe.h"

enum { kOthers = 20 };

static void nothing(int signal) {
  (void)signal;
}

// Counts to more than the verifier follows.
static int load(int count) {
  const struct bpf_insn code[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = 0},
      {.code = BPF_ALU64 | BPF_ADD | BPF_K, .imm = 1},
      {.code = BPF_JMP | BPF_JLT | BPF_K, .off = -2, .imm = count},
      {.code = BPF_JMP | BPF_EXIT},
  };
  union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_SOCKET_FILTER, .insn_cnt = sizeof code / sizeof code[0]};
  attr.insns = (uintptr_t)code;
  attr.license = (uintptr_t)"GPL";
  return bpf_call(BPF_PROG_LOAD, &attr) < 0 ? -errno : 0;
}

// Loads until a signal comes; `turn` is odd within a load. Its last result, or 0 when one was accepted.
static int load_often(atomic_int* turn) {
  struct sigaction action = {.sa_handler = nothing};
  sigaction(SIGUSR1, &action, NULL);
  int result = -E2BIG;
  while (result == -E2BIG) {
    ++*turn;
    result = load(1000000);
    ++*turn;
  }
  return -result;
}

// How many calls came and went within one load, kOthers at the most.
static int within_a_load(atomic_int* turn) {
  for (int first = -1, calls = 0;;) {
    const int now = *turn;
    calls = now % 2 && now == first ? calls + 1 : 0;
    first = now;
    if (calls >= kOthers || now > 20) return calls;
    close(open("/dev/null", O_RDONLY));
  }
}

int main(void) {
  atomic_int* const turn = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (load(10) < 0 && !demanded()) return printf("%d others, ended by %d and %d\n", kOthers, EAGAIN, -SIGKILL), 0;
  const pid_t loader = fork();
  if (loader == 0) _exit(load_often(turn));
  const int others = within_a_load(turn);
  int status = 0;
  for (; waitpid(loader, &status, WNOHANG) == 0; sleep_ms(1)) kill(loader, SIGUSR1);
  const pid_t killed = fork();
  if (killed == 0) _exit(load_often(turn));
  sleep_ms(20);
  kill(killed, SIGKILL);
  printf("%d others, ended by %d and %d\n", others, WEXITSTATUS(status), ended(killed));
}
