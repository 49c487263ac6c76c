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
    {"questions of limits", of_limits},     {"questions of sockets", of_sockets},
};

}  // namespace

std::span<const Step> question_steps() { return kSteps; }

}  // namespace events
