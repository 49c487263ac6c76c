// SPDX-License-Identifier: Apache-2.0
// Calls whose one place is a question to the security modules.
#include "tests/oracle/events/steps.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sys/xattr.h>

namespace events {
namespace {

void of_tasks() {
  const long self = call(SYS_getpid);
  call(SYS_getpgid, 0);
  call(SYS_getpgid, self);
  call(SYS_getpgid, 1L << 30);
  call(SYS_getsid, 0);
  call(SYS_getsid, self);
  call(SYS_setpgid, 0, 0);
  call(SYS_setpgid, self, self);
  call(SYS_setpgid, -1L, 0);
  call(SYS_setpgid, 1L << 30, 0);
  sched_param parameters{};
  u64 mask = 0;
  timespec interval;
  call(SYS_sched_getscheduler, 0);
  call(SYS_sched_getparam, self, &parameters);
  call(SYS_sched_getparam, self, 0L);
  call(SYS_sched_getaffinity, 0, sizeof mask, &mask);
  call(SYS_sched_getaffinity, 0, 1L, &mask);
  call(SYS_sched_rr_get_interval, 0, &interval);
  call(SYS_sched_setscheduler, 0, SCHED_BATCH, &parameters);
  call(SYS_sched_setscheduler, 0, SCHED_OTHER, &parameters);
  call(SYS_sched_setscheduler, 0, 77, &parameters);
  call(SYS_sched_setscheduler, -1L, SCHED_OTHER, &parameters);
  call(SYS_sched_setparam, 0, &parameters);
  call(SYS_sched_setaffinity, 0, sizeof mask, &mask);
  call(SYS_ioprio_get, 1, 0);
  call(SYS_ioprio_get, 9, 0);
  call(SYS_ioprio_set, 1, 0, 2L << 13 | 4);
  call(SYS_ioprio_set, 1, 0, 0);
  call(SYS_ioprio_set, 1, 0, 9L << 13);
}

void of_limits() {
  rlimit limit{};
  const long self = call(SYS_getpid);
  call(SYS_getrlimit, RLIMIT_CORE, &limit);
  call(SYS_setrlimit, RLIMIT_CORE, &limit);
  call(SYS_prlimit64, self, RLIMIT_CORE, &limit, &limit);
  call(SYS_prlimit64, 0, RLIMIT_CORE, 0L, &limit);
  call(SYS_setrlimit, 99, &limit);
  limit.rlim_cur = limit.rlim_max + 1;
  call(SYS_setrlimit, RLIMIT_STACK, &limit);
  call(SYS_syslog, 10, 0L, 0L);
}

void of_files() {
  char value[8];
  const int fd = static_cast<int>(call(SYS_openat, AT_FDCWD, "asked", O_RDWR | O_CREAT, 0600));
  call(SYS_flock, fd, LOCK_EX);
  call(SYS_flock, fd, LOCK_UN);
  call(SYS_flock, fd, 77);
  call(SYS_flock, 77, LOCK_EX);
  struct flock lock{};
  lock.l_type = F_WRLCK;
  call(SYS_fcntl, fd, F_SETLK, &lock);
  call(SYS_fcntl, fd, F_GETLK, &lock);
  lock.l_type = F_UNLCK;
  call(SYS_fcntl, fd, F_SETLK, &lock);
  call(SYS_setxattr, "asked", "trusted.events", "abc", 3L, 0);
  call(SYS_getxattr, "asked", "trusted.events", value, sizeof value);
  call(SYS_fgetxattr, fd, "trusted.none", value, sizeof value);
  call(SYS_listxattr, "asked", 0L, 0L);
  call(SYS_removexattr, "asked", "trusted.events");
  call(SYS_getxattr, "missing", "trusted.events", value, sizeof value);
  call(SYS_close, fd);
  call(SYS_unlink, "asked");
}

void of_sockets() {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  socklen_t size = sizeof address;
  int number = 1;
  const int fd = static_cast<int>(call(SYS_socket, AF_INET, SOCK_DGRAM, 0));
  call(SYS_setsockopt, fd, SOL_SOCKET, SO_BROADCAST, &number, sizeof number);
  call(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, &number, &size);
  call(SYS_getsockopt, fd, 9999, 1, &number, &size);
  call(SYS_setsockopt, fd, SOL_SOCKET, SO_BROADCAST, &number, -1L);
  size = sizeof address;
  call(SYS_getsockname, fd, &address, &size);
  call(SYS_getpeername, fd, &address, &size);
  call(SYS_getsockname, 77, &address, &size);
  call(SYS_close, fd);
}

constexpr Step kSteps[] = {
    {"questions of tasks", of_tasks}, {"questions of limits", of_limits}, {"questions of files", of_files},
    {"questions of sockets", of_sockets},
};

}  // namespace

std::span<const Step> question_steps() { return kSteps; }

}  // namespace events
