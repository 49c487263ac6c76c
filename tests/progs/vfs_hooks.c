// SPDX-License-Identifier: Apache-2.0
// Which functions of the VFS each call on files passes, by kprobes and kretprobes of this program's own. Recorded on the
// claimed kernel; as root on it this program finds the same.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "tracepoint.h"

static const char* const kFunctions[] = {
    "vfs_read",        "vfs_readv",     "vfs_write",     "vfs_writev",   "vfs_open",      "vfs_fsync_range",
    "vfs_fallocate",   "vfs_fstatat",   "vfs_fstat",     "vfs_statx",    "vfs_getattr_nosec", "vfs_truncate",
    "do_truncate",     "vfs_link",      "vfs_symlink",   "vfs_readlink", "vfs_rename",    "vfs_unlink",
    "vfs_mkdir",       "vfs_mknod",     "vfs_create",    "vfs_rmdir",    "vfs_utimes",    "vfs_copy_file_range",
    "vfs_tmpfile",     "do_filp_open",  "do_unlinkat",   "do_rmdir",     "do_mkdirat",    "do_mknodat",
    "do_symlinkat",    "do_linkat",     "do_renameat2",  "filename_create", "security_inode_create", "security_file_open",
    "security_file_permission", "security_inode_unlink", "security_inode_rename", "urandom_read_iter",
    "vfs_fadvise",
};
enum { kMost = sizeof kFunctions / sizeof *kFunctions };

static struct counter entries[kMost], returns[kMost];
static long seen[2][kMost];

static struct counter count_entries(const char* function) {
  struct counter counter = {-1, -1};
  struct perf_event_attr event = {.type = number_in("/sys/bus/event_source/devices/kprobe/type")};
  event.kprobe_func = (uintptr_t)function;
  if (event.type) counter = count_event(getpid(), BPF_PROG_TYPE_KPROBE, &event);
  if (counter.event < 0 && demanded()) printf("cannot probe %s: errno %d\n", function, errno);
  return counter;
}

// How often `name` stands in the list.
static long times(const char* list, const char* name) {
  long n = 0;
  const size_t length = strlen(name);
  for (const char* at = list; (at = strstr(at, name)); at += length)
    n += (at == list || at[-1] == ' ') && (at[length] == 0 || at[length] == ' ');
  return n;
}

// Since the last time exactly these have been passed, there and back.
static void expect(const char* call, const char* passed) {
  for (int i = 0; i < kMost; ++i) {
    const long wanted = times(passed, kFunctions[i]);
    const long entered = counted(entries[i], seen[0][i] + wanted) - seen[0][i];
    const long left = counted(returns[i], seen[1][i] + wanted) - seen[1][i];
    if (entered != wanted) printf("%s: entered %s %ld times, not %ld\n", call, kFunctions[i], entered, wanted);
    if (left != wanted) printf("%s: left %s %ld times, not %ld\n", call, kFunctions[i], left, wanted);
    seen[0][i] += entered;
    seen[1][i] += left;
  }
}

// Runs the call, and looks only then who counted what.
#define CALL(call, passed)   \
  do {                       \
    (void)!(call);           \
    expect(#call, (passed)); \
  } while (0)

#define STAT "vfs_fstatat vfs_statx vfs_getattr_nosec"
#define READ "vfs_read security_file_permission"
#define WRITE "vfs_write security_file_permission"
#define OPEN "do_filp_open vfs_open security_file_open"

// From file to file within the kernel: each file is asked about by the call, again by what splices, and then for each
// piece of 16 pages.
#define MOVED "security_file_permission "
#define MOVED2 MOVED MOVED
#define MOVED4 MOVED2 MOVED2
#define COPIED "vfs_copy_file_range "

static void move_bytes(void) {
  enum { kMuch = 300000, kSome = 200000 };
  loff_t at, to;
  int pipes[2], sockets[2];
  const int in = open("in", O_RDWR | O_CREAT, 0600), out = open("out", O_RDWR | O_CREAT, 0600);
  const int end = open("out", O_WRONLY | O_APPEND), null = open("/dev/null", O_WRONLY), folder = open(".", O_RDONLY);
  CHECK(in >= 0 && out >= 0 && end >= 0 && null >= 0 && ftruncate(in, kMuch) == 0);
  CHECK(pipe(pipes) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
  expect("opened", "do_filp_open do_filp_open do_filp_open do_filp_open do_filp_open vfs_open vfs_open vfs_open vfs_open "
         "vfs_open security_file_open security_file_open security_file_open security_file_open security_file_open "
         "security_inode_create security_inode_create do_truncate");
  CALL(readahead(in, 1, 5), "vfs_fadvise");
  CALL(readahead(out, 1, 5), "vfs_fadvise");
  CALL(readahead(end, 1, 5), "");
  CALL(readahead(pipes[0], 1, 5), "");
  CALL(posix_fadvise(in, 0, 5, POSIX_FADV_WILLNEED), "");
  CALL(sendfile(out, in, (at = 0, &at), 1000), MOVED4 MOVED);
  CALL(sendfile(out, in, NULL, 1000), MOVED4 MOVED);
  CALL(sendfile(out, in, (at = 0, &at), kMuch), MOVED4 MOVED4 MOVED4 MOVED);
  CALL(sendfile(out, in, (at = 100, &at), kSome), MOVED4 MOVED4 MOVED2 MOVED);
  CALL(sendfile(out, in, (at = kMuch - 1000, &at), 5000), MOVED4 MOVED2);
  CALL(sendfile(out, in, (at = kMuch, &at), 5000), MOVED4);
  CALL(sendfile(out, in, (at = 0, &at), 0), MOVED2 MOVED);
  CALL(sendfile(sockets[0], in, (at = 0, &at), 1000), MOVED4);
  CALL(sendfile(null, in, (at = 0, &at), 1000), MOVED4);
  CALL(sendfile(pipes[1], in, (at = 0, &at), 1000), MOVED2);
  CALL(sendfile(end, in, (at = 0, &at), 1000), MOVED2);
  CALL(sendfile(out, pipes[0], (at = 0, &at), 100), "");
  CALL(sendfile(out, end, (at = 0, &at), 100), "");
  CALL(sendfile(out, in, (at = 0, &at), -1), "");
  CALL(sendfile(pipes[0], in, (at = 0, &at), 100), MOVED);
  CALL(splice(in, (at = 0, &at), pipes[1], NULL, 1000, 0), MOVED);
  CALL(splice(pipes[0], NULL, out, (to = 0, &to), 500, 0), MOVED2);
  CALL(splice(in, NULL, out, NULL, 500, 0), "");
  CALL(splice(pipes[0], NULL, end, NULL, 500, 0), "");
  CALL(copy_file_range(in, (at = 0, &at), out, (to = 0, &to), 1000, 0), COPIED MOVED4 MOVED);
  CALL(copy_file_range(in, (at = 100, &at), out, (to = 0, &to), kSome, 0), COPIED MOVED4 MOVED4 MOVED2 MOVED);
  CALL(copy_file_range(in, (at = kMuch - 1000, &at), out, (to = 0, &to), 5000, 0), COPIED MOVED4 MOVED);
  CALL(copy_file_range(in, (at = kMuch, &at), out, (to = 0, &to), 5000, 0), COPIED MOVED2);
  CALL(copy_file_range(in, (at = 0, &at), out, (to = 0, &to), 0, 0), COPIED MOVED2);
  CALL(copy_file_range(in, (at = 0, &at), out, (to = 0, &to), 10, 1), "");
  CALL(copy_file_range(in, (at = 0, &at), end, NULL, 10, 0), COPIED);
  CALL(copy_file_range(out, (at = 0, &at), out, (to = 50, &to), 100, 0), COPIED);
  CALL(copy_file_range(out, (at = 0, &at), out, (to = 500, &to), 100, 0), COPIED MOVED4 MOVED);
  CALL(copy_file_range(in, (at = 0, &at), pipes[1], NULL, 100, 0), COPIED);
  CALL(copy_file_range(folder, NULL, out, NULL, 100, 0), COPIED);
  const int all[] = {in, out, end, null, folder, pipes[0], pipes[1], sockets[0], sockets[1]};
  for (unsigned i = 0; i < sizeof all / sizeof *all; ++i) close(all[i]);
  CHECK(unlink("in") == 0 && unlink("out") == 0);
  expect("removed", "do_unlinkat vfs_unlink security_inode_unlink do_unlinkat vfs_unlink security_inode_unlink");
}

int main(void) {
  char folder[] = "/tmp/vfs_hooks.XXXXXX", buffer[64] = {0};
  CHECK(mkdtemp(folder) && chdir(folder) == 0);
  struct iovec vectors[2] = {{buffer, 2}, {buffer + 2, 3}};
  struct stat st;
  struct statx sx;
  int pipes[2], fd, other;
  const int nowhere = open("/", O_PATH);
  CHECK(pipe(pipes) == 0);
  for (int i = 0; i < kMost; ++i) {
    entries[i] = count_entries(kFunctions[i]);
    returns[i] = count_returns(getpid(), kFunctions[i]);
  }
  for (int i = 0; i < kMost; ++i) {
    seen[0][i] = counted(entries[i], 0);
    seen[1][i] = counted(returns[i], 0);
  }
  CALL(fd = open("f", O_RDWR | O_CREAT | O_EXCL, 0644), OPEN " security_inode_create");
  CALL(write(fd, "hello", 5), WRITE);
  CALL(pwrite(fd, "hello", 5, 7), WRITE);
  CALL(writev(fd, vectors, 2), "vfs_writev security_file_permission");
  CALL(lseek(fd, 0, SEEK_SET), "");
  CALL(read(fd, buffer, 10), READ);
  CALL(read(fd, buffer, 0), READ);
  CALL(pread(fd, buffer, 10, 3), READ);
  CALL(pread(fd, buffer, 10, -1), "");
  CALL(pread(pipes[0], buffer, 10, 0), "");
  CALL(readv(fd, vectors, 2), "vfs_readv security_file_permission");
  CALL(preadv(fd, vectors, 2, 1), "vfs_readv security_file_permission");
  CALL(pwritev(fd, vectors, 2, 1), "vfs_writev security_file_permission");
  CALL(read(-1, buffer, 1), "");
  CALL(read(nowhere, buffer, 1), "");
  CALL(write(pipes[1], "x", 1), WRITE);
  CALL(read(pipes[0], buffer, 1), READ);
  CALL(read(pipes[1], buffer, 1), "vfs_read");
  CALL(write(pipes[0], buffer, 1), "vfs_write");
  CALL(fsync(fd), "vfs_fsync_range");
  CALL(fdatasync(fd), "");
  CALL(fsync(-1), "");
  CALL(ftruncate(fd, 3), "do_truncate");
  CALL(truncate("f", 10), "vfs_truncate do_truncate");
  CALL(truncate("none", 10), "");
  CALL(syscall(SYS_fstat, fd, &st), "vfs_fstat vfs_getattr_nosec");
  CALL(syscall(SYS_stat, "f", &st), STAT);
  CALL(syscall(SYS_lstat, "f", &st), STAT);
  CALL(syscall(SYS_stat, "none", &st), "vfs_fstatat vfs_statx");
  CALL(syscall(SYS_newfstatat, fd, "", &st, AT_EMPTY_PATH), STAT);
  CALL(syscall(SYS_statx, AT_FDCWD, "f", 0, STATX_ALL, &sx), "vfs_statx vfs_getattr_nosec");
  CALL(link("f", "g"), "do_linkat filename_create vfs_link");
  CALL(link("none", "g"), "do_linkat");
  CALL(symlink("f", "l"), "do_symlinkat filename_create vfs_symlink");
  CALL(readlink("l", buffer, 60), "vfs_readlink");
  CALL(readlink("f", buffer, 60), "");
  CALL(rename("g", "h"), "do_renameat2 vfs_rename security_inode_rename");
  CALL(rename("none", "h"), "do_renameat2");
  CALL(unlink("h"), "do_unlinkat vfs_unlink security_inode_unlink");
  CALL(unlink("none"), "do_unlinkat");
  CALL(mkdir("d", 0755), "do_mkdirat filename_create vfs_mkdir");
  CALL(mkdir("d", 0755), "do_mkdirat filename_create");
  CALL(unlink("d"), "do_unlinkat vfs_unlink");
  CALL(mknod("d/fifo", S_IFIFO | 0600, 0), "do_mknodat filename_create vfs_mknod");
  CALL(mknod("d/file", S_IFREG | 0600, 0), "do_mknodat filename_create vfs_create security_inode_create");
  CALL(open("d/none", O_RDONLY), "do_filp_open");
  CALL(open("none/none", O_RDONLY | O_CREAT, 0600), "do_filp_open");
  CALL(other = open("l", O_RDONLY), OPEN);
  CALL(close(other), "");
  CALL(other = open("d/file", O_WRONLY | O_TRUNC), OPEN " do_truncate");
  CALL(close(other), "");
  CALL(other = open(".", O_PATH), "do_filp_open vfs_open");
  CALL(close(other), "");
  CALL(other = open(".", O_RDONLY | O_DIRECTORY), OPEN);
  CALL(syscall(SYS_getdents64, other, buffer, sizeof buffer), "security_file_permission");
  CALL(unlinkat(other, "d/fifo", 0), "do_unlinkat vfs_unlink security_inode_unlink");
  CALL(unlinkat(other, "d/file", 0), "do_unlinkat vfs_unlink security_inode_unlink");
  CALL(unlinkat(other, "d", AT_REMOVEDIR), "do_rmdir vfs_rmdir");
  CALL(close(other), "");
  CALL(rmdir("none"), "do_rmdir");
  CALL(utimensat(AT_FDCWD, "f", NULL, 0), "vfs_utimes");
  CALL(other = open("/dev/urandom", O_RDONLY), OPEN);
  CALL(read(other, buffer, 8), READ " urandom_read_iter");
  CALL(close(other), "");
  move_bytes();
  CALL(unlink("f"), "do_unlinkat vfs_unlink security_inode_unlink");
  CALL(unlink("l"), "do_unlinkat vfs_unlink security_inode_unlink");
  CHECK(chdir("/") == 0);
  CALL(rmdir(folder), "do_rmdir vfs_rmdir");
  for (int i = 0; i < kMost; ++i) {
    end_count(entries[i], 0);
    end_count(returns[i], 0);
  }
  printf("done\n");
  return 0;
}
