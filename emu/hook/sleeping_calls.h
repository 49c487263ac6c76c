// SPDX-License-Identifier: Apache-2.0
// The system calls in which a thread may give its CPU away until something happens.
#pragma once

#include <sys/syscall.h>

#define BPFEMU_SLEEPING_CALLS                                                                                          \
  SYS_read, SYS_readv, SYS_write, SYS_writev, SYS_pread64, SYS_pwrite64, SYS_open, SYS_openat, SYS_poll, SYS_ppoll,    \
      SYS_select, SYS_pselect6, SYS_epoll_wait, SYS_epoll_pwait, SYS_epoll_pwait2, SYS_nanosleep, SYS_clock_nanosleep, \
      SYS_futex, SYS_wait4, SYS_waitid, SYS_pause, SYS_rt_sigsuspend, SYS_rt_sigtimedwait, SYS_accept, SYS_accept4,    \
      SYS_connect, SYS_recvfrom, SYS_recvmsg, SYS_recvmmsg, SYS_sendto, SYS_sendmsg, SYS_sendmmsg, SYS_sendfile,       \
      SYS_splice, SYS_tee, SYS_flock, SYS_fcntl, SYS_fsync, SYS_fdatasync, SYS_msync, SYS_sync, SYS_syncfs,            \
      SYS_sync_file_range, SYS_msgrcv, SYS_msgsnd, SYS_semop, SYS_semtimedop, SYS_mq_timedreceive, SYS_mq_timedsend,   \
      SYS_io_getevents, SYS_io_pgetevents, SYS_sched_yield, SYS_vfork, SYS_getdents64, SYS_ioctl
