// SPDX-License-Identifier: Apache-2.0
// What root in a user namespace with one id is told: ids, groups, owners, capabilities. Says what it found, the same under
// bpfemu as bare (unshare -Ur). The last lines are of bpf(), which only the root of bpfemu may call.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char* what, long result) {
  printf("%s: %s\n", what, result < 0 ? strerrorname_np(errno) : "ok");
  fflush(stdout);
}

static void show_ids(void) {
  uid_t r, e, s;
  gid_t gr, ge, gs, groups[64];
  getresuid(&r, &e, &s);
  getresgid(&gr, &ge, &gs);
  printf("ids: %d %d %d %d %d / %d %d %d %d %d\n", getuid(), geteuid(), r, e, s, getgid(), getegid(), gr, ge, gs);
  int count = getgroups(64, groups);
  for (int i = 0; i < count; i++) printf("group %d\n", groups[i]);
}

static void show_stat(const char* path) {
  struct stat a, b, c;
  struct statx x;
  int fd = open(path, O_RDONLY);
  say(path, fd);
  stat(path, &a);
  lstat(path, &b);
  fstat(fd, &c);
  statx(AT_FDCWD, path, 0, STATX_BASIC_STATS, &x);
  printf("%d:%d %d:%d %d:%d %d:%d\n", a.st_uid, a.st_gid, b.st_uid, b.st_gid, c.st_uid, c.st_gid, x.stx_uid, x.stx_gid);
  if (fd >= 0) close(fd);
}

struct Caps {
  struct __user_cap_header_struct header;
  struct __user_cap_data_struct data[2];
};
static struct Caps own_caps(void) {
  struct Caps caps = {{_LINUX_CAPABILITY_VERSION_3, 0}, {}};
  syscall(SYS_capget, &caps.header, caps.data);
  return caps;
}
static void show_caps(const char* who) {
  struct Caps caps = own_caps();
  printf("%s: %x%08x\n", who, caps.data[1].effective, caps.data[0].effective);
  fflush(stdout);
}
static void show_status(void) {
  char line[256];
  FILE* status = fopen("/proc/self/status", "r");
  while (fgets(line, sizeof line, status))
    if (!strncmp(line, "Uid:", 4) || !strncmp(line, "Gid:", 4) || !strncmp(line, "Groups:", 7) || !strncmp(line, "CapEff:", 7)) fputs(line, stdout);
  fclose(status);
}

static void show_prctl(const char* who) {
  printf("%s: bounding %d %d, ambient %d, no_new_privs %d\n", who, prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN),
         prctl(PR_CAPBSET_READ, CAP_CHOWN), prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_CHOWN, 0, 0),
         prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
  fflush(stdout);
}

// Who is at the other end, and who sends, by default and by what it says.
static void show_peers(void) {
  int pair[2], one = 1;
  struct ucred who;
  socklen_t size = sizeof who;
  socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
  getsockopt(pair[0], SOL_SOCKET, SO_PEERCRED, &who, &size);
  printf("peer: %d %d %d\n", who.pid == getpid(), who.uid, who.gid);
  setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof one);
  for (int i = 0; i < 3; i++) {
    union {
      struct cmsghdr head;
      char bytes[CMSG_SPACE(sizeof who)];
    } control = {.head = {CMSG_LEN(sizeof who), SOL_SOCKET, SCM_CREDENTIALS}};
    struct ucred mine = {getpid(), i == 2 ? 77 : 0, 0};
    memcpy(CMSG_DATA(&control.head), &mine, sizeof mine);
    struct iovec byte = {"x", 1};
    struct msghdr message = {.msg_iov = &byte, .msg_iovlen = 1};
    if (i) message.msg_control = &control, message.msg_controllen = sizeof control;
    say("sendmsg", sendmsg(pair[0], &message, 0));
    char got;
    byte = (struct iovec){&got, 1};
    message = (struct msghdr){.msg_iov = &byte, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    if (recvmsg(pair[1], &message, MSG_DONTWAIT) < 0) break;
    memcpy(&who, CMSG_DATA(&control.head), sizeof who);
    printf("sender: %d %d %d\n", who.pid == getpid(), who.uid, who.gid);
  }
}

static void use_bpf(const char* who) {
  union bpf_attr attr = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
  printf("bpf() of %s: ", who);
  say("a map", syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof attr));
}

static void in_child(void (*call)(const char*), const char* who) {
  pid_t child = fork();
  if (!child) call(who), exit(0);
  waitpid(child, NULL, 0);
}

static void set_ids(void) {
  say("setuid(0)", setuid(0));
  say("setuid(1)", setuid(1));
  say("setresuid(0, -1, 0)", setresuid(0, -1, 0));
  say("seteuid(65534)", seteuid(65534));
  say("setreuid(-1, 0)", setreuid(-1, 0));
  say("setgid(0)", setgid(0));
  say("setgid(7)", setgid(7));
  say("setresgid(-1, 7, -1)", setresgid(-1, 7, -1));
  printf("setfsuid(9): %d %d\n", setfsuid(9), setfsuid(-1));
  say("setgroups", setgroups(0, NULL));
}

// Drops everything, waits for the file "go", and is then seen by probes that came after.
static void drop_and_call(void) {
  struct Caps caps = own_caps();
  memset(caps.data, 0, sizeof caps.data);
  say("drop all", syscall(SYS_capset, &caps.header, caps.data));
  while (access("go", F_OK)) usleep(10000);
  for (int i = 0; i < 100; i++) getpgid(0);
}

int main(int argc, char** argv) {
  if (!strcmp(argv[1], "late")) return drop_and_call(), 0;
  if (argc > 2) {  // after exec
    show_caps("exec");
    show_prctl("exec");
    use_bpf("exec");
    return 0;
  }
  show_ids();
  if (strcmp(argv[1], "root")) set_ids();  // root itself could
  show_ids();
  show_status();
  show_prctl("root");
  if (strcmp(argv[1], "root")) show_peers();
  say("bound", prctl(PR_CAPBSET_DROP, CAP_CHOWN));
  close(open("own", O_CREAT | O_WRONLY, 0644));
  show_stat("own");
  show_stat("/etc/hostname");
  say("chown(own, 0, 0)", chown("own", 0, 0));
  say("chown(/etc/hostname, 0, 0)", chown("/etc/hostname", 0, 0));
  say("chown(nothing, 1, 1)", chown("nothing", 1, 1));
  say("access", access("/etc/hostname", W_OK));
  use_bpf("root");
  struct Caps caps = own_caps();
  caps.data[0].effective &= ~(1u << CAP_CHOWN);
  say("drop one", syscall(SYS_capset, &caps.header, caps.data));
  show_caps("self");
  use_bpf("most");
  memset(caps.data, 0, sizeof caps.data);
  say("drop all", syscall(SYS_capset, &caps.header, caps.data));
  show_caps("self");
  show_status();
  use_bpf("none");
  in_child(show_caps, "child");
  in_child(use_bpf, "child");
  say("bound", prctl(PR_CAPBSET_DROP, CAP_CHOWN));
  caps.data[0].permitted = 1u << CAP_CHOWN;
  say("take one", syscall(SYS_capset, &caps.header, caps.data));
  execl("/proc/self/exe", argv[0], argv[1], "again", NULL);
}
