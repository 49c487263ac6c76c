// SPDX-License-Identifier: Apache-2.0
// signal:signal_deliver: what is delivered to whom, with its handler and flags; what an untraced process never sees is not
// told of. As root on the claimed kernel it says the same.
#include "counter.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/time.h>
#include <sys/wait.h>

enum { kAllocated = 0x4000000, kMost = 512 };  // SA_RESTORER

struct delivery {
  int32_t signal, error, code, process;
  uint64_t handler, flags;
};

static int deliveries = -1;
static volatile int handled;

static void on_signal(int signal) { handled = signal; }

// Copies of what the tracepoint tells go into a queue.
static int listen_to_deliveries(void) {
#define COPY(from, to, size)                                                                        \
  {.code = BPF_LDX | BPF_MEM | size, .dst_reg = 1, .src_reg = 6, .off = from}, {                    \
    .code = BPF_STX | BPF_MEM | size, .dst_reg = 10, .src_reg = 1, .off = to - (int)sizeof(struct delivery) \
  }
  union bpf_attr attr = {.map_type = BPF_MAP_TYPE_QUEUE, .value_size = sizeof(struct delivery), .max_entries = kMost};
  deliveries = bpf_call(BPF_MAP_CREATE, &attr);
  const unsigned id = number_in("/sys/kernel/tracing/events/signal/signal_deliver/id");
  if (!is_open(deliveries) || id == 0) return -1;
  const struct bpf_insn code[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 6, .src_reg = 1},
      COPY(8, 0, BPF_W),
      COPY(12, 4, BPF_W),
      COPY(16, 8, BPF_W),
      COPY(24, 16, BPF_DW),
      COPY(32, 24, BPF_DW),
      {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_get_current_pid_tgid},
      {.code = BPF_ALU64 | BPF_RSH | BPF_K, .dst_reg = 0, .imm = 32},
      {.code = BPF_STX | BPF_MEM | BPF_W, .dst_reg = 10, .off = 12 - (int)sizeof(struct delivery)},
      {.code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = deliveries},
      {.code = 0},
      {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10},
      {.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -(int)sizeof(struct delivery)},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3},
      {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_map_push_elem},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0},
      {.code = BPF_JMP | BPF_EXIT},
  };
  union bpf_attr load = {.prog_type = BPF_PROG_TYPE_TRACEPOINT, .insn_cnt = sizeof code / sizeof code[0]};
  load.insns = (uintptr_t)code;
  load.license = (uintptr_t) "GPL";
  const int program = bpf_call(BPF_PROG_LOAD, &load);
  struct perf_event_attr event = {.type = PERF_TYPE_TRACEPOINT, .size = sizeof event, .config = id};
  const int fd = syscall(SYS_perf_event_open, &event, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
  CHECK(program >= 0 && fd >= 0);
  CHECK(ioctl(fd, PERF_EVENT_IOC_SET_BPF, program) == 0);
  return fd;
}

// The next one of the process; without there is none.
static struct delivery next_of(pid_t process) {
  struct delivery found = {0};
  union bpf_attr attr = {.map_fd = (uint32_t)deliveries};
  attr.value = (uintptr_t)&found;
  while (bpf_call(BPF_MAP_LOOKUP_AND_DELETE_ELEM, &attr) == 0)
    if (found.process == process) return found;
  return (struct delivery){0};
}

static void expect(int line, pid_t process, int signal, int code, const void* handler, uint64_t flags) {
  const struct delivery d = next_of(process);
  const int right = d.signal == signal && d.error == 0 && d.code == code && d.handler == (uintptr_t)handler && d.flags == flags;
  if (!right)
    printf("line %d: signal %d, error %d, code %d, handler %#lx, flags %#lx\n", line, d.signal, d.error, d.code,
           (unsigned long)d.handler, (unsigned long)d.flags);
}
#define EXPECT(...) expect(__LINE__, __VA_ARGS__)
#define NOTHING(process) EXPECT(process, 0, 0, NULL, 0)

static void act(int signal, void (*handler)(int), int flags) {
  struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
  CHECK(sigaction(signal, &action, NULL) == 0);
}

static void block(int how, int signal) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  sigprocmask(how, &set, NULL);
}

static void check_handlers(void) {
  const pid_t self = getpid();
  act(SIGUSR1, on_signal, SA_RESTART | SA_NODEFER);
  raise(SIGUSR1);
  CHECK(handled == SIGUSR1);
  EXPECT(self, SIGUSR1, SI_TKILL, on_signal, kAllocated | SA_RESTART | SA_NODEFER);
  kill(self, SIGUSR1);
  EXPECT(self, SIGUSR1, SI_USER, on_signal, kAllocated | SA_RESTART | SA_NODEFER);
  // Queued while it is blocked.
  block(SIG_BLOCK, SIGUSR1);
  raise(SIGUSR1);
  NOTHING(self);
  block(SIG_UNBLOCK, SIGUSR1);
  EXPECT(self, SIGUSR1, SI_TKILL, on_signal, kAllocated | SA_RESTART | SA_NODEFER);
  // Two at once: the second takes the first handler's first instruction away.
  act(SIGUSR2, on_signal, 0);
  block(SIG_BLOCK, SIGUSR1);
  block(SIG_BLOCK, SIGUSR2);
  raise(SIGUSR2);
  raise(SIGUSR1);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  EXPECT(self, SIGUSR1, SI_TKILL, on_signal, kAllocated | SA_RESTART | SA_NODEFER);
  EXPECT(self, SIGUSR2, SI_TKILL, on_signal, kAllocated);
  // A handler for once.
  act(SIGUSR2, on_signal, SA_RESETHAND);
  raise(SIGUSR2);
  EXPECT(self, SIGUSR2, SI_TKILL, on_signal, kAllocated | SA_RESETHAND);
  act(SIGALRM, on_signal, 0);
  handled = 0;
  setitimer(ITIMER_REAL, &(struct itimerval){.it_value.tv_usec = 2000}, NULL);
  while (handled == 0) pause();
  EXPECT(self, SIGALRM, SI_KERNEL, on_signal, kAllocated);
  // Who waits for a signal takes it himself.
  block(SIG_BLOCK, SIGUSR1);
  raise(SIGUSR1);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  CHECK(sigwaitinfo(&set, NULL) == SIGUSR1);
  block(SIG_UNBLOCK, SIGUSR1);
  NOTHING(self);
}

static void check_ignored(void) {
  const pid_t self = getpid();
  act(SIGUSR1, SIG_IGN, SA_RESTART);
  raise(SIGUSR1);
  raise(SIGURG);
  raise(SIGCONT);
  NOTHING(self);
  // Blocked they are kept, and ignored when they come.
  block(SIG_BLOCK, SIGUSR1);
  raise(SIGUSR1);
  block(SIG_UNBLOCK, SIGUSR1);
  EXPECT(self, SIGUSR1, SI_TKILL, SIG_IGN, kAllocated | SA_RESTART);
  NOTHING(self);
}

static void* sleeps(void* unused) {
  for (;;) pause();
  return unused;
}

enum what { kPauses, kAborts, kFaults, kExits, kUnblocks, kBreaksPipe, kStops };

static int* volatile nowhere = (int*)16;

static void be(enum what what) {
  pthread_t thread;
  int ends[2];
  switch (what) {
    case kPauses: sleeps(NULL); break;
    case kAborts: abort();
    case kFaults: *nowhere = 1; break;
    case kExits:
      CHECK(pthread_create(&thread, NULL, sleeps, NULL) == 0);
      usleep(20000);
      _exit(0);
    case kUnblocks:
      block(SIG_BLOCK, SIGTERM);
      raise(SIGTERM);
      block(SIG_UNBLOCK, SIGTERM);
      break;
    case kBreaksPipe:
      CHECK(pipe(ends) == 0);
      close(ends[0]);
      (void)!write(ends[1], "", 1);
      break;
    case kStops: raise(SIGSTOP); break;
  }
  _exit(1);
}

static pid_t child(enum what what) {
  const pid_t pid = fork();
  if (pid == 0) be(what);
  return pid;
}

static void end(pid_t pid, int signal) {
  int status;
  if (signal) usleep(20000), kill(pid, signal);
  CHECK(waitpid(pid, &status, 0) == pid);
}

static void check_ends(void) {
  for (int i = 0; i < 2; ++i) {
    const int signal = i ? SIGTERM : SIGKILL;
    const pid_t pid = child(kPauses);
    end(pid, signal);
    EXPECT(pid, SIGKILL, SI_USER, NULL, 0);
    NOTHING(pid);
  }
  const struct {
    enum what what;
    int signal, code;
  } own[] = {{kAborts, SIGABRT, SI_TKILL},  {kFaults, SIGSEGV, SEGV_MAPERR}, {kExits, SIGKILL, SI_USER},
             {kUnblocks, SIGTERM, SI_TKILL}, {kBreaksPipe, SIGKILL, SI_USER}};
  for (size_t i = 0; i < sizeof own / sizeof own[0]; ++i) {
    const pid_t pid = child(own[i].what);
    end(pid, 0);
    EXPECT(pid, own[i].signal, own[i].code, NULL, 0);
    NOTHING(pid);
  }
  const pid_t stopped = child(kStops);
  int status;
  CHECK(waitpid(stopped, &status, WUNTRACED) == stopped && WIFSTOPPED(status));
  EXPECT(stopped, SIGSTOP, SI_TKILL, NULL, 0);
  kill(stopped, SIGCONT);
  end(stopped, 0);
  NOTHING(stopped);
}

int main(void) {
  setvbuf(stdout, NULL, _IONBF, 0);
  if (listen_to_deliveries() >= 0) {
    check_handlers();
    check_ignored();
    check_ends();
  } else if (demanded()) {
    printf("no program\n");
  }
  puts("done");
  return 0;
}
