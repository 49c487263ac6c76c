// SPDX-License-Identifier: Apache-2.0
// Calls of helpers and what belongs to them: lookups, locks, timers, ring records, dynptrs, sockets.
#include <string_view>

#include "tests/fuzz/verifier_gen.h"

namespace bpfemu::fuzz {

namespace {

struct HelperSpec {
  int id;
  const char* arguments;
  char result;
  u32 groups;
  bool repeatable;
};
constexpr HelperSpec kHelpers[] = {
#define FUZZ_HELPER(id, ...) {BPF_FUNC_##id, __VA_ARGS__},
#include "tests/fuzz/verifier_helpers.inc"
#undef FUZZ_HELPER
};

constexpr int kElementMaps[] = {kArray8,      kArray8,     kArray48, kHash16,  kHash16, kHash5,  kReadOnly,  kWriteOnly,
                                kPercpuArray, kPercpuHash, kLruHash, kLpmTrie, kTimed,  kLocked, kLockedHash};
constexpr size_t kForSleepable = 8, kForAll = 12;

bool changes_packet(int helper) {
  switch (helper) {
    case BPF_FUNC_skb_store_bytes:
    case BPF_FUNC_l3_csum_replace:
    case BPF_FUNC_l4_csum_replace:
    case BPF_FUNC_skb_vlan_push:
    case BPF_FUNC_skb_vlan_pop:
    case BPF_FUNC_skb_change_tail:
    case BPF_FUNC_skb_change_head:
    case BPF_FUNC_skb_pull_data:
    case BPF_FUNC_skb_adjust_room:
    case BPF_FUNC_xdp_adjust_head:
    case BPF_FUNC_xdp_adjust_tail:
    case BPF_FUNC_xdp_adjust_meta:
    case BPF_FUNC_xdp_load_bytes:
    case BPF_FUNC_xdp_store_bytes: return true;
    default: return false;
  }
}

}  // namespace

void Generator::call(int helper, Value result) {
  emit(Op{BPF_JMP | BPF_CALL, 0, 0, 0, helper});
  for (int reg = 1; reg < 6; ++reg) reg_at(reg) = {};
  reg_at(0) = result;
  if (changes_packet(helper) && !slips()) state_.forget_packet();
}

bool Generator::may_lock() const {
  return !(type_.groups & kTrace) && type_.type != BPF_PROG_TYPE_SOCKET_FILTER && !(program_.flags & BPF_F_SLEEPABLE);
}

// A map with elements that this program may use.
int Generator::element_map() {
  if (slips()) return between(0, kMapCount - 1);
  return kElementMaps[random_.below(may_lock()                         ? std::size(kElementMaps)
                                    : program_.flags & BPF_F_SLEEPABLE ? kForSleepable
                                                                       : kForAll)];
}

void Generator::load_map(int reg, int map) {
  emit(Op{BPF_LD | BPF_IMM | BPF_DW, reg, BPF_PSEUDO_MAP_FD, 0, map});
  emit(Op{0, 0, 0, 0, 0});
  reg_at(reg) = {.kind = Kind::kMap, .map = map};
}

void Generator::key_argument(int reg, int map) {
  const MapSpec& spec = map_spec(map);
  int size = std::max(1, static_cast<int>(spec.key));
  int area = find(6, 9, [&](const Value& value) { return value.is_area() && value.size >= size; });
  if (area >= 0 && chance(15)) return copy(reg, area);
  int off = stack_area(size, false);
  if (!slips()) {
    write_stack(off, may_leak() ? size : (size + 7) / 8 * 8);
    int from = find(0, 9, [](const Value& value) { return value.is_scalar(); });
    if (from >= 0 && chance(30) && spec.key == 4) {
      emit(Op{BPF_STX | BPF_MEM | (may_leak() ? BPF_W : BPF_DW), 10, from, off, 0});
    }
  }
  copy(reg, 10);
  add(reg, off + (slips() ? 8 : 0));
  reg_at(reg) = {};
}

// Somewhere in memory of last_size_ bytes.
void Generator::area_argument(int reg, bool write) {
  int have = find(6, 9, [&](const Value& value) { return value.is_area() && (value.writable || !write); });
  if (have >= 0 && chance(45)) {
    last_size_ = reg_at(have).size;
    copy(reg, have);
    if (last_size_ > 8 && chance(30)) {
      add(reg, 4);
      last_size_ -= 4;
    }
  } else {
    last_size_ = chance(70) ? 8 * between(1, 5) : between(1, 40);
    int off = stack_area(last_size_, !write);
    copy(reg, 10);
    add(reg, off);
  }
  reg_at(reg) = {};
}

void Generator::size_argument(int reg, bool zero_is_fine) {
  int from = find(6, 9, [](const Value& value) { return value.is_scalar(); });
  if (from >= 0 && chance(30)) {
    copy(reg, from);
    u64 most = 1;
    while (most * 2 + 1 <= static_cast<u64>(last_size_)) most = most * 2 + 1;
    if (slips()) most += 4;
    if (reg_at(from).max > most || chance(30)) limit(reg, most);
    if (!zero_is_fine && chance(60)) {
      size_t over = jump(Op{BPF_JMP | BPF_JNE | BPF_K, reg, 0, 0, 0});
      leave();
      land(over);
    }
    return;
  }
  int size = chance(60) ? last_size_ : between(1, last_size_);
  if (slips()) size = last_size_ + between(1, 8);
  if (slips()) size = between(-1, 0);
  set_constant(reg, size);
}

bool Generator::argument(int reg, char letter) {
  auto map = [&](std::initializer_list<int> maps) {
    last_map_ = *(maps.begin() + random_.below(maps.size()));
    if (slips()) last_map_ = between(0, kMapCount - 1);
    load_map(reg, last_map_);
  };
  switch (letter) {
    case 'm':
      last_map_ = element_map();
      load_map(reg, last_map_);
      break;
    case 'q': map({kQueue, kStack, kBloom}); break;
    case 'g': map({kRing}); break;
    case 'e': map({kEvents}); break;
    case 'D': map({kDevices, kCpus, kXsks}); break;
    case 'T': map({kStacks}); break;
    case 'G': map({kCgroups}); break;
    case 'k': key_argument(reg, last_map_); break;
    case 'v':
    case 'V': {
      int size = std::max(1, static_cast<int>(map_spec(last_map_).value));
      int have = find(6, 9, [&](const Value& value) { return value.is_area() && value.size >= size; });
      if (have >= 0 && chance(30)) {
        copy(reg, have);
      } else {
        int off = stack_area(size, letter == 'v');
        copy(reg, 10);
        add(reg, off);
      }
      reg_at(reg) = {};
      break;
    }
    case 'r': area_argument(reg, false); break;
    case 'w': area_argument(reg, true); break;
    case 'z': size_argument(reg, chance(20)); break;
    case '8': set_constant(reg, slips() ? last_size_ : last_size_ / 8 * 8); break;
    case 't':
      emit(Op{BPF_LD | BPF_IMM | BPF_DW, reg, BPF_PSEUDO_MAP_VALUE, 0, slips() ? +kArray48 : +kReadOnly});
      emit(Op{0, 0, 0, 0, random_.pick({0, 3, 9, 15, 19, 23, 31})});
      reg_at(reg) = {};
      break;
    case 'c': {
      int ctx = find(6, 9, [](const Value& value) { return value.kind == Kind::kCtx; });
      if (ctx < 0 && !slips()) return false;
      copy(reg, ctx < 0 ? static_cast<int>(random_.below(11)) : ctx);
      break;
    }
    case 's': {
      int have = find(6, 9, [](const Value& value) { return value.is_scalar(); });
      if (slips()) have = between(0, 10);
      if (have >= 0 && chance(50))
        copy(reg, have);
      else
        set_constant(reg, static_cast<s32>(random_.odd()));
      break;
    }
    case 'i': set_constant(reg, between(-2, 16)); break;
    case 'b': set_constant(reg, between(0, 60)); break;
    case 'f': set_constant(reg, chance(70) ? 0 : between(0, 3)); break;
    case 'l': {
      int off = stack_area(8, false) + (slips() ? 4 : 0);
      copy(reg, 10);
      add(reg, off);
      reg_at(reg) = {};
      break;
    }
    default: return false;
  }
  return true;
}

bool Generator::arguments(const char* letters) {
  int reg = 1;
  for (const char* letter = letters; *letter; ++letter) {
    if (!argument(reg++, *letter)) return false;
  }
  return true;
}

void Generator::call_some_helper() {
  const HelperSpec* helper = nullptr;
  for (int tries = 0; tries < 30 && !helper; ++tries) {
    const HelperSpec& candidate = kHelpers[random_.below(std::size(kHelpers))];
    bool fits = candidate.groups == kAny || (candidate.groups & type_.groups);
    if (candidate.id == BPF_FUNC_map_lookup_percpu_elem || !candidate.repeatable) fits &= chance(30);
    if (fits || (slips() && chance(20))) helper = &candidate;
  }
  if (!helper || !arguments(helper->arguments)) return;
  if (!helper->repeatable) program_.runs = false;
  if (helper->result == 'S') {
    int reference = ++last_reference_;
    call(helper->id, {.kind = Kind::kSocket, .maybe_null = true, .reference = reference});
    state_.references.push_back(reference);
    int keep = fresh(true);
    copy(keep, 0);
    reg_at(0) = {};
    null_check(keep);
    return;
  }
  call(helper->id, helper->id == BPF_FUNC_map_lookup_percpu_elem ? Value{} : scalar());
}

void Generator::lookup() {
  last_map_ = chance(4) ? random_.pick({kXsks, kSockets}) : element_map();
  int map = last_map_;
  load_map(1, map);
  key_argument(2, map);
  const MapSpec& spec = map_spec(map);
  Value value = {.kind = Kind::kMapValue,
                 .maybe_null = true,
                 .writable = map != kReadOnly,
                 .size = static_cast<int>(spec.value),
                 .map = map};
  call(BPF_FUNC_map_lookup_elem, value);
  if (map == kLocked || map == kLockedHash) reg_at(0).size = 0;
  if (map == kTimed) reg_at(0).size = 8;
  if (chance(70)) {
    int keep = fresh(true);
    copy(keep, 0);
    if (chance(12)) return;
    null_check(keep);
    if (chance(60)) access(keep, reg_at(keep));
  } else {
    null_check(0);
    if (reg_at(0).is_area()) access(0, reg_at(0));
  }
}

void Generator::inner_lookup() {
  int outer = chance(60) ? kArrayOfMaps : kHashOfMaps;
  load_map(1, outer);
  key_argument(2, outer);
  call(BPF_FUNC_map_lookup_elem, {});
  size_t over = jump(Op{BPF_JMP | BPF_JNE | BPF_K, 0, 0, 0, 0});
  leave();
  land(over);
  copy(1, 0);
  if (slips()) load_map(1, outer);
  key_argument(2, kArray8);
  call(BPF_FUNC_map_lookup_elem, {.kind = Kind::kMapValue, .maybe_null = true, .size = 8, .map = -2});
  null_check(0);
  if (reg_at(0).is_area()) access(0, reg_at(0));
}

void Generator::lock() {
  if (!may_lock() && !slips()) return;
  int map = chance(70) ? kLocked : kLockedHash;
  load_map(1, map);
  key_argument(2, map);
  Value value = {.kind = Kind::kMapValue, .maybe_null = true, .size = 0, .map = map};
  call(BPF_FUNC_map_lookup_elem, value);
  int keep = fresh(true);
  copy(keep, 0);
  u32 nesting = nesting_;
  nesting_ = 9;  // nothing but the check
  null_check(keep);
  nesting_ = nesting;
  if (reg_at(keep).maybe_null) return;
  copy(1, keep);
  if (slips()) add(1, 4);
  call(BPF_FUNC_spin_lock, {});
  int off = slips() ? between(0, 12) : 4 * between(1, 3);
  one_access(keep, off, off == 8 ? 8 : 4, true);
  if (slips()) call(BPF_FUNC_ktime_get_ns, scalar());
  if (slips()) leave();
  if (slips()) return;
  copy(1, keep);
  call(BPF_FUNC_spin_unlock, {});
}

void Generator::timer() {
  if (functions_.size() >= kMostFunctions || function().depth > 0) return;
  if ((!may_lock() || program_.functions == FunctionInfo::kNone) && !slips()) return;
  program_.runs = false;  // the callback comes later
  load_map(1, kTimed);
  key_argument(2, kTimed);
  call(BPF_FUNC_map_lookup_elem, {.kind = Kind::kMapValue, .maybe_null = true, .size = 8, .map = kTimed});
  int keep = fresh(true);
  copy(keep, 0);
  u32 nesting = nesting_;
  nesting_ = 9;
  null_check(keep);
  nesting_ = nesting;
  int off = slips() ? between(0, 16) : static_cast<int>(kTimerOffset);
  auto pointer = [&] {
    copy(1, keep);
    add(1, off);
    reg_at(1) = {};
  };
  if (chance(80)) {
    pointer();
    load_map(2, slips() ? +kLocked : +kTimed);
    set_constant(3, slips() ? 5 : 1);
    call(BPF_FUNC_timer_init, scalar());
  }
  if (chance(60)) {
    Value key = {.kind = Kind::kMemory, .writable = false, .size = 4};
    size_t callback =
        make_function({{.kind = Kind::kMap}, key, {.kind = Kind::kMapValue, .size = 8, .map = kTimed}}, true);
    pointer();
    function().calls.emplace_back(function().insns.size(), callback);
    emit(Op{BPF_LD | BPF_IMM | BPF_DW, 2, BPF_PSEUDO_FUNC, 0, 0});
    emit(Op{0, 0, 0, 0, 0});
    call(BPF_FUNC_timer_set_callback, scalar());
  }
  if (chance(50)) {
    pointer();
    set_constant(2, 1000000);
    set_constant(3, 0);
    call(BPF_FUNC_timer_start, scalar());
  }
  if (chance(40)) {
    pointer();
    call(BPF_FUNC_timer_cancel, scalar());
  }
}

// Gives back what a register (-1: whichever has it) or stack slot holds.
void Generator::release(int reference, int reg) {
  if (reg < 0) reg = find(0, 9, [&](const Value& value) { return value.reference == reference; });
  Value value;
  int dynptr = 0;
  if (reg >= 0) {
    value = reg_at(reg);
    if (reg != 1) copy(1, reg);
  } else {
    for (int slot = 0; slot < kSlots; ++slot) {
      if (state_.stack.spilled[static_cast<size_t>(slot)].reference != reference) continue;
      value = state_.stack.spilled[static_cast<size_t>(slot)];
      int off = -8 * (slot + 1);
      if (value.kind == Kind::kMap) {
        dynptr = off;
      } else {
        emit(Op{BPF_LDX | BPF_MEM | BPF_DW, 1, 10, off, 0});
      }
      break;
    }
  }
  if (value.kind == Kind::kNone) return;
  if (value.kind == Kind::kSocket) {
    if (value.maybe_null) {
      size_t over = jump(Op{BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 0, 0});
      emit(Op{BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_sk_release});
      land(over);
      call(BPF_FUNC_get_smp_processor_id, scalar());
      program_.runs = false;
    } else {
      call(BPF_FUNC_sk_release, scalar());
    }
  } else if (dynptr) {
    copy(1, 10);
    add(1, dynptr);
    set_constant(2, 0);
    call(chance(50) ? BPF_FUNC_ringbuf_submit_dynptr : BPF_FUNC_ringbuf_discard_dynptr, {});
    for (int at : {dynptr, dynptr + 8}) {
      state_.stack.kept[Stack::slot(at)] = false;
      for (int byte = 0; byte < 8; ++byte) state_.stack.written[Stack::index(at + byte)] = false;
    }
  } else {
    set_constant(2, slips() ? 1 : 0);
    call(chance(50) ? BPF_FUNC_ringbuf_submit : BPF_FUNC_ringbuf_discard, {});
  }
  state_.forget_reference(reference);
}

void Generator::ring_record() {
  int size = 8 * between(1, 6) + (chance(20) ? between(1, 7) : 0);
  int keep = fresh(true);
  if (chance(15) && keep == 6) return;
  load_map(1, slips() ? +kArray8 : +kRing);
  if (slips() && find(6, 9, [](const Value& value) { return value.is_scalar(); }) >= 6)
    argument(2, 's');
  else
    set_constant(2, size);
  set_constant(3, slips() ? 1 : 0);
  int reference = ++last_reference_;
  call(BPF_FUNC_ringbuf_reserve, {.kind = Kind::kMemory, .maybe_null = true, .size = size, .reference = reference});
  state_.references.push_back(reference);
  copy(keep, 0);
  reg_at(0) = {};
  null_check(keep);
  // What a record holds before it is written is whatever was there.
  for (u64 accesses = random_.below(4); accesses; --accesses) {
    if (reg_at(keep).is_area()) access(keep, reg_at(keep));
  }
  if (chance(50)) body(random_.below(3));
  if (std::erase(state_.references, reference)) {
    state_.references.push_back(reference);
    if (!slips() && chance(85)) release(reference, -1);
  }
}

void Generator::use_dynptr(int off, int size) {
  auto pointer = [&](int reg) {
    copy(reg, 10);
    add(reg, off + (slips() ? 8 : 0));
    reg_at(reg) = {};
  };
  if (chance(50)) {
    area_argument(1, true);
    size_argument(2, true);
    pointer(3);
    set_constant(4, between(0, 9));
    set_constant(5, 0);
    call(BPF_FUNC_dynptr_read, scalar());
  }
  if (chance(50)) {
    pointer(1);
    set_constant(2, between(0, 9));
    area_argument(3, false);
    size_argument(4, true);
    set_constant(5, 0);
    call(BPF_FUNC_dynptr_write, scalar());
  }
  if (chance(60)) {
    pointer(1);
    set_constant(2, between(0, 4));
    int bytes = slips() ? -1 : between(1, size);
    set_constant(3, bytes);
    call(BPF_FUNC_dynptr_data, {.kind = Kind::kMemory, .maybe_null = true, .size = bytes});
    u32 nesting = nesting_;
    nesting_ = 9;
    null_check(0);
    nesting_ = nesting;
    access(0, reg_at(0), chance(50));
  }
}

void Generator::memory_dynptr() {
  int have =
      find(6, 9, [](const Value& value) { return value.is_area() && value.kind == Kind::kMapValue && value.writable; });
  if (slips()) have = find(6, 9, [](const Value& value) { return value.is_area(); });
  if (have < 0) return;
  int size = reg_at(have).size;
  copy(1, have);
  set_constant(2, slips() ? size + 1 : between(1, size));
  set_constant(3, slips() ? 1 : 0);
  int off = stack_area(16, false);
  copy(4, 10);
  add(4, off);
  call(BPF_FUNC_dynptr_from_mem, scalar());
  bool kept = !slips();
  for (int at : {off, off + 8}) {
    state_.stack.kept[Stack::slot(at)] = kept;
    for (int byte = 0; byte < 8; ++byte) state_.stack.written[Stack::index(at + byte)] = false;
  }
  if (chance(20)) body(2);
  use_dynptr(off, size);
}

void Generator::ring_dynptr() {
  int size = 8 * between(1, 6);
  load_map(1, kRing);
  set_constant(2, size);
  set_constant(3, 0);
  int off = stack_area(16, false);
  copy(4, 10);
  add(4, off);
  call(BPF_FUNC_ringbuf_reserve_dynptr, scalar());
  int reference = ++last_reference_;
  state_.references.push_back(reference);
  for (int at : {off, off + 8}) {
    state_.stack.kept[Stack::slot(at)] = true;
    for (int byte = 0; byte < 8; ++byte) state_.stack.written[Stack::index(at + byte)] = false;
  }
  // A dynptr is found by its reference in its first slot.
  state_.stack.spilled[Stack::slot(off)] = {.kind = Kind::kMap, .reference = reference};
  use_dynptr(off, size);
  if (!slips()) release(reference, -1);
}

void Generator::socket() {
  int reg = find(0, 9, [](const Value& value) { return value.kind == Kind::kSocket && !value.maybe_null; });
  if (reg < 0) {
    reg = find(0, 9, [](const Value& value) { return value.kind == Kind::kSocket; });
    if (reg < 0 || !slips()) return;
  }
  int to = fresh();
  if (to == reg) return;
  emit(Op{BPF_LDX | BPF_MEM | (slips() ? BPF_B : BPF_W), to, reg, 4 * between(0, slips() ? 30 : 10), 0});
  reg_at(to) = scalar(0xffffffff);
  program_.runs = false;
  if (chance(20)) {
    static constexpr int helpers[] = {BPF_FUNC_sk_fullsock, BPF_FUNC_tcp_sock, BPF_FUNC_get_listener_sock};
    copy(1, reg);
    call(random_.pick(helpers), {.kind = Kind::kSocket, .maybe_null = true});
  }
}

void Generator::socket_storage() {
  int reg = find(6, 9, [](const Value& value) { return value.kind == Kind::kSocket && !value.maybe_null; });
  if (reg < 0) return;
  program_.runs = false;
  load_map(1, kSocketStorage);
  copy(2, reg);
  set_constant(3, 0);
  set_constant(4, chance(70) ? 1 : 0);
  call(BPF_FUNC_sk_storage_get, {.kind = Kind::kMapValue, .maybe_null = true, .size = 0, .map = kSocketStorage});
  null_check(0);
}

void Generator::tail_call() {
  int ctx = find(6, 9, [](const Value& value) { return value.kind == Kind::kCtx; });
  if (ctx < 0 || (!state_.references.empty() && !slips())) return;
  copy(1, ctx);
  load_map(2, slips() ? +kArray8 : +kPrograms);
  set_constant(3, chance(50) ? between(0, 5) : static_cast<s64>(random_.odd()));
  call(BPF_FUNC_tail_call, {});
}

}  // namespace bpfemu::fuzz
