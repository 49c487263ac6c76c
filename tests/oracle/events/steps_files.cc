// SPDX-License-Identifier: Apache-2.0
// What open files go through. All begin and end without files in the folder.
#include "tests/oracle/events/steps.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/uio.h>

namespace events {
namespace {

char buffer[256];

// The first descriptor of each step.
int make(const char* name) {
  const int fd = static_cast<int>(call(SYS_openat, AT_FDCWD, name, O_RDWR | O_CREAT | O_TRUNC, 0640));
  need(fd == 0, "descriptor 0");
  return fd;
}

void drop(int fd, const char* name) {
  call(SYS_close, fd);
  call(SYS_unlinkat, AT_FDCWD, name, 0);
}

void open_and_close() {
  call(SYS_close, make("data"));
  call(SYS_close, call(SYS_openat, AT_FDCWD, "data", O_RDONLY, 0));
  call(SYS_close, call(SYS_openat, AT_FDCWD, "data", O_WRONLY | O_APPEND | O_CLOEXEC, 0));
  call(SYS_close, call(SYS_openat, AT_FDCWD, "data", O_RDWR | O_NONBLOCK, 0));
  call(SYS_close, call(SYS_openat, AT_FDCWD, "data", O_PATH, 0));
  call(SYS_close, call(SYS_open, "data", O_RDONLY, 0));
  call(SYS_close, call(SYS_openat, AT_FDCWD, ".", O_RDONLY | O_DIRECTORY, 0));
  call(SYS_unlinkat, AT_FDCWD, "data", 0);
}

void open_in_vain() {
  call(SYS_openat, AT_FDCWD, "missing", O_RDONLY, 0);
  call(SYS_openat, AT_FDCWD, "missing/below", O_RDONLY, 0);
  call(SYS_openat, AT_FDCWD, "", O_RDONLY, 0);
  call(SYS_openat, AT_FDCWD, ".", O_WRONLY, 0);
  call(SYS_openat, 77, "data", O_RDONLY, 0);
  call(SYS_openat, AT_FDCWD, static_cast<const char*>(nullptr), O_RDONLY, 0);
  call(SYS_close, make("data"));
  call(SYS_openat, AT_FDCWD, "data", O_RDWR | O_CREAT | O_EXCL, 0600);
  call(SYS_openat, AT_FDCWD, "data", O_RDONLY | O_DIRECTORY, 0);
  call(SYS_openat, AT_FDCWD, "data/below", O_RDONLY, 0);
  call(SYS_unlinkat, AT_FDCWD, "data", 0);
  call(SYS_close, 77);
}

void create() {
  call(SYS_close, call(SYS_creat, "data", 0604));
  call(SYS_close, call(SYS_openat, AT_FDCWD, "data", O_RDWR | O_TRUNC, 0));
  call(SYS_unlink, "data");
  call(SYS_close, call(SYS_openat, AT_FDCWD, "fresh", O_WRONLY | O_CREAT | O_EXCL, 0400));
  call(SYS_unlink, "fresh");
}

void read_and_write() {
  const int fd = make("data");
  call(SYS_write, fd, "hello, world", 12);
  call(SYS_pwrite64, fd, "HELLO", 5, 3L);
  call(SYS_lseek, fd, 0L, SEEK_SET);
  call(SYS_read, fd, buffer, 7);
  call(SYS_read, fd, buffer, 100);
  call(SYS_read, fd, buffer, 100);
  call(SYS_read, fd, buffer, 0);
  call(SYS_pread64, fd, buffer, 4, 8L);
  call(SYS_pread64, fd, buffer, 4, 800L);
  call(SYS_read, 77, buffer, 1);
  call(SYS_read, fd, 8L, 1);
  drop(fd, "data");
}

void vectors() {
  const int fd = make("vectors");
  const iovec out[] = {{const_cast<char*>("one"), 3}, {const_cast<char*>("three"), 5}};
  const iovec in[] = {{buffer, 2}, {buffer + 2, 6}};
  call(SYS_writev, fd, out, 2);
  call(SYS_pwritev, fd, out, 2, 2L, 0L);
  call(SYS_lseek, fd, 0L, SEEK_SET);
  call(SYS_readv, fd, in, 2);
  call(SYS_preadv, fd, in, 1, 1L, 0L);
  call(SYS_preadv2, fd, in, 2, 1L, 0L, 0);
  drop(fd, "vectors");
}

void wrong_ways() {
  const int fd = make("data");
  const int only_read = static_cast<int>(call(SYS_openat, AT_FDCWD, "data", O_RDONLY, 0));
  const int only_write = static_cast<int>(call(SYS_openat, AT_FDCWD, "data", O_WRONLY, 0));
  call(SYS_write, only_read, "x", 1);
  call(SYS_read, only_write, buffer, 1);
  call(SYS_ftruncate, only_read, 3L);
  call(SYS_pread64, fd, buffer, 4, -1L);
  call(SYS_lseek, fd, 0L, 99);
  call(SYS_close, only_read);
  call(SYS_close, only_write);
  drop(fd, "data");
}

void sizes() {
  const int fd = make("data");
  call(SYS_ftruncate, fd, 5000L);
  call(SYS_truncate, "data", 100L);
  call(SYS_truncate, "missing", 100L);
  call(SYS_truncate, "data", -1L);
  call(SYS_fallocate, fd, 0, 0L, 8192L);
  call(SYS_fsync, fd);
  call(SYS_fdatasync, fd);
  call(SYS_sync_file_range, fd, 0L, 0L, 0);
  call(SYS_flock, fd, 2);
  call(SYS_flock, fd, 8);
  drop(fd, "data");
}

void copies() {
  const int from = make("from");
  const int to = static_cast<int>(call(SYS_openat, AT_FDCWD, "to", O_RDWR | O_CREAT, 0600));
  call(SYS_write, from, "0123456789", 10);
  call(SYS_lseek, from, 0L, SEEK_SET);
  off_t in = 0, out = 6;
  call(SYS_copy_file_range, from, &in, to, &out, 0L, 0);
  call(SYS_copy_file_range, from, &in, 77, &out, 4L, 0);
  call(SYS_close, to);
  call(SYS_unlink, "to");
  drop(from, "from");
}

void descriptors() {
  const int fd = make("data");
  call(SYS_dup, fd);
  call(SYS_dup2, fd, 10);
  call(SYS_dup3, fd, 11, O_CLOEXEC);
  call(SYS_dup3, fd, fd, 0);
  call(SYS_dup2, fd, 11);
  call(SYS_fcntl, fd, F_DUPFD, 20);
  call(SYS_fcntl, fd, F_GETFL, 0);
  call(SYS_fcntl, fd, F_SETFL, O_NONBLOCK);
  call(SYS_fcntl, fd, F_SETFD, FD_CLOEXEC);
  call(SYS_fcntl, 77, F_GETFL, 0);
  call(SYS_ioctl, fd, 0x5401, buffer);
  for (const int each : {1, 10, 11, 20}) call(SYS_close, each);
  drop(fd, "data");
}

void pipes() {
  int ends[2];
  call(SYS_pipe2, ends, O_CLOEXEC);
  call(SYS_write, ends[1], "through", 7);
  call(SYS_read, ends[0], buffer, 3);
  call(SYS_read, ends[0], buffer, 10);
  call(SYS_read, ends[1], buffer, 10);
  call(SYS_write, ends[0], "x", 1);
  call(SYS_close, ends[1]);
  call(SYS_read, ends[0], buffer, 10);
  call(SYS_close, ends[0]);
}

void attributes() {
  struct stat st;
  struct statfs fs;
  struct statx extended;
  const int fd = make("data");
  call(SYS_write, fd, "12345", 5);
  call(SYS_fstat, fd, &st);
  call(SYS_stat, "data", &st);
  call(SYS_lstat, "data", &st);
  call(SYS_newfstatat, AT_FDCWD, "data", &st, 0);
  call(SYS_newfstatat, fd, "", &st, AT_EMPTY_PATH);
  call(SYS_statx, AT_FDCWD, "data", 0, STATX_SIZE, &extended);
  call(SYS_stat, "missing", &st);
  call(SYS_fstat, 77, &st);
  call(SYS_statfs, ".", &fs);
  call(SYS_fstatfs, fd, &fs);
  call(SYS_access, "data", R_OK);
  call(SYS_faccessat, AT_FDCWD, "missing", F_OK);
  drop(fd, "data");
}

void modes() {
  const int fd = make("data");
  call(SYS_chmod, "data", 0600);
  call(SYS_fchmod, fd, 0644);
  call(SYS_fchmodat, AT_FDCWD, "data", 0400);
  call(SYS_chmod, "missing", 0600);
  call(SYS_chown, "data", 0, 0);
  call(SYS_fchown, fd, 0, -1);
  call(SYS_lchown, "data", -1, 0);
  call(SYS_fchownat, AT_FDCWD, "data", 0, 0, 0);
  const timespec times[2] = {{1, 2}, {3, 4}};
  call(SYS_utimensat, AT_FDCWD, "data", times, 0);
  call(SYS_utimensat, fd, 0L, times, 0);
  call(SYS_umask, 022);
  drop(fd, "data");
}

void entries() {
  call(SYS_mkdir, "folder", 0700);
  const int fd = static_cast<int>(call(SYS_openat, AT_FDCWD, "folder", O_RDONLY | O_DIRECTORY, 0));
  call(SYS_getdents64, fd, buffer, sizeof buffer);
  call(SYS_getdents64, fd, buffer, sizeof buffer);
  call(SYS_close, fd);
  call(SYS_chdir, "folder");
  call(SYS_getcwd, buffer, 1L);
  call(SYS_chdir, "..");
  call(SYS_rmdir, "folder");
}

constexpr Step kSteps[] = {
    {"open", open_and_close}, {"open in vain", open_in_vain}, {"create", create}, {"read", read_and_write},
    {"vectors", vectors}, {"wrong ways", wrong_ways}, {"sizes", sizes}, {"copies", copies},
    {"descriptors", descriptors}, {"pipes", pipes}, {"attributes", attributes}, {"modes", modes}, {"entries", entries},
};

}  // namespace

std::span<const Step> file_steps() { return kSteps; }

}  // namespace events
