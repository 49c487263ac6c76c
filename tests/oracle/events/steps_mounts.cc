// SPDX-License-Identifier: Apache-2.0
// What is asked of file systems.
#include "tests/oracle/events/steps.h"

#include <fcntl.h>
#include <sys/statfs.h>

namespace events {
namespace {

void asked_file_systems() {
  struct statfs facts;
  call(SYS_statfs, ".", &facts);
  call(SYS_statfs, "missing", &facts);
  const int fd = static_cast<int>(call(SYS_openat, AT_FDCWD, "asked", O_RDWR | O_CREAT, 0600));
  call(SYS_fstatfs, fd, &facts);
  call(SYS_fstatfs, 77, &facts);
  call(SYS_close, fd);
  call(SYS_unlink, "asked");
}

void settings() {
  char text[16];
  const int fd = static_cast<int>(call(SYS_openat, AT_FDCWD, "/proc/sys/kernel/ostype", O_RDONLY, 0));
  call(SYS_read, fd, text, 4L);
  call(SYS_read, fd, text, sizeof text);
  call(SYS_close, fd);
}

constexpr Step kSteps[] = {{"asked file systems", asked_file_systems}, {"settings", settings}};

}  // namespace

std::span<const Step> mount_steps() { return kSteps; }

}  // namespace events
