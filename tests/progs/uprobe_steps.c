// SPDX-License-Identifier: Apache-2.0
// Uprobes on instructions that are hard to step: calls whose stack page is not there yet, instructions that fault, and
// those that the kernel refuses; and processes whose leader has exited.
#include "probe.h"

#include <ucontext.h>

#define OUT_OF_LINE __attribute__((noipa, noinline))
enum { kPage = 4096 };

OUT_OF_LINE static long add_one(long x) {
  __asm__ volatile("" : "+r"(x));
  return x + 1;
}

// Recursions of `rdi` levels, each of which needs a stack page of its own for what its call pushes.
long by_call(long depth);
long by_pointer(long depth);
long by_memory(long depth);
extern const char relative_call[], register_call[], memory_call[], faulty[], stack_call[];
__asm__(
    ".text\n"
    "by_call: test %rdi, %rdi\n je 1f\n dec %rdi\n sub $4088, %rsp\n"
    "relative_call: call by_call\n add $4088, %rsp\n inc %rax\n ret\n1: xor %eax, %eax\n ret\n"
    "by_pointer: test %rdi, %rdi\n je 1f\n dec %rdi\n sub $4088, %rsp\n lea by_pointer(%rip), %rdx\n"
    "register_call: call *%rdx\n add $4088, %rsp\n inc %rax\n ret\n1: xor %eax, %eax\n ret\n"
    ".data\nby_memory_address: .quad by_memory\n.text\n"
    "by_memory: test %rdi, %rdi\n je 1f\n dec %rdi\n sub $4088, %rsp\n"
    "memory_call: call *by_memory_address(%rip)\n add $4088, %rsp\n inc %rax\n ret\n1: xor %eax, %eax\n ret\n"
    // rdi: an address that cannot be read at first; then a stack that cannot be written at first.
    "faulty: mov (%rdi), %rax\n ret\n"
    "calls_on: mov %rsp, %rax\n mov %rdi, %rsp\n"
    "stack_call: call 1f\n1: mov %rax, %rsp\n ret\n");
void calls_on(void* stack);

static void grow(const char* name, long (*function)(long), const void* site) {
  struct counter probe = probe_function(kEveryone, site, 0);
  long sum = 0;
  for (int i = 0; i < 2; ++i) sum += function(500);
  const pid_t child = fork();
  if (child == 0) _exit(function(900) == 900);
  CHECK(ended(child) == 1);
  printf("%s: %ld, hits %ld\n", name, sum, counted(probe, 1900));
  end_count(probe, 0);
}

static char* page;
static volatile int faults;
static const char* volatile expected_rip;
static const char* volatile expected_address;

static void on_fault(int signal, siginfo_t* info, void* context) {
  (void)signal;
  const ucontext_t* at = context;
  faults += (const char*)at->uc_mcontext.gregs[REG_RIP] == expected_rip && info->si_addr == expected_address;
  mprotect(page, kPage, PROT_READ | PROT_WRITE);
}

// What runs into its own fault is executed twice, and counts twice.
static void fault(void) {
  static char signal_stack[65536];
  const stack_t stack = {.ss_sp = signal_stack, .ss_size = sizeof signal_stack};
  const struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigaltstack(&stack, NULL);
  sigaction(SIGSEGV, &action, NULL);
  page = mmap(NULL, 2 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mprotect(page, kPage, PROT_NONE);
  struct counter probe = probe_function(kEveryone, faulty, 0);
  expected_rip = faulty, expected_address = page;
  ((long (*)(void*))faulty)(page);
  printf("fault: %d, hits %ld\n", faults, counted(probe, 2));
  end_count(probe, 0);

  mprotect(page, kPage, PROT_NONE);
  probe = probe_function(kEveryone, stack_call, 0);
  expected_rip = stack_call, expected_address = page + kPage - 8;
  calls_on(page + kPage);
  printf("fault of a call's stack: %d, hits %ld\n", faults, counted(probe, 2));
  end_count(probe, 0);
  signal(SIGSEGV, SIG_DFL);
}

#define INSTRUCTION(name, text) \
  extern const char name[];     \
  __asm__(".text\n" #name ": " text "\n ret\n")
INSTRUCTION(i_lock, "lock incl (%rsp)");
INSTRUCTION(i_int80, "int $0x80");
INSTRUCTION(i_int3, "int3");
INSTRUCTION(i_hlt, "hlt");
INSTRUCTION(i_cs_nop, "cs nopw 0(%rax,%rax,1)");
INSTRUCTION(i_notrack, ".byte 0x3e, 0xff, 0xe0");
INSTRUCTION(i_call16, ".byte 0x66, 0xe8, 0, 0, 0, 0");
INSTRUCTION(i_vmovdqu, ".byte 0xc5, 0xfe, 0x6f, 0x00");
INSTRUCTION(i_syscall, "syscall");
INSTRUCTION(i_fs, "mov %fs:0, %rax");
INSTRUCTION(i_ud2, "ud2");
INSTRUCTION(i_pause, "pause");

static void refuse(void) {
  const struct {
    const char *name, *at;
    int verdict;
  } cases[] = {{"lock", i_lock, -524},     {"int 0x80", i_int80, -524},
               {"int3", i_int3, -524},     {"hlt", i_hlt, -524},
               {"cs nop", i_cs_nop, -524}, {"notrack jmp", i_notrack, -524},
               {"call16", i_call16, -524}, {"vmovdqu", i_vmovdqu, -524},
               {"syscall", i_syscall, 0},  {"fs", i_fs, 0},
               {"ud2", i_ud2, 0},          {"pause", i_pause, 0}};
  char path[400];
  for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
    const int fd = open_uprobe(kEveryone, path, file_offset(cases[i].at, path), 0, 0);
    const int known = demanded() || (fd != -ENOSYS && fd != -EACCES && fd != -EPERM && (fd < 0 || is_open(fd)));
    printf("%s: %d\n", cases[i].name, known ? (fd < 0 ? fd : 0) : cases[i].verdict);
    if (fd >= 0) close(fd);
  }
}

static struct counter everyone, ours, returns;

static void* outlive(void* unused) {
  (void)unused;
  char state = 'R', path[64], line[256];
  snprintf(path, sizeof path, "/proc/%d/stat", getpid());
  while (state != 'Z') {
    FILE* file = fopen(path, "r");
    if (!file || !fgets(line, sizeof line, file)) _exit(3);
    fclose(file);
    state = strrchr(line, ')')[2];
  }
  for (int i = 0; i < 5; ++i) add_one(i);
  // The event for the leader concerns nobody any longer.
  printf("after the leader: %ld %ld %ld\n", counted(everyone, 6), counted(ours, 1), counted(returns, 6));
  char file[400];
  const int dead = open_uprobe(getpid(), file, file_offset((const void*)add_one, file), 0, 0);
  printf("opened for the leader: %d\n", demanded() || dead == -ESRCH ? dead : -ESRCH);
  struct counter late = probe_function(kEveryone, (const void*)add_one, 0);
  const pid_t child = fork();
  if (child == 0) _exit((int)add_one(6));
  CHECK(ended(child) == 7);
  for (int i = 0; i < 4; ++i) add_one(i);
  printf("placed after its exit: %ld\n", counted(late, 5));
  end_count(late, 0);
  end_count(everyone, 0);
  CHECK(add_one(1) == 2);
  fflush(stdout);
  _exit(9);
}

static void leave(void) {
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    everyone = probe_function(kEveryone, (const void*)add_one, 0);
    ours = probe_function(kOnlyUs, (const void*)add_one, 0);
    returns = probe_function(kEveryone, (const void*)add_one, 1);
    add_one(1);
    pthread_t thread;
    pthread_create(&thread, NULL, outlive, NULL);
    pthread_exit(NULL);
  }
  CHECK(ended(child) == 9);
}

static int mappings(void) {
  FILE* file = fopen("/proc/self/maps", "r");
  int lines = 0;
  for (int c; (c = getc(file)) != EOF;) lines += c == '\n';
  fclose(file);
  return lines;
}

// Probes that come and go leave nothing behind.
static void come_and_go(void) {
  long lost = 0, sum = 0;
  int before = 0;
  for (int i = 0; i < 30; ++i) {
    struct counter probe = probe_function(kEveryone, (const char*)add_one, i & 1);
    sum += add_one(0);
    lost += counted(probe, 1) != 1;
    end_count(probe, 0);
    if (i == 10) before = mappings();
  }
  printf("come and go: %ld, lost %ld, %d more mappings\n", sum, lost, mappings() - before);
}

int main(void) {
  grow("relative call", by_call, relative_call);
  grow("call of a register", by_pointer, register_call);
  grow("call of memory", by_memory, memory_call);
  fault();
  refuse();
  leave();
  come_and_go();
  printf("done\n");
}
