// SPDX-License-Identifier: Apache-2.0
// The bytes and mappings of an address space, through /proc of any of its threads that lives: for a thread that has
// exited these files are empty, also when it led the process.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "emu/base/fd.h"
#include "emu/ports/task.h"
#include "loader/memory_worker.h"

namespace bpfemu {

// A line of /proc/PID/maps.
struct MapsLine {
  u64 start, end, offset;
  FileId file;  // {0, 0}: anonymous
  bool write, execute, shared;
};
std::vector<MapsLine> parse_maps(std::string_view text);

struct MemoryPiece {
  u64 address;
  void* to;
  size_t size;
};

class SpaceMemory;

// The open /proc/TID/mem files of all address spaces. There may be more processes than the supervisor may have
// descriptors, so those that were used last stay open.
class MemoryFiles {
 public:
  MemoryFiles();
  std::function<bool(pid_t)> may_wait = [](pid_t) { return false; };

 private:
  friend class SpaceMemory;
  bool close_oldest();

  size_t limit_;
  std::list<SpaceMemory*> open_;  // used last first
};

class SpaceMemory {
 public:
  SpaceMemory(MemoryFiles& files, pid_t tid) : files_(files), threads_{tid} {}
  ~SpaceMemory() { close(); }
  SpaceMemory(const SpaceMemory&) = delete;
  SpaceMemory& operator=(const SpaceMemory&) = delete;

  void join(pid_t tid) { threads_.push_back(tid); }
  void leave(pid_t tid) { std::erase(threads_, tid); }
  const std::vector<pid_t>& threads() const { return threads_; }

  // ESRCH: nobody lives there. EACCES: its owner has closed it to others (PR_SET_DUMPABLE).
  Result<std::vector<MapsLine>> maps() const;
  // How many bytes there are to be read at `address`, at most `size`. Errors as of maps(); EIO: none. Here and in write(),
  // EFAULT: they would have to come from a process that does not give them at once.
  Result<size_t> read(u64 address, void* to, size_t size);
  // Each of the pieces, whole, or none.
  Result<void> read(std::span<const MemoryPiece> pieces);
  // Through page protection, into a private copy of the page, while the threads run.
  Result<void> write(u64 address, const void* from, size_t size);
  // A 32-bit program.
  bool compat();
  // Nothing is to be read or written for a while: who ends its memory, ends all of it.
  void close();

 private:
  friend class MemoryFiles;
  Result<int> fd();
  bool may_wait() const;
  bool is_gone(ssize_t moved);
  Result<std::shared_ptr<MemoryAccess>> access(u64 address, std::vector<u8> bytes, Access kind);

  MemoryFiles& files_;
  std::vector<pid_t> threads_;
  UniqueFd mem_;
  std::unique_ptr<MemoryWorker> worker_;  // where access may wait
  int compat_ = -1;                       // -1: nobody asked yet
};

}  // namespace bpfemu
