// SPDX-License-Identifier: Apache-2.0
// Names: made, moved and removed.
#include "tests/oracle/events/steps.h"

#include <fcntl.h>
#include <sys/stat.h>

namespace events {
namespace {

void touch(const char* name) { call(SYS_close, call(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT, 0644)); }

void folders() {
  call(SYS_mkdir, "one", 0750);
  call(SYS_mkdirat, AT_FDCWD, "one/two", 0700);
  call(SYS_mkdir, "one", 0750);
  call(SYS_mkdir, "missing/two", 0750);
  call(SYS_rmdir, "one");
  call(SYS_unlinkat, AT_FDCWD, "one/two", AT_REMOVEDIR);
  call(SYS_unlinkat, AT_FDCWD, "one", 0);
  call(SYS_rmdir, "one");
  call(SYS_rmdir, "one");
}

void removals() {
  touch("data");
  call(SYS_rmdir, "data");
  call(SYS_unlink, "data");
  call(SYS_unlink, "data");
  call(SYS_unlink, ".");
  call(SYS_unlink, "missing/data");
}

void links() {
  char target[64];
  touch("data");
  call(SYS_link, "data", "second");
  call(SYS_link, "data", "second");
  call(SYS_linkat, AT_FDCWD, "missing", AT_FDCWD, "third", 0);
  call(SYS_symlink, "data", "soft");
  call(SYS_symlinkat, "nowhere", AT_FDCWD, "dangling");
  call(SYS_symlink, "data", "soft");
  call(SYS_readlink, "soft", target, sizeof target);
  call(SYS_readlinkat, AT_FDCWD, "data", target, sizeof target);
  call(SYS_close, call(SYS_openat, AT_FDCWD, "soft", O_RDONLY, 0));
  call(SYS_openat, AT_FDCWD, "soft", O_RDONLY | O_NOFOLLOW, 0);
  call(SYS_openat, AT_FDCWD, "dangling", O_RDONLY, 0);
  for (const char* name : {"data", "second", "soft", "dangling"}) call(SYS_unlink, name);
}

void renames() {
  touch("old");
  touch("other");
  call(SYS_mkdir, "folder", 0700);
  call(SYS_rename, "old", "new");
  call(SYS_rename, "new", "new");
  call(SYS_renameat, AT_FDCWD, "new", AT_FDCWD, "folder/new");
  call(SYS_renameat2, AT_FDCWD, "other", AT_FDCWD, "folder/new", RENAME_NOREPLACE);
  call(SYS_renameat2, AT_FDCWD, "other", AT_FDCWD, "folder/new", RENAME_EXCHANGE);
  call(SYS_rename, "other", "folder/new");
  call(SYS_rename, "missing", "folder/new");
  call(SYS_rename, "folder", "folder/new");
  call(SYS_unlink, "folder/new");
  call(SYS_rmdir, "folder");
}

void nodes() {
  call(SYS_mknod, "fifo", S_IFIFO | 0600, 0);
  call(SYS_mknodat, AT_FDCWD, "plain", S_IFREG | 0640, 0);
  call(SYS_mknod, "plain", S_IFREG | 0640, 0);
  call(SYS_unlink, "fifo");
  call(SYS_unlink, "plain");
}

constexpr Step kSteps[] = {
    {"folders", folders}, {"removals", removals}, {"links", links}, {"renames", renames}, {"nodes", nodes},
};

}  // namespace

std::span<const Step> name_steps() { return kSteps; }

}  // namespace events
