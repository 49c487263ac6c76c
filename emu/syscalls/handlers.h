// SPDX-License-Identifier: Apache-2.0
// The handlers that emu/abi/traced_syscalls.inc binds to system calls.
#pragma once

#include "emu/syscalls/call.h"

namespace bpfemu {

Reply enter_bpf(System& system, Call& call);

// io_uring.cc
Reply enter_io_uring_setup(System& system, Call& call);
// open.cc, write.cc
Reply enter_open(System& system, Call& call);
Reply enter_write(System& system, Call& call);
// stat.cc, owners.cc
Reply enter_stat(System& system, Call& call);
s64 exit_stat(System& system, Call& call, s64 result);
Reply enter_fstat(System& system, Call& call);
Reply enter_access(System& system, Call& call);
Reply enter_statfs(System& system, Call& call);
Reply enter_fstatfs(System& system, Call& call);
// attributes.cc, owners.cc
Reply enter_chmod(System& system, Call& call);
Reply enter_chown(System& system, Call& call);
s64 exit_chown(System& system, Call& call, s64 result);
Reply enter_utimes(System& system, Call& call);
Reply enter_truncate(System& system, Call& call);
Reply enter_xattr(System& system, Call& call);
// roots.cc
Reply enter_exec(System& system, Call& call);
Reply enter_chroot(System& system, Call& call);
Reply enter_new_root(System& system, Call& call);
Reply enter_inotify(System& system, Call& call);
Reply enter_file_handle(System& system, Call& call);
Reply enter_open_handle(System& system, Call& call);
// readlink.cc
Reply enter_readlink(System& system, Call& call);
// dir.cc, owners.cc
Reply enter_getdents(System& system, Call& call);
Reply enter_lseek(System& system, Call& call);
Reply enter_mkdir(System& system, Call& call);
Reply enter_mknod(System& system, Call& call);
Reply enter_unlink(System& system, Call& call);
s64 exit_unlink(System& system, Call& call, s64 result);
Reply enter_rename(System& system, Call& call);
Reply enter_link(System& system, Call& call);
Reply enter_symlink(System& system, Call& call);
Reply enter_chdir(System& system, Call& call);
Reply enter_fchdir(System& system, Call& call);
Reply enter_getcwd(System& system, Call& call);
// close.cc
Reply enter_close(System& system, Call& call);
s64 exit_close(System& system, Call& call, s64 result);
// mount.cc
Reply enter_mount(System& system, Call& call);
s64 exit_mount(System& system, Call& call, s64 result);
Reply enter_fsopen(System& system, Call& call);
Reply enter_umount(System& system, Call& call);
// network.cc
Reply enter_socket(System& system, Call& call);
s64 exit_socket(System& system, Call& call, s64 result);
Reply enter_setsockopt(System& system, Call& call);
Reply enter_send(System& system, Call& call);
// socket_ids.cc
Reply enter_recvmsg(System& system, Call& call);
s64 exit_recvmsg(System& system, Call& call, s64 result);
Reply enter_getsockopt(System& system, Call& call);
s64 exit_getsockopt(System& system, Call& call, s64 result);
// cgroup_network.cc, cgroup_options.cc
Reply enter_bind(System& system, Call& call);
Reply enter_connect(System& system, Call& call);
Reply enter_socket_name(System& system, Call& call);
Reply enter_recvfrom(System& system, Call& call);
s64 exit_recvfrom(System& system, Call& call, s64 result);
Reply enter_sendmmsg(System& system, Call& call);
Reply enter_recvmmsg(System& system, Call& call);
s64 exit_recvmmsg(System& system, Call& call, s64 result);
Reply enter_socketpair(System& system, Call& call);
s64 exit_socketpair(System& system, Call& call, s64 result);
Reply enter_accept(System& system, Call& call);
s64 exit_accept(System& system, Call& call, s64 result);
// ids.cc, capabilities.cc, limits.cc
Reply enter_get_id(System& system, Call& call);
Reply enter_get_res_ids(System& system, Call& call);
Reply enter_set_ids(System& system, Call& call);
Reply enter_set_fs_id(System& system, Call& call);
Reply enter_set_groups(System& system, Call& call);
Reply enter_get_groups(System& system, Call& call);
s64 exit_get_groups(System& system, Call& call, s64 result);
Reply enter_capget(System& system, Call& call);
s64 exit_capget(System& system, Call& call, s64 result);
Reply enter_capset(System& system, Call& call);
Reply enter_prctl(System& system, Call& call);
Reply enter_set_limit(System& system, Call& call);
// uname.cc
Reply enter_uname(System& system, Call& call);
s64 exit_uname(System& system, Call& call, s64 result);
// fd.cc
Reply enter_fcntl(System& system, Call& call);
Reply enter_read(System& system, Call& call);
Reply enter_readv(System& system, Call& call);
Reply enter_ioctl(System& system, Call& call);
Reply enter_mmap(System& system, Call& call);
Reply enter_mprotect(System& system, Call& call);
Reply enter_mremap(System& system, Call& call);

}  // namespace bpfemu
