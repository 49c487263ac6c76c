// SPDX-License-Identifier: Apache-2.0
// Which calls with a path are the host's alone, in a form that a few instructions in a traced process can read: an
// automaton in shared memory. It is fed some bytes of the call's flags, then the bytes of the path with its end, and says
// "the kernel's" or "ask". Whatever is not known for certain is "ask".
//
// Strings own their rows for good, so a thread that stands between two steps, for however long, is never led astray: what
// changes is only where known strings lead. Every change is one aligned word.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "emu/base/result.h"
#include "emu/ports/host.h"

namespace bpfemu {

// Where a call has what the automaton is fed with.
struct PathShape {
  long number;
  int path;         // argument register, -1: it has none, and its first row is the verdict
  int flags;        // argument register, -1: none is fed
  u8 bytes[2];      // which bytes of the flags, in this order
  int count;        // of those
  bool follows;     // without flags: is a last link followed?
  bool opens;       // flags are those of open(), not AT_*
  bool inside = false;  // the automaton only says whether the image may decide (emu/runtime/inside)
  bool tells = false;   // nothing is decided: the image runs the programs that listen to the call
};
std::span<const PathShape> path_shapes();
// Null: the call is always asked about.
const PathShape* path_shape(long number);
// Of any other call.
constexpr PathShape told_shape(long number) { return {number, -1, -1, {}, 0, false, false, false, true}; }
// Those that the kernel is then asked for.
const SyscallSet& decided_calls();

// One step: where each byte leads, relative to the row itself.
struct PathRow {
  static constexpr s32 kGoOn = 0, kNative = 1, kAsk = 2;
  s32 next[256];
  s32 verdict;
  s32 unused[15];
};

class PathTable {
 public:
  static constexpr size_t kNumbers = 512;            // s32 each: the first row of a call, relative to the table
  static constexpr size_t kSize = size_t{16} << 20;  // what is not used takes no memory
  enum class Gate : u8 { kRelative, kEmpty, kAbsolute, kMapping, kMaps };

  // ENOMEM, ENOSPC; ENOSYS: the host has no System V memory.
  static Result<std::unique_ptr<PathTable>> create();
  ~PathTable();
  PathTable(const PathTable&) = delete;
  PathTable& operator=(const PathTable&) = delete;

  // The memory, for processes to attach read-only with shmat(): which takes no descriptor, so a process can do it by
  // itself. It goes with whoever has it attached. Other users, and processes of other IPC namespaces, have no access.
  int key() const { return key_; }

  // These calls are asked about, whatever their paths. Until this is called: all.
  void ask(const SyscallSet& calls);
  // Closed in the beginning. kRelative: a name in a folder, itself not followed. kEmpty: AT_EMPTY_PATH. kAbsolute: what was
  // admitted. kMapping: mmap. kMaps: bpf().
  void open(Gate gate, bool open);
  // A name that is asked about in whatever folder; for good.
  void deny(std::string_view name);
  // An absolute path is the host's, until the next forget(). False: there is no more room.
  bool admit(std::string_view path, bool follow);
  void forget();
  bool any_admitted() const { return !admitted_.empty(); }

  // What a process would decide.
  bool passes(long number, const std::array<u64, 6>& args, std::string_view path) const;

 private:
  using Row = u32;  // its number
  static constexpr Row kNone = ~Row{0};

  PathTable(int key, u8* memory);
  PathRow& row(Row number) const;
  Row new_row(Row everywhere);
  Row target(Row from, u8 byte) const;
  void lead(Row from, u8 byte, Row to);
  void fill_start(bool follow, bool empty);
  Row first_row(long number) const;
  void lead_calls();

  int key_;
  u8* memory_;
  SyscallSet asked_;
  Row rows_ = 0;
  Row native_, ask_, any_name_, names_;
  Row starts_[2][2];   // by whether links are followed, and an empty path is a descriptor
  Row absolute_[2];    // behind the first slash
  Row at_flags_, open_flags_;
  bool gates_[5] = {};
  std::vector<Row> admitted_;
};

}  // namespace bpfemu
