// SPDX-License-Identifier: Apache-2.0
// Hard case 7: calls that bring a descriptor or a mapping into the caller, under storms of signals of every
// disposition, stops and kills. None fails, each signal arrives once and in order, and nothing is left over.
// usage: call_storm [ROUNDS], so many calls of each kind in a storm, for longer runs.
#include <sys/epoll.h>

#include "counter.h"

enum { kRounds = 60, kQueued = 200 };

static int rounds = kRounds;
static volatile sig_atomic_t handled, queued, disordered;
static int plain_map, mappable_map, ring_map, program;

static void on_handled(int signal) {
  (void)signal;
  ++handled;
}

static void on_queued(int signal, siginfo_t* info, void* context) {
  (void)signal, (void)context;
  if (info->si_value.sival_int != queued) ++disordered;
  ++queued;
}

static int make_map(int type, unsigned value_size, unsigned entries, unsigned flags) {
  union bpf_attr attr = {.map_type = type, .key_size = value_size ? 4 : 0, .value_size = value_size};
  attr.max_entries = entries;
  attr.map_flags = flags;
  return bpf_call(BPF_MAP_CREATE, &attr);
}

static int create_map(void) {
  return make_map(BPF_MAP_TYPE_ARRAY, 4, 1, 0);
}
static int load_program(void) {
  const struct bpf_insn code[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K}, {.code = BPF_JMP | BPF_EXIT}};
  union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_RAW_TRACEPOINT, .insn_cnt = 2, .insns = (uintptr_t)code};
  attr.license = (uintptr_t) "GPL";
  int fd;
  do {
    fd = bpf_call(BPF_PROG_LOAD, &attr);
  } while (fd < 0 && errno == EAGAIN);  // what the verifier says when a signal waits
  return fd;
}
static int map_by_id(void) {
  struct bpf_map_info info = {0};
  union bpf_attr attr = {.info = {.bpf_fd = plain_map, .info_len = sizeof info, .info = (uintptr_t)&info}};
  if (bpf_call(BPF_OBJ_GET_INFO_BY_FD, &attr) != 0) return -1;
  union bpf_attr by_id = {.map_id = info.id};
  return bpf_call(BPF_MAP_GET_FD_BY_ID, &by_id);
}
static int open_link(void) {
  return open_raw_tracepoint(program);
}
static int open_event(void) {
  struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE, .size = sizeof attr, .config = PERF_COUNT_SW_BPF_OUTPUT};
  return syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
}
static int open_event_with_ring(void) {
  const int fd = open_event();
  if (fd < 0) return fd;
  void* at = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  const int r = at == MAP_FAILED || munmap(at, 8192) != 0 ? -1 : fd;
  if (r < 0) close(fd);
  return r;
}
static int map_pages(int fd, int protection, size_t size) {
  void* at = mmap(NULL, size, protection, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) return -1;
  munmap(at, size);
  return dup(fd);
}
static int mmap_map(void) {
  return map_pages(mappable_map, PROT_READ | PROT_WRITE, 4096);
}
static int mmap_ring(void) {
  return map_pages(ring_map, PROT_READ | PROT_WRITE, 4096);
}
static int open_synthetic(void) {
  return open("/sys/kernel/btf/vmlinux", O_RDONLY);
}
static int open_folder(void) {
  return open("/sys/bus/event_source/devices", O_RDONLY | O_DIRECTORY);
}
static int poll_ring(void) {
  const int fd = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN};
  if (epoll_ctl(fd, EPOLL_CTL_ADD, ring_map, &event) == 0 && epoll_wait(fd, &event, 1, 0) == 0) return fd;
  close(fd);
  return -1;
}

static const struct {
  const char* name;
  int (*call)(void);
} kinds[] = {{"BPF_MAP_CREATE", create_map},
             {"BPF_PROG_LOAD", load_program},
             {"BPF_BTF_LOAD", load_int_btf},
             {"BPF_MAP_GET_FD_BY_ID", map_by_id},
             {"BPF_RAW_TRACEPOINT_OPEN", open_link},
             {"perf_event_open", open_event},
             {"mmap of a perf ring", open_event_with_ring},
             {"mmap of a map", mmap_map},
             {"mmap of a ring", mmap_ring},
             {"open of a synthetic file", open_synthetic},
             {"open of a synthetic folder", open_folder},
             {"epoll of a ring", poll_ring}};
enum { kKinds = sizeof kinds / sizeof kinds[0] };

// Where there is no bpf() to be had there is nothing to fail.
static int have_kernel;

static void every_kind(const char* storm, int times) {
  int failures = 0;
  for (int round = 0; round < times && have_kernel; ++round)
    for (int kind = 0; kind < kKinds; ++kind) {
      const int fd = kinds[kind].call();
      if (fd < 0 && ++failures < 5) printf("%s: %s: %s\n", storm, kinds[kind].name, strerror(errno));
      if (fd >= 0) close(fd);
    }
  printf("%s: %d failures\n", storm, failures);
}

static int count_ids(int command) {
  union bpf_attr attr = {.start_id = 0};
  int count = 0;
  for (; bpf_call(command, &attr) == 0; ++count) attr.start_id = attr.next_id;
  return count;
}

static int count_descriptors(void) {
  int count = 0;
  for (int fd = 0; fd < 1024; ++fd) count += fcntl(fd, F_GETFD) >= 0;
  return count;
}

// A process that sends a signal to one thread over and over.
static pid_t begin_storm(pid_t group, pid_t thread, int signal) {
  const pid_t sender = fork();
  if (sender != 0) return sender;
  for (;;) {
    syscall(SYS_tgkill, group, thread, signal);
    const struct timespec pause = {0, 20000};
    nanosleep(&pause, NULL);
  }
}

static void end_storm(pid_t sender) {
  kill(sender, SIGKILL);
  waitpid(sender, NULL, 0);
}

static void storm_of(int signal, const char* name) {
  const pid_t sender = begin_storm(getpid(), syscall(SYS_gettid), signal);
  every_kind(name, rounds);
  while (signal == SIGURG && !handled) sleep_ms(1);
  end_storm(sender);
}

// Signals with data: each once, in their order.
static void storm_of_queued(void) {
  const pid_t self = getpid(), sender = fork();
  if (sender == 0) {
    for (int i = 0; i < kQueued; ++i) {
      while (sigqueue(self, SIGRTMIN, (union sigval){.sival_int = i}) != 0) sleep_ms(1);
      const struct timespec pause = {0, 50000};
      nanosleep(&pause, NULL);
    }
    _exit(0);
  }
  every_kind("queued", rounds);
  while (queued < kQueued) sleep_ms(1);
  ended(sender);
  printf("queued: %d arrived, %d out of order\n", (int)queued, (int)disordered);
}

// Stopped and continued all the while, by somebody else.
static void storm_of_stops(void) {
  // Ends by itself: killed between the two signals it would leave us stopped for ever.
  atomic_int* const over = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  const pid_t self = getpid(), sender = fork();
  if (sender == 0) {
    while (!*over) {
      kill(self, SIGSTOP);
      kill(self, SIGCONT);
      const struct timespec pause = {0, 100000};
      nanosleep(&pause, NULL);
    }
    _exit(0);
  }
  every_kind("stopped", rounds / 2);
  *over = 1;
  CHECK(ended(sender) == 0);
  munmap(over, 4096);
}

static void killed_in_the_middle(void) {
  for (int i = 0; i < 30; ++i) {
    const pid_t child = fork();
    if (child == 0)
      for (int kind = i;; ++kind)
        if (have_kernel) kinds[kind % kKinds].call();
    const struct timespec some = {0, 200000 + i * 70000};
    nanosleep(&some, NULL);
    kill(child, SIGKILL);
    if (ended(child) != -SIGKILL) printf("not killed\n");
  }
}

// The same with the process' first thread gone.
static void* without_leader(void* leader) {
  pthread_join(*(pthread_t*)leader, NULL);
  storm_of(SIGURG, "handled, leader gone");
  printf("done\n");
  exit(0);
}

int main(int argc, char** argv) {
  if (argc > 1) rounds = atoi(argv[1]);
  setvbuf(stdout, NULL, _IOLBF, 0);
  struct sigaction action = {.sa_handler = on_handled, .sa_flags = SA_RESTART};
  sigaction(SIGURG, &action, NULL);
  sigaction(SIGALRM, &action, NULL);
  struct sigaction info = {.sa_sigaction = on_queued, .sa_flags = SA_SIGINFO | SA_RESTART};
  sigaction(SIGRTMIN, &info, NULL);
  signal(SIGUSR1, SIG_IGN);
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR2);
  pthread_sigmask(SIG_BLOCK, &blocked, NULL);

  plain_map = create_map();
  have_kernel = plain_map >= 0 && fcntl(plain_map, F_GETFD) >= 0;
  if (!have_kernel && getenv("BPF_DEMANDED")) printf("no bpf(): errno %d\n", errno);
  mappable_map = make_map(BPF_MAP_TYPE_ARRAY, 4096, 1, BPF_F_MMAPABLE);
  ring_map = make_map(BPF_MAP_TYPE_RINGBUF, 0, 4096, 0);
  program = load_program();
  const int descriptors = count_descriptors();

  every_kind("quiet", 1);
  storm_of(SIGURG, "handled");
  storm_of(SIGUSR1, "ignored");
  storm_of(SIGUSR2, "blocked");
  storm_of(SIGWINCH, "ignored by default");
  storm_of(SIGCHLD, "ignored by default too");
  storm_of_queued();
  storm_of_stops();
  killed_in_the_middle();

  CHECK(count_descriptors() == descriptors);
  if (have_kernel && getuid() != 0) {  // as root, on a bare kernel, others have maps too
    CHECK(count_ids(BPF_MAP_GET_NEXT_ID) == 3);
    CHECK(count_ids(BPF_PROG_GET_NEXT_ID) == 1);
    CHECK(count_ids(BPF_LINK_GET_NEXT_ID) == 0);
  }
  pthread_t leader = pthread_self(), last;
  pthread_create(&last, NULL, without_leader, &leader);
  pthread_exit(NULL);
}
