// SPDX-License-Identifier: Apache-2.0
// Every call that takes a path, on every kind of path: one line each. The expected output was recorded on Debian's 6.1.
#include <dirent.h>
#include <linux/openat2.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <utime.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define B "/sys/fs/bpf"
#define T "/sys/kernel/tracing"
#ifndef RESOLVE_CACHED
#define RESOLVE_CACHED 0x20
#endif

static const char* err(long r) { return r < 0 ? strerrorname_np(errno) : "ok"; }
static void say(const char* call, const char* path, long r) { printf("%s(%s) = %s\n", call, path, err(r)); }

// The folder that all of it happens in, made anew for each call.
static char home[64];
static void clean_below(const char* folder) {
  DIR* d = opendir(folder);
  for (struct dirent* e; d && (e = readdir(d));) {
    char path[600];
    snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
    if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") || !unlink(path)) continue;
    clean_below(path);
    rmdir(path);
  }
  if (d) closedir(d);
}
static void clean(void) {
  clean_below(home);
  clean_below(B "/t");
  rmdir(B "/t");
}
static void fresh(void) {
  chdir("/");
  clean();
  umask(0);
  mkdir(B "/t", 0755);
  mkdir(B "/t/d", 0700);
  mkdir(B "/t/f", 0700);
  mkdir(B "/t/f/x", 0700);
  symlink("f", B "/t/l");
  symlink("loop", B "/t/loop");
  char file[200];
  snprintf(file, sizeof file, "%s/file", home), symlink(file, B "/t/out");
  symlink("nothing", B "/t/dead");
  char path[200];
  snprintf(path, sizeof path, "%s/tl", home), symlink(T, path);
  snprintf(path, sizeof path, "%s/bl", home), symlink(B, path);
  snprintf(path, sizeof path, "%s/fl", home), symlink(T "/tracing_on", path);
  snprintf(path, sizeof path, "%s/file", home), close(open(path, O_CREAT | O_WRONLY, 0644));
  chdir(home);
}

static const char* paths[] = {
    B, B "/", B "/.", B "/..", B "/t", B "/t/d", B "/t/d/", B "/t/f", B "/t/l", B "/t/l/", B "/t/l/x", B "/t/loop", B "/t/loop/x", B "/t/out",
    B "/t/out/", B "/t/dead", B "/t/dead/", B "/t/no", B "/t/no/", B "/t/no/no", B "/t/a.b", B "/t/d/..", B "/t/d/.", B "/t/d/../f/x", B "/t/out/x",
    T, T "/", T "/tracing_on", T "/tracing_on/", T "/tracing_on/x", T "/no", T "/no/", T "/a.b", T "/events/sched", T "/events/sched/sched_switch/id", T "/events/no/id",
    T "/../../kernel/tracing/tracing_on", T "/events/../tracing_on", T "/instances/../README", "/sys/kernel/debug/tracing/tracing_on", "/sys/./kernel//tracing///README",
    "tl", "tl/", "tl/tracing_on", "tl/..", "tl/../tracing/README", "bl", "bl/", "bl/t", "bl/t/d", "bl/t/new", "fl", "fl/", "fl/x", "file/../tl/README", "nothing/../tl/README", "../../tmp/../sys/kernel/tracing/README",
    "/etc/passwd/../../sys/kernel/tracing/README", "/nothing/../sys/kernel/tracing/README", "/proc/self/root" T "/README", "/proc/self/cwd/tl/README", "/proc/thread-self/root" B "/t",
    "/sys/kernel/btf/vmlinux", "/sys/kernel/btf/vmlinux/", "/proc/kallsyms", "/proc/kallsyms/x", "/proc/version", "/proc/sys/kernel/osrelease", "/sys/fs", "/sys/kernel",
    "", "/", B "/t/" "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
};
#define COUNT (sizeof paths / sizeof *paths)

// Calls of one path.
static long c_open(const char* p) { int r = open(p, O_RDONLY); if (r >= 0) close(r); return r; }
static long c_open_nofollow(const char* p) { int r = open(p, O_RDONLY | O_NOFOLLOW); if (r >= 0) close(r); return r; }
static long c_open_dir(const char* p) { int r = open(p, O_RDONLY | O_DIRECTORY); if (r >= 0) close(r); return r; }
static long c_open_path(const char* p) { int r = open(p, O_PATH); if (r >= 0) close(r); return r; }
static long c_open_path_nofollow(const char* p) { int r = open(p, O_PATH | O_NOFOLLOW); if (r >= 0) close(r); return r; }
static long c_open_creat(const char* p) { int r = open(p, O_CREAT | O_WRONLY, 0600); if (r >= 0) close(r); return r; }
static long c_open_excl(const char* p) { int r = open(p, O_CREAT | O_EXCL | O_WRONLY, 0600); if (r >= 0) close(r); return r; }
static long c_open_write(const char* p) { int r = open(p, O_WRONLY); if (r >= 0) close(r); return r; }
static long c_open_trunc(const char* p) { int r = open(p, O_RDWR | O_TRUNC); if (r >= 0) close(r); return r; }
static long c_open_tmpfile(const char* p) { int r = open(p, O_TMPFILE | O_RDWR, 0600); if (r >= 0) close(r); return r; }
static long c_stat(const char* p) { struct stat s; return stat(p, &s); }
static long c_lstat(const char* p) { struct stat s; return lstat(p, &s); }
static long c_statx(const char* p) { struct statx s; return statx(AT_FDCWD, p, AT_EMPTY_PATH, STATX_ALL, &s); }
static long c_access(const char* p) { return access(p, F_OK); }
static long c_access_x(const char* p) { return access(p, X_OK); }
static long c_faccessat2(const char* p) { return syscall(SYS_faccessat2, AT_FDCWD, p, R_OK | W_OK, AT_SYMLINK_NOFOLLOW | AT_EACCESS); }
static long c_readlink(const char* p) { char b[200]; return readlink(p, b, sizeof b); }
static long c_statfs(const char* p) { struct statfs s; return statfs(p, &s); }
static long c_chdir(const char* p) { return chdir(p); }
static long c_mkdir(const char* p) { return mkdir(p, 0700); }
static long c_rmdir(const char* p) { return rmdir(p); }
static long c_unlink(const char* p) { return unlink(p); }
static long c_mknod(const char* p) { return mknod(p, S_IFREG | 0600, 0); }
static long c_mkfifo(const char* p) { return mknod(p, S_IFIFO | 0600, 0); }
static long c_symlink(const char* p) { return symlink("t", p); }
static long c_link_to(const char* p) { return link(B "/t/l", p); }
static long c_link_from(const char* p) { return link(p, B "/t/h"); }
static long c_linkat_follow(const char* p) { return linkat(AT_FDCWD, p, AT_FDCWD, B "/t/h", AT_SYMLINK_FOLLOW); }
static long c_rename_from(const char* p) { return rename(p, B "/t/g"); }
static long c_rename_to(const char* p) { return rename(B "/t/f", p); }
static long c_rename_link(const char* p) { return rename(B "/t/l", p); }
static long c_exchange(const char* p) { return syscall(SYS_renameat2, AT_FDCWD, B "/t/f", AT_FDCWD, p, 2); }
static long c_noreplace(const char* p) { return syscall(SYS_renameat2, AT_FDCWD, B "/t/d", AT_FDCWD, p, 1); }
static long c_chmod(const char* p) { struct stat s; if (stat(p, &s)) s.st_mode = 0755; return chmod(p, s.st_mode & 07777); }
static long c_chown(const char* p) { return chown(p, 0, 0); }
static long c_lchown(const char* p) { return lchown(p, 0, 0); }
static long c_utimes(const char* p) { return utimensat(AT_FDCWD, p, NULL, 0); }
static long c_lutimes(const char* p) { return utimensat(AT_FDCWD, p, NULL, AT_SYMLINK_NOFOLLOW); }
static long c_truncate(const char* p) { return truncate(p, 0); }
static long c_getxattr(const char* p) { char b[10]; return getxattr(p, "user.a", b, 10); }
static long c_setxattr(const char* p) { return setxattr(p, "user.a", "b", 1, 0); }
static long c_setxattr_trusted(const char* p) { if (strstr(p, "btf")) return 0; return setxattr(p, "trusted.a", "b", 1, 0); }
static long c_listxattr(const char* p) { char b[100]; return listxattr(p, b, 100); }
static long c_removexattr(const char* p) { return removexattr(p, "user.a"); }
static long c_exec(const char* p) { char* a[] = {"x", 0}; return execve(p, a, a); }
static long c_handle(const char* p) { struct { struct file_handle h; char b[128]; } h = {.h = {.handle_bytes = 128}}; int m; return name_to_handle_at(AT_FDCWD, p, &h.h, &m, 0); }
static long resolve(const char* p, unsigned long flags) {
  struct open_how how = {.flags = O_RDONLY, .resolve = flags};
  int r = syscall(SYS_openat2, AT_FDCWD, p, &how, sizeof how);
  if (r >= 0) close(r);
  return r;
}
static long c_no_symlinks(const char* p) { return resolve(p, RESOLVE_NO_SYMLINKS); }
static long c_no_magiclinks(const char* p) { return resolve(p, RESOLVE_NO_MAGICLINKS); }
static long c_no_xdev(const char* p) { return resolve(p, RESOLVE_NO_XDEV); }
static long c_beneath(const char* p) { return resolve(p, RESOLVE_BENEATH); }
static long c_in_root(const char* p) { return resolve(p, RESOLVE_IN_ROOT); }

static const struct { const char* name; long (*call)(const char*); int changes; } calls[] = {
#define C(x) {#x, c_##x, 0}
#define W(x) {#x, c_##x, 1}
    C(open), C(open_nofollow), C(open_dir), C(open_path), C(open_path_nofollow), C(open_creat), C(open_excl), C(open_write), C(open_tmpfile), C(stat), C(lstat), C(statx), C(access),
    C(access_x), C(faccessat2), C(readlink), C(statfs), W(chdir), W(mkdir), W(rmdir), W(unlink), W(mknod), W(mkfifo), W(symlink), W(link_to), W(link_from), W(linkat_follow), W(rename_from), W(rename_to), W(rename_link), W(exchange),
    W(noreplace), W(chmod), W(chown), W(lchown), W(utimes), W(lutimes), W(truncate), C(getxattr), W(setxattr), W(setxattr_trusted), C(listxattr), W(removexattr), C(exec), C(handle), C(no_symlinks), C(no_magiclinks), C(no_xdev), C(beneath), C(in_root),
};

// What the host alone decides differs with who asks.
static int is_hosts(const char* call, const char* p) {
  static const char* folders[] = {"/", "/sys/fs", "/sys/kernel", B "/..", "tl/.."};
  int changes = strstr(call, "ch") || strstr(call, "utime") || strstr(call, "xattr") || strstr(call, "tmpfile") || strstr(call, "faccess") || strstr(call, "rmdir") || strstr(call, "handle");
  for (int i = 0; i < 5; ++i) if (!strcmp(p, folders[i])) return changes;
  if (!strcmp(call, "lchown") && strlen(p) == 2) return 1;
  if (strstr(call, "exec") && strstr(p, "README")) return 1;  // depends on mount options
  return strstr(p, "t/out") && (strstr(call, "chown") || strstr(call, "xattr") || strstr(call, "tmpfile") || strstr(call, "handle"));
}

static void show(const char* what, const char* path, int follow) {
  struct stat s;
  if (follow ? stat(path, &s) : lstat(path, &s)) { printf("%s %s: %s\n", what, path, err(-1)); return; }
  printf("%s %s: mode %o links %lu uid %u gid %u size %ld\n", what, path, s.st_mode, (unsigned long)s.st_nlink, s.st_uid, s.st_gid, (long)s.st_size);
}
static void link_of(const char* path) {
  char b[300];
  ssize_t n = readlink(path, b, sizeof b - 1);
  b[n < 0 ? 0 : n] = 0;
  printf("readlink %s: %s\n", path, n < 0 ? err(-1) : b);
}
static void cwd(void) {
  char b[300];
  printf("getcwd: %s\n", getcwd(b, sizeof b) ? b : err(-1));
}
static int readable(const char* path) {
  char b[8];
  int fd = open(path, O_RDONLY), n = fd < 0 ? -1 : (int)read(fd, b, 8);
  if (fd >= 0) close(fd);
  return n;
}
static void list(const char* path) {
  DIR* d = opendir(path);
  if (!d) { printf("list %s: %s\n", path, err(-1)); return; }
  char names[20][260];
  int n = 0;
  for (struct dirent* e; (e = readdir(d)) && n < 20;) {
    struct stat s;
    if (fstatat(dirfd(d), e->d_name, &s, AT_SYMLINK_NOFOLLOW) == 0 && strcmp(e->d_name, "..") && s.st_ino != e->d_ino) printf("inode of %s differs\n", e->d_name);
    snprintf(names[n++], 260, "%s", e->d_name);
  }
  closedir(d);
  qsort(names, n, 260, (int (*)(const void*, const void*))strcmp);
  printf("list %s:", path);
  for (int i = 0; i < n; ++i) printf(" %s", names[i]);
  printf("\n");
}

static void folders(void) {
  printf("-- current folders\n");
  fresh();
  say("chdir", T, chdir(T)), cwd(), link_of("/proc/self/cwd");
  printf("README %d events/sched/enable %d ../tracing/README %d ../../fs/bpf/t %d\n", readable("README"), readable("events/sched/enable"), readable("../tracing/README"), access("../../fs/bpf/t", F_OK));
  show("stat", "tracing_on", 1);
  printf("/etc/passwd from here: %d\n", readable("../../../etc/passwd"));
  say("chdir", "events", chdir("events")), cwd();
  say("chdir", "..", chdir("..")), cwd();
  say("chdir", "../..", chdir("../..")), cwd();
  say("chdir", B "/t/l", chdir(B "/t/l")), cwd();
  say("mkdir", "new", mkdir("new", 0700)), list("."), say("rmdir", "new", rmdir("new"));
  fflush(stdout);
  pid_t child = fork();
  if (!child) { cwd(); list(".."); fflush(stdout); execl("/bin/sh", "sh", "-c", "pwd -P; ls; ls ../d; cat /proc/self/cwd/x 2>&1 | sed 's/.*: //'; cd x && /bin/pwd", NULL); _exit(1); }
  waitpid(child, NULL, 0);
  rename(B "/t/f", B "/t/g"), cwd(), rename(B "/t/g", B "/t/f");
  chdir(B "/t/d"), rmdir(B "/t/d"), cwd(), link_of("/proc/self/cwd");
  say("mkdir", "z", mkdir("z", 0700)), say("stat .", "", c_stat(".")), show("stat", ".", 1), say("open .", "", c_open(".")), list(".");
  say("chdir", "..", chdir("..")), cwd();
  int fd = open(T "/events", O_RDONLY);
  say("fchdir", T "/events", fchdir(fd)), cwd(), close(fd);
  fd = open(B "/t/l", O_PATH);
  say("fchdir O_PATH", B "/t/l", fchdir(fd)), cwd(), list(".");
  close(fd);
  char small[5];
  printf("small getcwd: %s\n", syscall(SYS_getcwd, small, 5) < 0 ? err(-1) : "ok");
  chdir(home), cwd();
}

static void descriptors(void) {
  char b[64], path[64];
  printf("-- descriptors\n");
  fresh();
  int fd = open(T "/tracing_on", O_PATH);
  struct stat s;
  printf("O_PATH: read %s", err(read(fd, b, 1))), printf(" write %s", err(write(fd, b, 1))), printf(" fstat %d", fstat(fd, &s)), printf(" mode %o flags %x\n", s.st_mode, fcntl(fd, F_GETFL));
  printf("fchmod %s fchown %s", err(fchmod(fd, 0640)), err(fchown(fd, 0, 0)));
  printf(" openat below %s empty %s\n", err(openat(fd, "x", O_RDONLY)), err(openat(fd, "", O_RDONLY)));
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  int again = open(path, O_RDONLY);
  printf("reopened: %s read %d\n", err(again), (int)read(again, b, 8));
  snprintf(path, sizeof path, "/proc/self/fd/%d", again), show("stat", path, 1);
  readlink(path, b, 63), b[strlen(T "/tracing_on")] = 0, printf("link %s\n", b);
  struct statfs fs;
  printf("fstatfs %d", fstatfs(again, &fs)), printf(" %lx\n", (unsigned long)fs.f_type);
  printf("AT_EMPTY_PATH: %s ", err(fstatat(again, "", &s, AT_EMPTY_PATH))), printf("mode %o; faccessat2 %s; fchownat %s\n", s.st_mode, err(syscall(SYS_faccessat2, again, "", R_OK, AT_EMPTY_PATH)), err(fchownat(again, "", 0, 0, AT_EMPTY_PATH)));
  close(again), close(fd);
  fd = open(B "/t/l", O_PATH | O_NOFOLLOW);
  printf("link by O_PATH: fstat %d", fstat(fd, &s)), printf(" mode %o", s.st_mode), printf(" readlinkat %d", (int)readlinkat(fd, "", b, 60)), printf(" open %s\n", err(openat(fd, "", O_RDONLY)));
  close(fd);
  fd = open(B "/t", O_RDONLY | O_DIRECTORY);
  printf("folder: read %s write %s", err(read(fd, b, 1)), err(write(fd, b, 1)));
  printf(" lseek %d end %s", (int)lseek(fd, 0, SEEK_SET), err(lseek(fd, 0, SEEK_END)));
  printf(" flags %x", fcntl(fd, F_GETFL) & ~0100000), printf(" fstat %d", fstat(fd, &s)), printf(" mode %o links %d\n", s.st_mode, (int)s.st_nlink);
  printf("openat f %s", err(openat(fd, "f", O_RDONLY))), printf(" mkdirat %s", err(mkdirat(fd, "new", 0700))), printf(" unlinkat %s", err(unlinkat(fd, "new", AT_REMOVEDIR))), printf(" openat . %s .. %s\n", err(openat(fd, ".", O_RDONLY)), err(openat(fd, "..", O_RDONLY)));
  printf("unlinkat bad flags %s fchmod %s", err(unlinkat(fd, "f", 0x4000)), err(fchmod(fd, 0711)));
  printf(" futimens %s fsetxattr %s\n", err(futimens(fd, NULL)), err(fsetxattr(fd, "user.a", "b", 1, 0)));
  show("stat", B "/t", 1);
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd), link_of(path);
  snprintf(path, sizeof path, "/proc/self/fd/%d/f/x", fd), show("stat", path, 1);
  snprintf(path, sizeof path, "/proc/self/fd/%d/../../../kernel/tracing/README", fd), printf("through fd: %d\n", readable(path));
  struct open_how how = {.flags = O_RDONLY, .resolve = RESOLVE_BENEATH};
#define R(dir, p) printf("openat2 %s " #dir ": %s\n", p, err(syscall(SYS_openat2, dir, p, &how, sizeof how)))
  R(fd, "f/x"), R(fd, "l/x"), R(fd, "../t"), R(fd, "f/../.."), R(fd, "out"), R(fd, B), how.resolve = RESOLVE_IN_ROOT, R(fd, "/f/x"), R(fd, "../../f"), R(fd, "/out"), R(fd, "/etc/passwd");
  how.resolve = RESOLVE_NO_XDEV, R(fd, "f"), R(fd, ".."), R(fd, "../.."), how.resolve = RESOLVE_NO_SYMLINKS, R(fd, "l"), R(fd, "f"), how.resolve = 0x40, R(fd, "f"), how.resolve = RESOLVE_BENEATH | RESOLVE_IN_ROOT, R(fd, "f");
  how.resolve = 0, how.mode = 0600, R(fd, "f"), how.mode = 0, how.flags = O_PATH | O_RDWR, R(fd, "f");
  how.flags = O_RDONLY;
  printf("sizes: %s", err(syscall(SYS_openat2, fd, "f", &how, 16))), printf(" %s", err(syscall(SYS_openat2, fd, "f", &how, 5000)));
  struct { struct open_how h; long more; } large = {.h = how};
  printf(" %s", err(syscall(SYS_openat2, fd, "f", &large, sizeof large))), large.more = 1, printf(" %s\n", err(syscall(SYS_openat2, fd, "f", &large, sizeof large)));
  int sys = open("/sys/kernel", O_PATH);
  how.resolve = RESOLVE_NO_XDEV, R(sys, "tracing"), R(sys, "btf/vmlinux"), how.resolve = RESOLVE_BENEATH, R(sys, "tracing/README"), R(sys, "../kernel/tracing"), how.resolve = RESOLVE_IN_ROOT, R(sys, "/tracing/README"), R(sys, "/../tracing/README");
  close(sys), close(fd);
  fd = open(T "/tracing_on", O_RDONLY);
  printf("mmap of a file: %s ", "skipped"), printf("openat below a file: %s\n", err(openat(fd, "x", O_RDONLY)));
  printf("fchdir to a file: %s", err(fchdir(fd))), printf(" getdents %s\n", err(syscall(SYS_getdents64, fd, b, 60)));
  printf("empty stat %s ", err(fstatat(fd, "", &s, 0))), printf("at 1000: %s\n", err(fstatat(1000, "x", &s, 0)));
  close(fd);
  printf("times: %d", utimensat(AT_FDCWD, B "/t/d", (struct timespec[2]){{1000, 5}, {2000, 6}}, 0)), stat(B "/t/d", &s), printf(" %ld.%ld %ld.%ld\n", s.st_atim.tv_sec, s.st_atim.tv_nsec, s.st_mtim.tv_sec, s.st_mtim.tv_nsec);
  printf("utime: %d", utime(B "/t/d", &(struct utimbuf){7, 8})), stat(B "/t/d", &s), printf(" %ld %ld bad %s\n", s.st_atim.tv_sec, s.st_mtim.tv_sec, err(utimensat(AT_FDCWD, B "/t/d", (struct timespec[2]){{1, 2000000000}, {0, 0}}, 0)));
  chmod(B "/t/d", 01751), chown(B "/t/d", 12, 13), show("changed", B "/t/d", 1), chmod(T "/tracing_on", 0600), show("changed", T "/tracing_on", 1), chmod(T "/tracing_on", 0640);
  lchown(B "/t/l", 5, 6), show("link", B "/t/l", 0);
  link(B "/t/l", B "/t/h"), show("linked", B "/t/h", 0), unlink(B "/t/h"), show("unlinked", B "/t/l", 0);
  umask(077), mkdir(B "/t/new", 0777), show("umask", B "/t/new", 1), umask(0), list(B "/t"), rmdir(B "/t/new");
}

int main(int argc, char** argv) {
  snprintf(home, sizeof home, "/tmp/paths.XXXXXX");
  if (!mkdtemp(home)) return 1;
  setvbuf(stdout, NULL, _IOLBF, 0);
  for (unsigned c = 0; c < sizeof calls / sizeof *calls; ++c) {
    if (argc > 1 && strcmp(argv[1], calls[c].name)) continue;
    fresh();
    for (unsigned i = 0; i < COUNT; ++i) {
      if (is_hosts(calls[c].name, paths[i]) || (calls[c].changes && paths[i][0] == '/' && strlen(paths[i]) < 12 && strcmp(paths[i], B))) continue;
      if (calls[c].changes) fresh();
      errno = 0;
      say(calls[c].name, paths[i], calls[c].call(paths[i]));
    }
  }
  if (argc == 1 || !strcmp(argv[1], "folders")) folders();
  if (argc == 1 || !strcmp(argv[1], "descriptors")) descriptors();
  fresh(), chdir("/"), clean(), rmdir(home);
}
