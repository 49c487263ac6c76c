// SPDX-License-Identifier: Apache-2.0
// What has a life of its own: locks, timers, ring records, dynptrs, sockets; and giving back what was acquired.
#include "tests/fuzz/verifier_gen.h"

namespace bpfemu::fuzz {

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

// Of `size` bytes as far as the verifier sees; the first `readable` can be read.
void Generator::use_dynptr(int off, int size, int readable) {
  auto pointer = [&](int reg) {
    copy(reg, 10);
    add(reg, off + (slips() ? 8 : 0));
    reg_at(reg) = {};
  };
  if (chance(50)) {
    area_argument(1, true);
    size_argument(2, true);
    pointer(3);
    int from = between(0, 9);
    // A read beyond the end leaves what was there.
    if (from > readable || reg_at(2).max > static_cast<u64>(readable - from)) program_.runs = false;
    set_constant(4, from);
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
  int length = slips() ? size + 1 : between(1, size);
  set_constant(2, length);
  bool refused = slips();
  set_constant(3, refused);
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
  use_dynptr(off, size, refused ? 0 : length);
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
  use_dynptr(off, size, size);
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

}  // namespace bpfemu::fuzz
