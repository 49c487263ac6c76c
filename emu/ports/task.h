// SPDX-License-Identifier: Apache-2.0
// What the kernel model needs of a traced thread. The loader implements it with ptrace; tests with plain memory.
// Every call may fail with ESRCH: a thread can be killed at any instruction, and that is a value, not an accident.
#pragma once

#include <sys/types.h>

#include <array>
#include <compare>
#include <memory>
#include <span>
#include <string>

#include "emu/abi/pt_regs.h"
#include "emu/base/result.h"

namespace bpfemu {

// Identity of an open file: never the descriptor's number, which dup, fork and SCM_RIGHTS change.
struct FileId {
  u64 dev, ino;
  auto operator<=>(const FileId&) const = default;
};

// One mmap() of a file.
struct FilePiece {
  u64 address, size, prot, flags, offset;
};

class Task {
 public:
  virtual ~Task() = default;

  // Identity, as the supervisor's pid namespace sees it.
  virtual pid_t tid() const = 0;
  virtual pid_t tgid() const = 0;

  // Which address space it lives in: never reused, shared by threads and CLONE_VM processes, new after exec. 0: none any
  // longer, for it has exited.
  virtual u64 memory_id() const { return static_cast<u64>(tgid()); }

  // The thread's memory, all or nothing: EFAULT. Reads never show our breakpoints; writes go through read-only
  // protection only when `force` (text patches, vDSO).
  virtual Result<void> read(u64 address, void* to, size_t size) = 0;
  virtual Result<void> write(u64 address, const void* from, size_t size) = 0;
  // A string of at most `limit` bytes with its NUL left off: ENAMETOOLONG when none was found (getname's errno).
  virtual Result<std::string> read_string(u64 address, size_t limit) = 0;
  // As programs access it (kernel: copy_from_user_nofault): EFAULT where the thread itself would have a page fault.
  virtual Result<void> peek(u64 address, void* to, size_t size) { return read(address, to, size); }
  virtual Result<void> poke(u64 address, const void* from, size_t size) { return write(address, from, size); }

  // Registers at the current stop.
  virtual PtRegs& regs() = 0;
  // The system call that the thread has made and is in, -1: none. The registers may show what is run in its place.
  virtual long call_number() { return static_cast<long>(regs().orig_rax); }
  // Did anybody see the beginning of the call that the thread is in? It may have slept there when the first probe came.
  virtual bool entry_seen() const { return true; }

  // Runs one system call in the thread and gives its result; an error of the call itself is the Errno.
  virtual Result<u64> call(long number, std::array<u64, 6> args) = 0;
  // Gives the thread a descriptor for `fd`'s open file. `cloexec` sets FD_CLOEXEC. EMFILE as the kernel's get_unused_fd.
  virtual Result<int> install_fd(int fd, bool cloexec) = 0;
  // Maps pieces of `fd`, a file of the supervisor's, one after the other, as mmap(2) does: the address of the first.
  // The process never has a descriptor of it. Errors as of mmap; what was mapped before one stays.
  virtual Result<u64> map_file(int fd, std::span<const FilePiece> pieces) = 0;
  // Which open file the thread's descriptor is: EBADF.
  virtual Result<FileId> file_id(int fd) = 0;
  // A descriptor of the supervisor's own for the same file, reopened from /proc/TID/fd/N with `flags`: EBADF, EACCES.
  virtual Result<int> reopen_fd(int fd, int flags) = 0;
  // A descriptor of the supervisor's own for the very same open file description: EBADF, ENOSYS.
  virtual Result<int> share_fd(int /*fd*/) { return fail(ENOSYS); }

  // Scratch space of the thread, `size` bytes (at most 4096), valid until it is resumed (for path rewriting).
  virtual Result<u64> scratch(size_t size) = 0;
};

}  // namespace bpfemu
