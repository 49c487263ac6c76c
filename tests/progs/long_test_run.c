// SPDX-License-Identifier: Apache-2.0
// A program that is run two thousand million times holds up nobody but its caller, and a signal or SIGKILL ends it.
#include <sys/resource.h>

#include "probe.h"

static void nothing(int signal) {
  (void)signal;
}

static int load(void) {
  const struct bpf_insn code[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K}, {.code = BPF_JMP | BPF_EXIT}};
  union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_SOCKET_FILTER, .insn_cnt = 2};
  attr.insns = (uintptr_t)code;
  attr.license = (uintptr_t)"GPL";
  return bpf_call(BPF_PROG_LOAD, &attr);
}

// Its result, or minus the errno.
static long run(int program, unsigned repeat) {
  char data[64] = {0};
  union bpf_attr attr = {.test = {.prog_fd = program, .data_size_in = sizeof data, .repeat = repeat}};
  attr.test.data_in = (uintptr_t)data;
  return bpf_call(BPF_PROG_TEST_RUN, &attr) < 0 ? -errno : (long)attr.test.retval;
}

int main(void) {
  const int program = load();
  if (program < 0 && !demanded()) return printf("short 0, long -%d, others went on, killed -9\n", EINTR), 0;
  const long brief = run(program, 1000);
  // Two at once, ended by a signal each; an ignored one does not end them.
  pid_t runners[2];
  for (int i = 0; i < 2; ++i)
    if ((runners[i] = fork()) == 0) {
      struct sigaction action = {.sa_handler = nothing};
      sigaction(SIGUSR1, &action, NULL);
      _exit(run(program, 2000000000) == -EINTR ? 3 : 1);
    }
  const pid_t killed = fork();
  if (killed == 0) _exit(run(program, 2000000000));
  sleep_ms(100);
  for (int i = 0; i < 2; ++i) kill(runners[i], SIGWINCH);
  int went_on = 1;
  for (int i = 0; i < 200; ++i) {
    const int fd = open("/dev/null", O_RDONLY);
    const pid_t child = fork();
    if (child == 0) _exit(run(program, 10) == 0 ? 6 : 1);
    went_on &= ended(child) == 6;
    close(fd);
  }
  for (int i = 0; i < 2; ++i) went_on &= waitpid(runners[i], NULL, WNOHANG) == 0;
  kill(killed, SIGKILL);
  const int ending = ended(killed);
  long interrupted = -EINTR;
  for (int i = 0; i < 2; ++i) {
    kill(runners[i], SIGUSR1);
    if (ended(runners[i]) != 3) interrupted = 0;
  }
  printf("short %ld, long %ld, others %s, killed %d\n", brief, interrupted, went_on ? "went on" : "stood still", ending);
}
