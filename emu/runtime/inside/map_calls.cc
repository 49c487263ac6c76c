// SPDX-License-Identifier: Apache-2.0
// Map commands of bpf() in the place of a system call: those that only read, and those that change an element which is
// there, or was. Everything else is for the supervisor.
#include <linux/bpf.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "emu/arena/layout.h"
#include "emu/base/bytes.h"
#include "emu/runtime/inside/map_call.h"

namespace bpfemu {

namespace {

constexpr u64 kSyscallSize = 2;
constexpr u64 kMostAttr = kPageSize;  // kernel: bpf_check_uarg_tail_zero

// What a program hands over is not where we have something mapped that a kernel has not.
bool is_programs_own(const InsideState& state, u64 address) {
  return address < kInsideImage || address >= state.arena_end;
}

// The attributes, if there is nothing in them but what such commands know.
bool read_call(const InsideSlot& slot, const InsideState& state, MapCall& call) {
  const u64 address = slot.rsi, size = static_cast<u32>(slot.rdx);
  constexpr u64 least = offsetof(bpf_attr, value) + sizeof(bpf_attr::value), known = least + sizeof(bpf_attr::flags);
  static_assert(offsetof(bpf_attr, flags) == least);
  if (size < least || size > kMostAttr || !is_programs_own(state, address)) return false;
  const u8* const attr = reinterpret_cast<const u8*>(address);
  call.flags = size >= known ? load<u64>(attr + least) : 0;
  u64 rest = 0, at = size >= known ? known : least;
  for (; at + sizeof(u64) <= size; at += sizeof(u64)) rest |= load<u64>(attr + at);
  for (; at < size; ++at) rest |= attr[at];
  if (rest != 0) return false;
  call.fd = load<u32>(attr + offsetof(bpf_attr, map_fd));
  call.key = load<u64>(attr + offsetof(bpf_attr, key));
  call.out = load<u64>(attr + offsetof(bpf_attr, value));
  return is_programs_own(state, call.key) && is_programs_own(state, call.out);
}

bool decide(InsideSlot& slot, const InsideState& state, s64& result) {
  MapCall call;
  const u32 command = static_cast<u32>(slot.rdi);
  switch (command) {
    case BPF_MAP_LOOKUP_ELEM:
    case BPF_MAP_GET_NEXT_KEY:
      return read_call(slot, state, call) && call.flags == 0 && read_map(state, call, command, result);
    case BPF_MAP_UPDATE_ELEM:
    case BPF_MAP_DELETE_ELEM: return read_call(slot, state, call) && change_map(slot, state, call, command, result);
    default: return false;
  }
}

}  // namespace

const MapIndex::Place* place_of(const InsideState& state, u32 fd) {
  struct stat file;
  const bool found = bpfemu_inside_ask(fd, reinterpret_cast<u64>(&file), 0, SYS_fstat) == 0;
  if (!found || file.st_dev != state.maps->device) return nullptr;
  const MapIndex::Place* const place = const_cast<MapIndex*>(state.maps)->place_of(file.st_ino);
  return place && reinterpret_cast<u64>(place->map) + kPageSize <= state.arena_end ? place : nullptr;
}

void map_call(InsideSlot& slot, const InsideState& state) {
  s64 result;
  slot.asks_at = 0;
  slot.rax = SYS_bpf;
  const bool decided = sees_values(state) && decide(slot, state, result);
  slot.rax = decided ? static_cast<u64>(result) : SYS_bpf;
  slot.goes_to = decided ? slot.from : slot.from - kSyscallSize;
}

extern "C" void bpfemu_inside_call(InsideSlot* slot, const InsideState* state) {
  slot->leaves = slot->seat = 0;
  is_of_stub(slot->from) ? event_call(*slot, *state) : map_call(*slot, *state);
}

}  // namespace bpfemu
