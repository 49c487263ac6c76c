// SPDX-License-Identifier: Apache-2.0
// Calls that programs of LSM hooks, and fmod_ret programs, deny: the call fails with the errno that the program returned
// and has no effect. Each is made twice, denied and allowed. As root on the claimed kernel it says the same.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <netinet/in.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/un.h>
#include <sys/xattr.h>

#include "kernel_btf.h"

enum { kAnswer, kCount, kElements };

struct decider {
  int map, program, link;
};

static int element(int map, uint32_t key, int64_t* value, int command) {
  union bpf_attr attr = {.map_fd = (uint32_t)map};
  attr.key = (uintptr_t)&key;
  attr.value = (uintptr_t)value;
  return bpf_call(command, &attr);
}

// Returns what the map says to whatever this process does, and counts how often it was asked.
static int load_decider(int map, uint32_t type, uint32_t attach, uint32_t target) {
  const int pid = getpid();
  const struct bpf_insn code[] = {
      {.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_get_current_pid_tgid},
      {.code = BPF_ALU64 | BPF_RSH | BPF_K, .dst_reg = 0, .imm = 32},
      {.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 0, .off = 18, .imm = pid},
      ELEMENT(map, kCount),
      {.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 0, .off = 11},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 1, .imm = 1},
      {.code = BPF_STX | BPF_ATOMIC | BPF_DW, .dst_reg = 0, .src_reg = 1, .imm = BPF_ADD},
      ELEMENT(map, kAnswer),
      {.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 0, .off = 2},
      {.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 0, .src_reg = 0},
      {.code = BPF_JMP | BPF_EXIT},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0},
      {.code = BPF_JMP | BPF_EXIT},
  };
  union bpf_attr attr = {.prog_type = type};
  attr.expected_attach_type = attach;
  attr.attach_btf_id = target;
  attr.insn_cnt = sizeof code / sizeof code[0];
  attr.insns = (uintptr_t)code;
  attr.license = (uintptr_t) "GPL";
  return bpf_call(BPF_PROG_LOAD, &attr);
}

static int deciders;  // that there are: none on a bare kernel without root

static struct decider attach(uint32_t type, uint32_t how, const char* function) {
  struct decider decider = {-1, -1, -1};
  union bpf_attr attr = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = kElements};
  decider.map = bpf_call(BPF_MAP_CREATE, &attr);
  if (!is_open(decider.map)) return decider;
  const uint32_t target = btf_id(BTF_KIND_FUNC, function);
  decider.program = load_decider(decider.map, type, how, target);
  if (decider.program < 0) {
    if (demanded()) printf("%s: not loaded, errno %d\n", function, errno);
    return decider;
  }
  union bpf_attr open = {.raw_tracepoint = {.prog_fd = (uint32_t)decider.program}};
  decider.link = bpf_call(BPF_RAW_TRACEPOINT_OPEN, &open);
  if (decider.link < 0) printf("%s: not attached, errno %d\n", function, errno);
  return decider;
}

static void detach(struct decider decider) {
  const int fds[] = {decider.link, decider.program, decider.map};
  for (int i = 0; i < 3; ++i)
    if (is_open(fds[i])) close(fds[i]);
}

static void answer(struct decider decider, int64_t value) {
  CHECK(element(decider.map, kAnswer, &value, BPF_MAP_UPDATE_ELEM) == 0);
}

static long asked(struct decider decider) {
  int64_t count = -1;
  CHECK(element(decider.map, kCount, &count, BPF_MAP_LOOKUP_ELEM) == 0);
  return count;
}

// Makes the call denied and allowed; `undone` is true as long as it has had no effect.
#define DECIDE_AS(type, how, function, times, call, undone)                                           \
  do {                                                                                                \
    const struct decider d = attach(type, how, function);                                             \
    if (d.link < 0) {                                                                                 \
      if (demanded()) printf("no program at %s\n", function);                                         \
      break;                                                                                          \
    }                                                                                                 \
    ++deciders;                                                                                       \
    answer(d, -EUCLEAN);                                                                              \
    errno = 0;                                                                                        \
    const long denied = (long)(call);                                                                 \
    const int error = errno;                                                                          \
    answer(d, 0);                                                                                     \
    if (denied != -1 || error != EUCLEAN) printf("%s: %s gave %ld, errno %d\n", function, #call, denied, error); \
    if (!(undone)) printf("%s: %s had an effect\n", function, #call);                                 \
    const long before = asked(d), allowed = (long)(call);                                             \
    if (allowed == -1) printf("%s: %s failed when allowed, errno %d\n", function, #call, errno);      \
    if (asked(d) - before != (times)) printf("%s: %s asked %ld times\n", function, #call, asked(d) - before); \
    detach(d);                                                                                        \
  } while (0)

#define DENY(hook, call, undone) DECIDE_AS(BPF_PROG_TYPE_LSM, BPF_LSM_MAC, "bpf_lsm_" hook, 1, call, undone)
#define MODIFY(function, call, undone) DECIDE_AS(BPF_PROG_TYPE_TRACING, BPF_MODIFY_RETURN, function, 1, call, undone)

static int exists(const char* path) { return access(path, F_OK) == 0; }

static off_t size_of(const char* path) {
  struct stat st;
  return stat(path, &st) == 0 ? st.st_size : -1;
}

static int mode_of(const char* path) {
  struct stat st;
  return stat(path, &st) == 0 ? (int)(st.st_mode & 07777) : -1;
}

static void make(const char* path) {
  const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  CHECK(fd >= 0 && write(fd, "hello", 5) == 5);
  close(fd);
}

// A descriptor that only matters by being one.
static int closed(int fd) { return fd < 0 ? -1 : close(fd); }

static int free_descriptor(void) {
  const int fd = dup(0);
  close(fd);
  return fd;
}

static void files(void) {
  struct stat st;
  make("f");
  int lowest = free_descriptor() + 3;  // behind the program's own
  DENY("file_open", closed(open("f", O_RDONLY)), free_descriptor() == lowest);
  DENY("file_open", closed(open("f", O_WRONLY | O_TRUNC)), size_of("f") == 5);
  make("f");
  // The file is made before it is opened.
  DENY("file_open", closed(open("made", O_WRONLY | O_CREAT, 0600)), exists("made") && free_descriptor() == lowest);
  DENY("inode_create", closed(open("new", O_WRONLY | O_CREAT, 0600)), !exists("new"));
  unlink("new");
  DENY("path_mknod", closed(open("new", O_WRONLY | O_CREAT, 0600)), !exists("new"));
  DENY("inode_unlink", unlink("new"), exists("new"));
  make("new");
  DENY("path_unlink", unlink("new"), exists("new"));
  DENY("inode_mkdir", mkdir("d", 0755), !exists("d"));
  DENY("inode_rmdir", rmdir("d"), exists("d"));
  DENY("path_mkdir", mkdir("d", 0755), !exists("d"));
  DENY("path_rmdir", rmdir("d"), exists("d"));
  DENY("inode_symlink", symlink("f", "l"), lstat("l", &st) != 0);
  DENY("inode_readlink", readlink("l", (char[8]){0}, 8), 1);
  DENY("inode_link", link("f", "g"), !exists("g"));
  unlink("g");
  DENY("path_link", link("f", "g"), !exists("g"));
  DENY("inode_rename", rename("g", "h"), exists("g") && !exists("h"));
  DENY("path_rename", rename("h", "g"), exists("h") && !exists("g"));
  // Two names of one file are left as they are.
  DECIDE_AS(BPF_PROG_TYPE_LSM, BPF_LSM_MAC, "bpf_lsm_path_rename", 1,
            syscall(SYS_renameat2, AT_FDCWD, "g", AT_FDCWD, "f", 0), exists("g"));
  CHECK(closed(creat("h", 0600)) == 0);
  DECIDE_AS(BPF_PROG_TYPE_LSM, BPF_LSM_MAC, "bpf_lsm_inode_rename", 2,
            syscall(SYS_renameat2, AT_FDCWD, "g", AT_FDCWD, "h", 2), size_of("h") == 0);
  make("h");
  DENY("inode_mknod", mknod("p", S_IFIFO | 0600, 0), !exists("p"));
  DENY("inode_getattr", syscall(SYS_stat, "f", &st), 1);
  chmod("h", 0600);
  DENY("path_chmod", chmod("h", 0640), mode_of("h") == 0600);
  DENY("inode_setattr", chmod("h", 0644), mode_of("h") == 0640);
  DENY("path_chown", chown("h", -1, getgid()), 1);
  DENY("path_truncate", truncate("h", 2), size_of("h") == 5);
  DENY("inode_setattr", truncate("h", 1), size_of("h") == 2);
}

static void open_files(void) {
  make("o");
  const int fd = open("o", O_RDWR);
  char buffer[8] = "xxxxxxx";
  DENY("file_permission", pread(fd, buffer, 5, 0), buffer[0] == 'x');
  DENY("file_permission", pwrite(fd, "abc", 3, 5), size_of("o") == 5);
  DENY("file_fcntl", fcntl(fd, F_SETFL, O_APPEND), fcntl(fd, F_GETFL) == (O_RDWR | 0100000));
  DENY("file_ioctl", ioctl(fd, 0x541b, buffer), 1);  // FIONREAD
  DENY("mmap_file", mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0), 1);
  char* page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  DENY("mmap_addr", mmap(page, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), (*page = 1));
  DENY("file_mprotect", mprotect(page + 4096, 4096, PROT_READ), (page[4096] = 1));
  char* room = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  *room = 2;
  DENY("mmap_addr", mremap(room, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, room + 4096), *room == 2);
  DENY("file_lock", flock(fd, LOCK_EX), 1);
  DENY("inode_listxattr", listxattr("o", NULL, 0), 1);
  struct statfs facts;
  DENY("sb_statfs", statfs("o", &facts), 1);
  close(fd);
}

// A heap whose end may not move stays as it is, and says so in no other way.
static void heap(void) {
  const struct decider d = attach(BPF_PROG_TYPE_LSM, BPF_LSM_MAC, "bpf_lsm_mmap_addr");
  if (d.link < 0) return;
  const long end = syscall(SYS_brk, 0), before = asked(d);
  answer(d, -EUCLEAN);
  CHECK(syscall(SYS_brk, end + 8192) == end && asked(d) == before + 1);
  answer(d, 0);
  CHECK(syscall(SYS_brk, end + 8192) == end + 8192 && syscall(SYS_brk, end) == end);
  CHECK(asked(d) == before + 2);
  detach(d);
}

// Where mounts may be made.
static void mounts(void) {
  struct statfs facts;
  mkdir("mounted", 0700);
  if (mount("none", "mounted", "tmpfs", 0, NULL) != 0) return;
  umount("mounted");
  const int tmpfs = 0x01021994;
  DENY("sb_mount", mount("none", "mounted", "tmpfs", 0, "size=64k"), exists("mounted"));
  DENY("sb_umount", umount("mounted"), statfs("mounted", &facts) == 0 && facts.f_type == tmpfs);
}

static void sockets(void) {
  int lowest = free_descriptor() + 3;
  struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t size = sizeof any;
  DENY("socket_create", closed(socket(AF_INET, SOCK_STREAM, 0)), free_descriptor() == lowest);
  DENY("socket_post_create", closed(socket(AF_UNIX, SOCK_STREAM, 0)), free_descriptor() == lowest);
  const int server = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
  DENY("socket_bind", bind(server, (void*)&any, sizeof any),
       getsockname(server, (void*)&any, &size) == 0 && any.sin_port == 0);
  CHECK(getsockname(server, (void*)&any, &size) == 0);
  DENY("socket_listen", listen(server, 4), connect(client, (void*)&any, sizeof any) == -1 && errno == ECONNREFUSED);
  listen(server, 4);
  DENY("socket_connect", connect(client, (void*)&any, sizeof any), getpeername(client, (void*)&any, &size) != 0);
  connect(client, (void*)&any, sizeof any);
  DENY("socket_accept", closed(accept(server, NULL, NULL)), 1);
  int one = 1;
  socklen_t length = sizeof one;
  DENY("socket_getsockname", getsockname(server, (void*)&any, &size), 1);
  DENY("socket_getpeername", getpeername(client, (void*)&any, &size), 1);
  DENY("socket_setsockopt", setsockopt(server, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one),
       getsockopt(server, SOL_SOCKET, SO_KEEPALIVE, &one, &length) == 0 && one == 0 && (one = 1));
  DENY("socket_getsockopt", getsockopt(server, SOL_SOCKET, SO_TYPE, &one, &length), 1);
  int ends[2];
  lowest = free_descriptor() + 3;
  DENY("socket_socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, ends), free_descriptor() == lowest);
  for (int i = 0; i < 2; ++i) close(ends[i]);
  char buffer[4];
  CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) == 0);
  DENY("socket_sendmsg", send(ends[0], "x", 1, 0), recv(ends[1], buffer, 1, MSG_DONTWAIT) == -1);
  DENY("socket_recvmsg", recv(ends[1], buffer, 1, 0), 1);
  const int others[] = {server, client, ends[0], ends[1]};
  for (int i = 0; i < 4; ++i) close(others[i]);
}

static long fork_and_wait(void) {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  return child < 0 ? -1 : ended(child);
}

static volatile sig_atomic_t signals;
static void on_signal(int number) { signals += number > 0; }

static void tasks(void) {
  signal(SIGUSR1, on_signal);
  DENY("task_alloc", fork_and_wait(), waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
  DENY("task_kill", kill(getpid(), SIGUSR1), signals == 0);
  DENY("task_setnice", setpriority(PRIO_PROCESS, 0, 5), getpriority(PRIO_PROCESS, 0) == 0);
  struct sched_param plain = {0};
  struct rlimit limit = {0};
  DENY("task_getpgid", getpgid(getpid()), 1);
  DENY("task_getsid", getsid(getpid()), 1);
  DENY("task_getscheduler", sched_getscheduler(0), 1);
  DENY("task_setscheduler", sched_setscheduler(0, SCHED_BATCH, &plain), sched_getscheduler(0) == SCHED_OTHER);
  DENY("task_setrlimit", setrlimit(RLIMIT_CORE, &limit), 1);
  DENY("task_setioprio", syscall(SYS_ioprio_set, 1, 0, 2 << 13 | 5), syscall(SYS_ioprio_get, 1, 0) != (2 << 13 | 5));
  DENY("task_getioprio", syscall(SYS_ioprio_get, 1, 0), 1);
  char name[16] = {0};
  DENY("task_prctl", prctl(PR_SET_NAME, "renamed"), prctl(PR_GET_NAME, name) == 0 && strcmp(name, "renamed") != 0);
}

// It denies the calls, too, that would tell it what to answer.
static void bpf_itself(void) {
  struct decider d = attach(BPF_PROG_TYPE_LSM, BPF_LSM_MAC, "bpf_lsm_bpf");
  if (d.link < 0) return;
  close(d.link);
  answer(d, -EUCLEAN);
  union bpf_attr open = {.raw_tracepoint = {.prog_fd = (uint32_t)d.program}};
  d.link = bpf_call(BPF_RAW_TRACEPOINT_OPEN, &open);
  CHECK(d.link >= 0 && counter_map() == -1 && errno == EUCLEAN);
  close(d.link);
  CHECK(asked(d) == 1);
  detach(d);
}

static void modified(void) {
  make("m");
  MODIFY("security_file_open", closed(open("m", O_RDONLY)), 1);
  MODIFY("security_inode_unlink", unlink("m"), exists("m"));
  MODIFY("security_socket_create", closed(socket(AF_INET, SOCK_STREAM, 0)), 1);
}

// The program attached last is asked first, and one that denies ends it; fmod_ret comes before every LSM program.
static void several(void) {
  make("s");
  const struct decider first = attach(BPF_PROG_TYPE_LSM, BPF_LSM_MAC, "bpf_lsm_inode_unlink");
  const struct decider second = attach(BPF_PROG_TYPE_LSM, BPF_LSM_MAC, "bpf_lsm_inode_unlink");
  const struct decider modifier = attach(BPF_PROG_TYPE_TRACING, BPF_MODIFY_RETURN, "security_inode_unlink");
  if (first.link < 0 || second.link < 0 || modifier.link < 0) return;
  CHECK(bpf_call(BPF_RAW_TRACEPOINT_OPEN, &(union bpf_attr){.raw_tracepoint = {.prog_fd = (uint32_t)first.program}}) ==
            -1 && errno == EBUSY);
  answer(first, -EUCLEAN);
  answer(second, -ENOANO);
  answer(modifier, -EXFULL);
  CHECK(unlink("s") == -1 && errno == EXFULL);
  CHECK(asked(first) == 0 && asked(second) == 0 && asked(modifier) == 1);
  answer(modifier, 0);
  CHECK(unlink("s") == -1 && errno == ENOANO);
  CHECK(asked(first) == 0 && asked(second) == 1);
  answer(second, 0);
  CHECK(unlink("s") == -1 && errno == EUCLEAN);
  close(first.link);
  CHECK(unlink("s") == 0 && asked(first) == 1 && asked(second) == 3 && asked(modifier) == 4);
}

// Those that the kernel refuses by itself it does not ask about.
static void unasked(void) {
  const struct decider opening = attach(BPF_PROG_TYPE_LSM, BPF_LSM_MAC, "bpf_lsm_file_open");
  const struct decider unlinking = attach(BPF_PROG_TYPE_LSM, BPF_LSM_MAC, "bpf_lsm_inode_unlink");
  if (opening.link < 0 || unlinking.link < 0) return;
  make("u");
  answer(opening, -EUCLEAN);
  answer(unlinking, -EUCLEAN);
  const long before = asked(opening);
  CHECK(open("none", O_RDONLY) == -1 && errno == ENOENT);
  CHECK(open("u", O_RDONLY | O_DIRECTORY) == -1 && errno == ENOTDIR);
  CHECK(open("u", O_RDWR | O_CREAT | O_EXCL, 0600) == -1 && errno == EEXIST);
  CHECK(open(".", O_RDWR) == -1 && errno == EISDIR);
  const int place = open("u", O_PATH);
  CHECK(place >= 0);
  close(place);
  CHECK(unlink("none") == -1 && errno == ENOENT);
  CHECK(unlink(".") == -1 && errno == EISDIR);
  CHECK(asked(opening) == before && asked(unlinking) == 0);
  detach(opening);
  detach(unlinking);
}

// A denied execve leaves the program as it is.
static void executions(void) {
  fflush(stdout);
  static const char* const kHooks[] = {"bpf_lsm_bprm_check_security", "bpf_lsm_bprm_creds_for_exec"};
  for (int i = 0; i < 2; ++i) {
    const int child = fork();
    if (child == 0) {
      const struct decider d = attach(BPF_PROG_TYPE_LSM, BPF_LSM_MAC, kHooks[i]);
      if (d.link >= 0) {
        answer(d, -EUCLEAN);
        if (execl("/bin/true", "true", NULL) != -1 || errno != EUCLEAN) printf("%s: errno %d\n", kHooks[i], errno);
        answer(d, 0);
      }
      fflush(stdout);
      execl("/bin/true", "true", NULL);
      _exit(1);
    }
    CHECK(ended(child) == 0);
  }
}

static void refused(void) {
  if (!deciders) return;
  const struct decider d = {.map = bpf_call(BPF_MAP_CREATE, &(union bpf_attr){.map_type = BPF_MAP_TYPE_ARRAY,
                                                                              .key_size = 4,
                                                                              .value_size = 8,
                                                                              .max_entries = kElements})};
  const uint32_t file_open = btf_id(BTF_KIND_FUNC, "security_file_open"), vfs_read = btf_id(BTF_KIND_FUNC, "vfs_read");
  // Not a hook, none that may be modified, nothing at all.
  CHECK(load_decider(d.map, BPF_PROG_TYPE_LSM, BPF_LSM_MAC, file_open) == -1 && errno == EINVAL);
  CHECK(load_decider(d.map, BPF_PROG_TYPE_TRACING, BPF_MODIFY_RETURN, vfs_read) == -1 && errno == EINVAL);
  CHECK(load_decider(d.map, BPF_PROG_TYPE_LSM, BPF_LSM_MAC, 0) == -1 && errno == EINVAL);
  CHECK(load_decider(d.map, BPF_PROG_TYPE_LSM, BPF_LSM_MAC, 0xfffff) == -1 && errno == EINVAL);
  close(d.map);
}

// In a process of its own, which then has another user namespace; where that is nobody's to make, nobody is asked.
static void user_namespaces(void) {
  pid_t child = fork();
  if (child == 0) _exit(unshare(CLONE_NEWUSER) != 0);
  if (ended(child) != 0) return;
  fflush(stdout);
  child = fork();
  if (child == 0) {
    char before[64] = "", after[64] = "";
    CHECK(readlink("/proc/self/ns/user", before, sizeof before - 1) > 0);
    DENY("userns_create", unshare(CLONE_NEWUSER),
         readlink("/proc/self/ns/user", after, sizeof after - 1) > 0 && strcmp(before, after) == 0);
    fflush(stdout);
    _exit(0);
  }
  CHECK(ended(child) == 0);
}

int main(void) {
  char folder[] = "/tmp/security_hooks.XXXXXX";
  CHECK(mkdtemp(folder) && chdir(folder) == 0);
  files();
  open_files();
  heap();
  mounts();
  sockets();
  tasks();
  bpf_itself();
  modified();
  several();
  user_namespaces();
  unasked();
  executions();
  refused();
  if (demanded() && deciders < 64) printf("only %d were decided\n", deciders);
  return 0;
}
