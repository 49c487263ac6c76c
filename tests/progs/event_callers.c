// SPDX-License-Identifier: Apache-2.0
// Whoever makes the calls that programs are started by: many threads and processes, some of which are killed, and those
// whose calls signals interrupt. Every number is exact, and they find everything as it was. Silent when all is well.
#include "event_programs.h"

#include <limits.h>
#include <setjmp.h>
#include <ucontext.h>

enum { kCalls = 1000, kMoreCalls = 3000, kThreads = 8, kChildren = 4, kKilled = 30 };

SITE(nanosleep);
SITE(read);

static pid_t thread_ids[kThreads];
static void* thread_calls(void* number) {
  thread_ids[(intptr_t)number] = gettid();
  call_often(kMoreCalls + 10 * (int)(intptr_t)number);
  return NULL;
}

static void many_threads(size_t stack) {
  pthread_attr_t small;
  pthread_t threads[kThreads];
  pthread_attr_init(&small);
  if (stack) CHECK(pthread_attr_setstacksize(&small, stack) == 0);
  const struct tally each = checked_tally(kInHash, getppid_of_us()),
                     all = checked_tally(kInPerCpuHash, getppid_of_us());
  const struct tally sum = checked_tally(kInPerCpuArray, getppid_of_us());
  for (intptr_t i = 0; i < kThreads; ++i) CHECK(pthread_create(&threads[i], &small, thread_calls, (void*)i) == 0);
  for (int i = 0; i < kThreads; ++i) pthread_join(threads[i], NULL);
  const long total = kThreads * kMoreCalls + 10 * kThreads * (kThreads - 1) / 2;
  for (int i = 0; i < kThreads; ++i) CHECK(tallied(each, (uint64_t)thread_ids[i]) == kMoreCalls + 10 * i);
  CHECK(of_this_thread(all) == total && of_this_thread(sum) == total);
  pthread_attr_destroy(&small);
  end_tally(each), end_tally(all), end_tally(sum);
}

// Children by fork, vfork and exec.
static void many_processes(void) {
  pid_t children[kChildren + 2];
  const struct tally each = checked_tally(kInPerCpuHash, getppid_of_all()),
                     first = checked_tally(kInHash, getppid_of_all());
  for (int i = 0; i < kChildren; ++i)
    if ((children[i] = fork()) == 0) call_often(kMoreCalls), _exit(0);
  if ((children[kChildren] = vfork()) == 0) {
    call_often(kMoreCalls);
    _exit(0);
  }
  if ((children[kChildren + 1] = fork()) == 0) {
    execl("/proc/self/exe", "event_callers", "calls", NULL);
    _exit(1);
  }
  for (int i = 0; i < kChildren + 2; ++i) {
    CHECK(ended(children[i]) == 0);
    const long by_process = tallied(each, (uint64_t)children[i]), by_thread = tallied(first, (uint64_t)children[i]);
    if (by_process != kMoreCalls || by_thread != kMoreCalls)
      printf("child %d: %ld and %ld\n", i, by_process, by_thread);
  }
  end_tally(each), end_tally(first);
}

// Children that are killed while they call.
static void killed_children(void) {
  const struct tally each = checked_tally(kInHash, getppid_of_all());
  volatile long* done = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pid_t survivors[2];
  for (int i = 0; i < 2; ++i)
    if ((survivors[i] = fork()) == 0) call_often(2 * kMoreCalls), _exit(0);
  srand(1);
  for (int i = 0; i < kKilled; ++i) {
    const pid_t child = fork();
    if (child == 0)
      for (;; ++done[i]) call();
    usleep((useconds_t)(rand() % 4000));
    kill(child, SIGKILL);
    call_often(30);
    CHECK(ended(child) == -SIGKILL);
    const long count = tallied(each, (uint64_t)child);
    if (count != done[i] && count != done[i] + 1) printf("killed child: %ld events, %ld calls\n", count, done[i]);
  }
  for (int i = 0; i < 2; ++i) {
    CHECK(ended(survivors[i]) == 0);
    CHECK(tallied(each, (uint64_t)survivors[i]) == 2 * kMoreCalls);
  }
  CHECK(of_this_thread(each) == 30 * kKilled);
  munmap((void*)done, 4096);
  end_tally(each);
}

// What a handler sees of the program that it interrupts.
extern const char __executable_start[], etext[];
static volatile long runs, jumps, attempts;
static volatile int watched, jumping;
static sigjmp_buf away;

// Once: the handler asks for the next, so that a slow machine gets on.
static void alarm_in(long microseconds) {
  const struct itimerval timer = {{0, 0}, {0, microseconds}};
  setitimer(ITIMER_REAL, &timer, NULL);
}

static void on_alarm(int signal, siginfo_t* info, void* context) {
  const uintptr_t at = (uintptr_t)((ucontext_t*)context)->uc_mcontext.gregs[REG_RIP];
  (void)signal, (void)info;
  if (watched && (at < (uintptr_t)__executable_start || at >= (uintptr_t)etext)) printf("interrupted at %lx\n", at);
  ++runs;
  call();
  alarm_in(200);
  if (jumping && runs % 10 == 0) {
    ++jumps;
    watched = 0;
    siglongjmp(away, 1);
  }
}

static void start_alarms(long microseconds, int flags) {
  struct sigaction action = {.sa_sigaction = on_alarm, .sa_flags = SA_SIGINFO | flags};
  sigaction(SIGALRM, &action, NULL);
  runs = jumps = attempts = 0;
  alarm_in(microseconds);
}
static void end_alarms(void) {
  watched = 0;
  signal(SIGALRM, SIG_IGN);
  alarm_in(0);
}

static void interrupted_calls(void) {
  const struct tally tally = checked_tally(kInHash, getppid_of_us()),
                     whole = checked_tally(kInPerCpuArray, getppid_of_us());
  const pid_t parent = getppid();
  const long before = of_this_thread(tally), before_whole = of_this_thread(whole);
  start_alarms(200, SA_RESTART);
  watched = 1;
  for (; attempts < 10 * kCalls || runs < 150; ++attempts) CHECK(call() == parent);
  end_alarms();
  CHECK(of_this_thread(tally) - before == attempts + runs && of_this_thread(whole) - before_whole == attempts + runs);
  end_tally(tally), end_tally(whole);
}

static void abandoned_calls(void) {
  const struct tally tally = checked_tally(kInHash, getppid_of_us()),
                     whole = checked_tally(kInPerCpuHash, getppid_of_us());
  jumping = 1;
  start_alarms(200, 0);
  sigsetjmp(away, 1);
  for (watched = 1; attempts < 10 * kCalls || runs < 150;) {
    ++attempts;
    call();
  }
  end_alarms();
  jumping = 0;
  const long count = of_this_thread(tally);
  if (count < attempts - jumps + runs || count > attempts + runs || count != of_this_thread(whole))
    printf("%ld attempts, %ld runs with %ld jumps: %ld\n", attempts, runs, jumps, count);
  end_tally(tally), end_tally(whole);
}

// Each sleep is one event, however it ends; a read is one more whenever it is restarted.
static void interrupted_waits(void) {
  const struct tally sleeps = checked_tally(kInArray, of_us("sys_enter_nanosleep"));
  const struct tally reads = checked_tally(kInHash, of_us("sys_enter_read")),
                     ends = checked_tally(kInHash, of_us("sys_exit_read"));
  const struct timespec time = {0, 3000000};
  long interrupted = 0;
  int pipes[2];
  char byte;
  start_alarms(200, SA_RESTART);
  for (int i = 0; i < 100; ++i) {
    const long result = site_nanosleep((long)&time, 0, 0, 0, 0, 0);
    CHECK(result == 0 || result == -EINTR);
    interrupted += result == -EINTR;
  }
  CHECK(interrupted > 0 && of_this_thread(sleeps) == 100);
  CHECK(pipe(pipes) == 0);
  const long already = of_this_thread(reads), already_ended = of_this_thread(ends);
  const pid_t child = fork();
  if (child == 0) {
    alarm_in(0), sleep_ms(50);
    _exit(write(pipes[1], "x", 1) != 1);
  }
  const long runs_before = runs;
  CHECK(site_read(pipes[0], (long)&byte, 1, 0, 0, 0) == 1);
  end_alarms();
  const long restarted = of_this_thread(reads) - already - 1;
  CHECK(restarted > 0 && restarted <= runs - runs_before);
  CHECK(of_this_thread(ends) - already_ended == 1 + restarted);
  CHECK(ended(child) == 0);
  close(pipes[0]), close(pipes[1]);
  end_tally(sleeps), end_tally(reads), end_tally(ends);
}

// What a process has in its registers and below its stack when it makes a call, and after that.
struct kept {
  uint64_t registers[12], red_zone[16], vectors[32];
};
struct kept_call {
  struct kept before, after;
  uint64_t result, flags;
};
void call_and_keep(struct kept_call*);
#define EACH_REGISTER(DO)                                                                                      \
  DO(0, rbx)                                                                                                   \
  DO(1, rbp) DO(2, rsi) DO(3, rdx) DO(4, r10) DO(5, r8) DO(6, r9) DO(7, r12) DO(8, r13) DO(9, r14) DO(10, r15) \
      DO(11, rdi)
#define FILL_REGISTER(n, name) "  mov 8 * " #n "(%rdi), %" #name "\n"
#define KEEP_REGISTER(n, name) "  mov %" #name ", 480 + 8 * " #n "(%rcx)\n"
#define EACH_OF_16(text) ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n" text ".endr\n"
asm(".text\n.balign 16, 0xcc\n"
    "call_and_keep:\n"
    "  push %rbx\n  push %rbp\n  push %r12\n  push %r13\n  push %r14\n  push %r15\n  push %rdi\n"
    "  pushq $0xed7\n  popfq\n"  // every flag of arithmetics, and the direction
    EACH_OF_16("  movdqu 224 + 16 * \\n(%rdi), %xmm\\n\n")
    EACH_OF_16("  mov 96 + 8 * \\n(%rdi), %rax\n  mov %rax, -8 - 8 * \\n(%rsp)\n")
    EACH_REGISTER(FILL_REGISTER)
    "  mov $" TEXT(__NR_getppid) ", %eax\n"
    "  syscall\n"
    "  mov (%rsp), %rcx\n"
    EACH_REGISTER(KEEP_REGISTER)
    EACH_OF_16("  mov -8 - 8 * \\n(%rsp), %r11\n  mov %r11, 480 + 96 + 8 * \\n(%rcx)\n")
    EACH_OF_16("  movdqu %xmm\\n, 480 + 224 + 16 * \\n(%rcx)\n")
    "  mov %rax, 960(%rcx)\n"
    "  pushfq\n  popq 968(%rcx)\n  cld\n"
    "  pop %rdi\n  pop %r15\n  pop %r14\n  pop %r13\n  pop %r12\n  pop %rbp\n  pop %rbx\n"
    "  ret\n");

// The two that a call does change say where it was made, and with which flags.
static void check_changed(void) {
  enum { kTrap = 0x100, kInterrupts = 0x200 };
  register uint64_t flags asm("r11");
  uint64_t next, after;
  asm volatile("mov $" TEXT(__NR_getppid) ", %%eax\n  syscall\n1:  lea 1b(%%rip), %%rdx\n"
               : "=c"(next), "=r"(flags), "=d"(after)
               :
               : "rax", "memory");
  const uint64_t found = flags;
  CHECK(next == after && (found & (kTrap | kInterrupts)) == kInterrupts);
}

static void kept_registers(int with_alarms) {
  const struct tally tally = checked_tally(kInHash, getppid_of_us());
  const uint64_t parent = (uint64_t)getppid();
  static struct kept_call kept;
  uint64_t random = 1;
  const long before = of_this_thread(tally);
  start_alarms(with_alarms ? 200 : 0, 0);
  for (watched = 1; attempts < 2 * kCalls || (with_alarms && runs < 150); ++attempts) {
    for (uint64_t* at = (uint64_t*)&kept.before; at < (uint64_t*)&kept.after; ++at)
      *at = random = random * 6364136223846793005 + 1;
    call_and_keep(&kept);
    for (int i = 0; i < 12; ++i) CHECK(kept.after.registers[i] == kept.before.registers[i]);
    for (int i = 0; i < 16; ++i) CHECK(kept.after.red_zone[i] == kept.before.red_zone[i]);
    for (int i = 0; i < 32; ++i) CHECK(kept.after.vectors[i] == kept.before.vectors[i]);
    CHECK(kept.result == parent && (kept.flags & 0xcd5) == 0xcd5);
    check_changed();
  }
  end_alarms();
  CHECK(of_this_thread(tally) - before == 2 * attempts + runs);
  end_tally(tally);
}

// A call needs no stack.
long call_without_stack(void);
asm(".text\n.balign 16, 0xcc\n"
    "call_without_stack:\n"
    "  mov %rsp, %r9\n"
    "  xor %esp, %esp\n"
    "  mov $" TEXT(__NR_getppid) ", %eax\n"
    "  syscall\n"
    "  mov %r9, %rsp\n"
    "  ret\n");

static void no_stack(void) {
  const struct tally tally = checked_tally(kInPerCpuHash, getppid_of_us());
  const pid_t parent = getppid();
  const long before = of_this_thread(tally);
  for (int i = 0; i < kMoreCalls; ++i) CHECK(call_without_stack() == parent);
  CHECK(of_this_thread(tally) - before == kMoreCalls);
  end_tally(tally);
}

// Handlers on the smallest stack that there is, right above what cannot be touched.
static void smallest_stack(void) {
  const struct tally tally = checked_tally(kInHash, getppid_of_us());
  const size_t room = 1024;  // of the handler's own
  const size_t size = (size_t)sysconf(_SC_MINSIGSTKSZ) + room, whole = (size + 4095) / 4096 * 4096;
  char* area = mmap(NULL, 4096 + whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(mprotect(area + 4096, whole, PROT_READ | PROT_WRITE) == 0);
  const stack_t small = {.ss_sp = area + 4096, .ss_size = size}, none = {.ss_flags = SS_DISABLE};
  CHECK(sigaltstack(&small, NULL) == 0);
  start_alarms(200, SA_ONSTACK);
  for (watched = 1; attempts < kCalls || runs < 150; ++attempts) call();
  end_alarms();
  CHECK(of_this_thread(tally) == attempts + runs);
  CHECK(sigaltstack(&none, NULL) == 0);
  munmap(area, 4096 + whole);
  end_tally(tally);
}

int main(int argc, char** argv) {
  if (argc == 2 && strcmp(argv[1], "calls") == 0) {
    call_often(kMoreCalls);
    return 0;
  }
  if (!can_count()) return 0;
  many_threads(0), many_threads(PTHREAD_STACK_MIN);
  many_processes();
  killed_children();
  interrupted_calls();
  abandoned_calls();
  interrupted_waits();
  kept_registers(0), kept_registers(1);
  no_stack();
  smallest_stack();
}
