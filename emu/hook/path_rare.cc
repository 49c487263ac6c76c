// SPDX-License-Identifier: Apache-2.0
// Calls that pass functions of the VFS which are not modelled: they are named when somebody listens.
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "emu/hook/capability_checks.h"
#include "emu/hook/open_file.h"
#include "emu/hook/paths.h"

namespace bpfemu {

// The file of the descriptor is asked about (security_file_ioctl, security_file_fcntl).
static void pass_control(Transit& call, Hook hook) {
  if (!call.awaited(hook) && !call.decided(hook)) return;
  OpenFile file(call, call.arg(0));
  if (!file.usable()) return;
  call.ask(hook, [&](Arguments& a) {
    a.lazily(0, [&] { return file.address(); });
    a[1] = static_cast<u32>(call.arg(1));
    a[2] = call.arg(2);
  });
}

// close_range
Path closing_range(Transit& call) {
  call.untold(Hook::filp_close);
  co_return;
}

// ioctl, as far as the VFS answers it itself
Path controlling_device(Transit& call) {
  pass_control(call, Hook::security_file_ioctl);
  switch (static_cast<u32>(call.arg(1))) {
    case FS_IOC_GETFLAGS:
    case FS_IOC_FSGETXATTR: call.untold(Hook::vfs_fileattr_get); break;
    case FS_IOC_SETFLAGS:
    case FS_IOC_FSSETXATTR: call.untold(Hook::vfs_fileattr_set); break;
    case FICLONE:
    case FICLONERANGE: call.untold(Hook::vfs_clone_file_range); break;
    case FIDEDUPERANGE:
      call.untold(Hook::vfs_dedupe_file_range);
      call.untold(Hook::vfs_dedupe_file_range_one);
      break;
    default:;
  }
  co_return;
}

// What a lock is asked for (kernel: fcntl_setlk). Another kind, and one that the file is not open for, come to no question.
static void pass_lock(Transit& call) {
  if (!call.awaited(Hook::security_file_lock) && !call.decided(Hook::security_file_lock)) return;
  OpenFile file(call, call.arg(0));
  struct flock lock;
  if (!file.usable() || !call.task().read(call.arg(2), &lock, sizeof lock)) return;
  const bool fits = lock.l_type == F_UNLCK || (lock.l_type == F_RDLCK && file.readable()) ||
                    (lock.l_type == F_WRLCK && file.writable());
  const bool of_file = call.arg(1) == F_OFD_SETLK || call.arg(1) == F_OFD_SETLKW;
  if (!fits || (of_file && lock.l_pid)) return;
  call.ask(Hook::security_file_lock, [&](Arguments& a) {
    a.lazily(0, [&] { return file.address(); });
    a[1] = static_cast<u32>(lock.l_type);
  });
}

// fcntl
Path controlling_file(Transit& call) {
  pass_control(call, Hook::security_file_fcntl);
  switch (static_cast<u32>(call.arg(1))) {
    case F_GETLK:
    case F_OFD_GETLK: call.untold(Hook::vfs_test_lock); break;
    case F_SETLK:
    case F_SETLKW:
    case F_OFD_SETLK:
    case F_OFD_SETLKW:
      pass_lock(call);
      call.untold(Hook::vfs_lock_file);
      break;
    case F_SETLEASE: call.untold(Hook::vfs_setlease); break;
    default:;
  }
  co_return;
}

// Each has one.
Path rarely(Transit& call) {
  switch (call.number()) {
    case SYS_madvise:
      if (call.arg(2) == MADV_WILLNEED) call.untold(Hook::vfs_fadvise);
      break;
    case SYS_mq_open:
      if (call.arg(1) & O_CREAT) call.untold(Hook::vfs_mkobj);
      break;
    case SYS_open_by_handle_at:
      pass_capable(call, CAP_DAC_READ_SEARCH);
      call.untold(Hook::vfs_dentry_acceptable);
      break;
    case SYS_quotactl: call.untold(Hook::vfs_cleanup_quota_inode); break;
    case SYS_fanotify_mark: call.untold(Hook::vfs_get_fsid); break;
    default:;
  }
  co_return;
}

}  // namespace bpfemu
