// SPDX-License-Identifier: Apache-2.0
// Which capability each call asks for, and how, by a kprobe of this program's own at cap_capable. Recorded on the claimed
// kernel; as root on it this program finds the same.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/timex.h>
#include <sys/wait.h>

#include "tracepoint.h"

enum { kCapabilities = 64, kNone = 0, kInSetId = 4, kSlots = kCapabilities * 8 };

// Counts in an array at option * 64 + capability, the third and fourth argument.
static int load_program(int map) {
  const struct bpf_insn code[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 6, .src_reg = 1},
      {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_get_current_pid_tgid},
      {.code = BPF_ALU64 | BPF_RSH | BPF_K, .imm = 32},
      {.code = BPF_JMP | BPF_JNE | BPF_K, .off = 13, .imm = getpid()},
      {.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 6, .off = 88},  // pt_regs.cx
      {.code = BPF_ALU64 | BPF_LSH | BPF_K, .dst_reg = 1, .imm = 6},
      {.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 2, .src_reg = 6, .off = 96},  // pt_regs.dx
      {.code = BPF_ALU64 | BPF_ADD | BPF_X, .dst_reg = 1, .src_reg = 2},
      {.code = BPF_STX | BPF_MEM | BPF_W, .dst_reg = 10, .src_reg = 1, .off = -4},
      LOOK_UP(map),
      {.code = BPF_JMP | BPF_JEQ | BPF_K, .off = 2},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 1, .imm = 1},
      {.code = BPF_STX | BPF_ATOMIC | BPF_DW, .dst_reg = 0, .src_reg = 1, .imm = BPF_ADD},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K},
      {.code = BPF_JMP | BPF_EXIT},
  };
  union bpf_attr load = {.prog_type = BPF_PROG_TYPE_KPROBE,
                         .insn_cnt = sizeof code / sizeof *code,
                         .insns = (uintptr_t)code,
                         .license = (uintptr_t) "GPL"};
  return syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof load);
}

static int map = -1;

static int attach(void) {
  union bpf_attr create = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = kSlots};
  map = syscall(SYS_bpf, BPF_MAP_CREATE, &create, sizeof create);
  struct perf_event_attr event = {.size = sizeof event,
                                  .type = number_in("/sys/bus/event_source/devices/kprobe/type"),
                                  .sample_period = 1,
                                  .kprobe_func = (uintptr_t) "cap_capable"};
  if (!is_open(map) || !event.type) return 0;
  const int program = load_program(map);
  const int fd = syscall(SYS_perf_event_open, &event, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
  return program >= 0 && fd >= 0 && ioctl(fd, PERF_EVENT_IOC_SET_BPF, program) == 0 &&
         ioctl(fd, PERF_EVENT_IOC_ENABLE, 0) == 0;
}

// What was asked since the last time; reading the array asks for CAP_BPF itself, which is left out.
static void expect(const char* call, int capability, int option, long times) {
  static long before[kSlots];
  for (int slot = 0; slot < kSlots; ++slot) {
    unsigned long value = 0;
    union bpf_attr lookup = {.map_fd = map, .key = (uintptr_t)&slot, .value = (uintptr_t)&value};
    syscall(SYS_bpf, BPF_MAP_LOOKUP_ELEM, &lookup, sizeof lookup);
    const long seen = (long)value - before[slot], wanted = slot == option * kCapabilities + capability ? times : 0;
    before[slot] = (long)value;
    if (call && seen != wanted && slot != CAP_BPF)
      printf("%s: asked for capability %d, option %d, %ld times, not %ld\n", call, slot % kCapabilities,
             slot / kCapabilities, seen, wanted);
  }
}

#define CALL(call, capability, option, times)         \
  do {                                                \
    (void)!(call);                                    \
    expect(#call, (capability), (option), (times));   \
  } while (0)
#define ASKS(call, capability) CALL(call, capability, kNone, 1)
#define ASKS_NOTHING(call) CALL(call, 0, kNone, 0)

static int bind_to(int port) {
  struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  (void)!bind(fd, (struct sockaddr*)&name, sizeof name);
  return close(fd);
}

int main(void) {
  if (!attach()) {
    if (demanded()) printf("cannot probe cap_capable: errno %d\n", errno);
    puts("done");
    return 0;
  }
  struct rlimit limit;
  struct timex times = {.modes = 0};
  struct timeval now = {-1, 0};
  CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  expect(NULL, 0, 0, 0);
  CALL(syscall(SYS_setuid, 0), CAP_SETUID, kInSetId, 1);
  CALL(syscall(SYS_setgid, 0), CAP_SETGID, kInSetId, 1);
  CALL(syscall(SYS_setuid, -1), 0, kNone, 0);
  ASKS_NOTHING(syscall(SYS_setreuid, 0, -1));
  ASKS_NOTHING(syscall(SYS_setresuid, -1, 0, 0));
  ASKS_NOTHING(syscall(SYS_setresgid, 0, -1, 0));
  ASKS_NOTHING(setfsuid(0));
  ASKS(setpriority(PRIO_PROCESS, 0, -5), CAP_SYS_NICE);
  ASKS_NOTHING(setpriority(PRIO_PROCESS, 0, 5));
  ASKS_NOTHING(setrlimit(RLIMIT_NOFILE, &limit));
  ASKS_NOTHING(getrlimit(RLIMIT_NOFILE, &limit));
  ASKS_NOTHING(kill(getpid(), 0));
  ASKS_NOTHING(kill(1, 0));
  ASKS_NOTHING(chroot("/none"));
  ASKS(chroot("/"), CAP_SYS_CHROOT);
  ASKS_NOTHING(mount("none", "/none", "tmpfs", 0, NULL));
  ASKS(mount("none", "/", "none such", 0, NULL), CAP_SYS_ADMIN);
  ASKS_NOTHING(umount2("/none", 0));
  ASKS_NOTHING(umount2("/dev", 64));
  ASKS(umount2("/dev/null", 0), CAP_SYS_ADMIN);
  ASKS(mknod("/tmp/capability_checks.node", S_IFCHR | 0600, makedev(1, 3)), CAP_MKNOD);
  unlink("/tmp/capability_checks.node");
  ASKS_NOTHING(mknod("/tmp/capability_checks.node", S_IFIFO | 0600, 0));
  ASKS_NOTHING(mknod("/tmp/capability_checks.node", S_IFCHR | 0600, makedev(1, 3)));
  unlink("/tmp/capability_checks.node");
  ASKS(close(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)), CAP_NET_RAW);
  ASKS_NOTHING(close(socket(AF_INET, SOCK_DGRAM, 0)));
  ASKS_NOTHING(bind_to(0));
  ASKS_NOTHING(bind_to(40123));
  ASKS_NOTHING(syscall(SYS_adjtimex, &times));
  ASKS_NOTHING(syscall(SYS_settimeofday, &now, NULL));
  ASKS(syscall(SYS_kexec_load, 0, 0, NULL, ~0ul), CAP_SYS_BOOT);
  ASKS(syscall(SYS_reboot, 0, 0, 0, NULL), CAP_SYS_BOOT);
  ASKS(syscall(SYS_delete_module, "none such", 0), CAP_SYS_MODULE);
  ASKS(syscall(SYS_swapon, "/none", 0), CAP_SYS_ADMIN);
  ASKS(syscall(SYS_acct, "/none"), CAP_SYS_PACCT);
  ASKS(syscall(SYS_pivot_root, "/none", "/none"), CAP_SYS_ADMIN);
  ASKS(syscall(SYS_syslog, 10, NULL, 0), CAP_SYSLOG);
  ASKS(syscall(SYS_timerfd_create, 8, 0), CAP_WAKE_ALARM);
  ASKS_NOTHING(syscall(SYS_timerfd_create, 1, 0));
  ASKS_NOTHING(syscall(SYS_ioprio_set, 1, 0, 2 << 13));
  ASKS_NOTHING(prctl(PR_SET_NAME, "capable"));
  puts("done");
  return 0;
}
