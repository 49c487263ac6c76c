// SPDX-License-Identifier: Apache-2.0
// What programs touch: stack, map values and other areas, context, packet.
#include "tests/fuzz/verifier_gen.h"

namespace bpfemu::fuzz {

namespace {

constexpr u8 size_code(int size) {
  return size == 1 ? BPF_B : size == 2 ? BPF_H : size == 4 ? BPF_W : BPF_DW;
}
constexpr int kSizes[] = {1, 2, 4, 8, 8};

bool is_skb(u32 type) {
  switch (type) {
    case BPF_PROG_TYPE_SOCKET_FILTER:
    case BPF_PROG_TYPE_SCHED_CLS:
    case BPF_PROG_TYPE_SCHED_ACT:
    case BPF_PROG_TYPE_CGROUP_SKB:
    case BPF_PROG_TYPE_LWT_IN:
    case BPF_PROG_TYPE_LWT_XMIT:
    case BPF_PROG_TYPE_SK_SKB: return true;
    default: return false;
  }
}

}  // namespace

void Generator::write_stack(int off, int size) {
  int at = off;
  while (at < off + size) {
    int step = at % 8 == 0 && off + size - at >= 8 ? 8 : at % 4 == 0 && off + size - at >= 4 ? 4 : 1;
    emit(Op{BPF_ST | BPF_MEM | size_code(step), 10, 0, at, chance(70) ? between(0, 3) : between(-9, 99)});
    at += step;
  }
  state_.stack.write(off, size);
}

// The offset of `size` bytes of stack, written unless that does not matter.
int Generator::stack_area(int size, bool written) {
  int rounded = (size + 7) / 8 * 8;
  int off = -rounded;
  for (int tries = 0; tries < 8; ++tries) {
    off = -8 * between(rounded / 8, 14);
    bool kept = false;
    for (int at = off; at < off + rounded; at += 8) kept |= state_.stack.kept[Stack::slot(at)];
    if (!kept) break;
  }
  if (written && !slips()) {
    if (!state_.stack.readable(off, size) || chance(30)) write_stack(off, !may_leak() || chance(80) ? rounded : size);
  }
  // What the area holds is plain bytes from now on.
  if (!written) state_.stack.write(off, size);
  return off;
}

void Generator::stack_store() {
  int size = random_.pick(kSizes);
  int off = -between(1, 14) * 8 + (size < 8 ? between(0, 8 / size - 1) * size : 0);
  if (slips()) off = between(-520, 4);
  if (Stack().inside(off, size) && !slips()) {
    if (state_.stack.kept[Stack::slot(off)]) return;
    if (!may_leak()) size = 8, off &= ~7;
  }
  if (chance(40)) {
    emit(Op{BPF_ST | BPF_MEM | size_code(size), 10, 0, off, static_cast<s32>(random_.odd())});
  } else {
    emit(Op{BPF_STX | BPF_MEM | size_code(size), 10, number(), off, 0});
  }
  state_.stack.write(off, size);
}

void Generator::stack_load() {
  int size = random_.pick(kSizes);
  int off = 0;
  for (int tries = 0; tries < 12; ++tries) {
    off = -between(1, 14) * 8 + (size < 8 ? between(0, 8 / size - 1) * size : 0);
    if (state_.stack.readable(off, size)) break;
  }
  if (slips())
    off = between(-520, 4);
  else if (!state_.stack.readable(off, size))
    return;
  int reg = fresh();
  emit(Op{BPF_LDX | BPF_MEM | size_code(size), reg, 10, off, 0});
  bool whole = size == 8 && off % 8 == 0 && Stack().inside(off, 8);
  Value was = whole ? state_.stack.spilled[Stack::slot(off)] : Value{};
  u64 most = size == 8 ? ~u64{0} : (u64{1} << (8 * size)) - 1;
  reg_at(reg) = was.kind != Kind::kNone ? was : scalar(most);
}

void Generator::spill() {
  int reg = find(0, 9, [](const Value& value) { return value.kind != Kind::kNone; });
  if (slips()) reg = static_cast<int>(random_.below(11));
  if (reg < 0) return;
  int off = -8 * between(1, 14);
  if (state_.stack.kept[Stack::slot(off)] && !slips()) return;
  bool whole = !reg_at(reg).is_scalar() || chance(60);
  if (slips()) off += between(-4, 4);
  int size = (whole || !may_leak()) && !slips() ? 8 : 4;
  emit(Op{BPF_STX | BPF_MEM | size_code(size), 10, reg, off, 0});
  state_.stack.write(off, size);
  if (off % 8 == 0 && Stack().inside(off, 8)) {
    Value value = reg_at(reg);
    if (value.is_scalar() && size == 4) value.max = std::min<u64>(value.max, 0xffffffff);
    if (size == 8) state_.stack.spilled[Stack::slot(off)] = value;
  }
}

void Generator::fill() {
  int off = 0;
  for (int tries = 0; tries < 12; ++tries) {
    off = -8 * between(1, 14);
    if (state_.stack.spilled[Stack::slot(off)].kind != Kind::kNone) break;
  }
  Value value = state_.stack.spilled[Stack::slot(off)];
  if (value.kind == Kind::kNone && !slips()) return;
  int reg = fresh(chance(60));
  bool part = value.is_scalar() ? chance(25) : slips();
  int at = slips() ? 4 : 0;
  emit(Op{BPF_LDX | BPF_MEM | (part ? BPF_W : BPF_DW), reg, 10, off + (part ? at : 0), 0});
  reg_at(reg) = part ? scalar(std::min<u64>(value.max, 0xffffffff)) : value;
}

// One load or store of `size` bytes.
void Generator::one_access(int reg, int off, int size, bool writable) {
  u64 what = random_.below(writable || slips() ? 10 : 4);
  if (what < 4) {
    int to = fresh();
    emit(Op{BPF_LDX | BPF_MEM | size_code(size), to, reg, off, 0});
    reg_at(to) = scalar(size == 8 ? ~u64{0} : (u64{1} << (8 * size)) - 1);
  } else if (what < 6) {
    emit(Op{BPF_ST | BPF_MEM | size_code(size), reg, 0, off, static_cast<s32>(random_.odd())});
  } else if (what < 9) {
    int from = number();
    if (slips()) from = static_cast<int>(random_.below(11));
    emit(Op{BPF_STX | BPF_MEM | size_code(size), reg, from, off, 0});
  } else {
    static constexpr s32 codes[] = {BPF_ADD,
                                    BPF_ADD,
                                    BPF_OR,
                                    BPF_AND,
                                    BPF_XOR,
                                    BPF_ADD | BPF_FETCH,
                                    BPF_OR | BPF_FETCH,
                                    BPF_AND | BPF_FETCH,
                                    BPF_XOR | BPF_FETCH,
                                    BPF_XCHG,
                                    BPF_CMPXCHG};
    s32 code = random_.pick(codes);
    int from = number();
    if (code == BPF_CMPXCHG) {
      if (!reg_at(0).is_scalar() && reg != 0 && !slips()) set_constant(0, 1);
      reg_at(0) = scalar();
    }
    if (size < 4 && !slips()) return;
    if (((state_.pinned >> from) & 1) && (code & BPF_FETCH)) return;
    emit(Op{BPF_STX | BPF_ATOMIC | size_code(size), reg, from, off, code});
    if (code & BPF_FETCH && code != BPF_CMPXCHG) reg_at(from) = scalar();
  }
}

// Something somewhere in an area of which `reg` holds the start.
void Generator::access(int reg, const Value& area, bool only_at_start) {
  int size = random_.pick(kSizes);
  while (size > area.size && size > 1) size = size == 8 ? 4 : size / 2;
  int last = area.size - size;
  if (last < 0) return;
  if (!only_at_start && last >= 8 && area.kind != Kind::kPacket && chance(35)) {
    // Where a variable says.
    int index = fresh(chance(40)), pointer = fresh();
    if (index == reg || pointer == reg || index == pointer) return;
    int from = number();
    if (from == pointer) return;
    if (from != index) copy(index, from);
    u64 most = 1;
    while (most * 2 + 1 <= static_cast<u64>(last)) most = most * 2 + 1;
    if (chance(30)) most = static_cast<u64>(last);
    if (slips()) most += static_cast<u64>(between(1, 8));
    if (slips()) reg_at(index) = scalar(0);
    if (reg_at(index).max > most) limit(index, most);
    copy(pointer, reg);
    emit(Op{BPF_ALU64 | (chance(90) ? BPF_ADD : BPF_SUB) | BPF_X, pointer, index, 0, 0});
    reg_at(pointer) = {};
    one_access(pointer, slips() ? between(-2, 9) : 0, chance(30) ? 1 : size, area.writable);
    return;
  }
  int off = between(0, last);
  off -= off % size;
  if (slips()) off = last + between(1, 9);
  if (slips()) off = -between(1, 9);
  one_access(reg, off, size, area.writable);
}

void Generator::access_area() {
  int reg = find(0, 9, [](const Value& value) { return value.is_area(); });
  if (slips()) reg = find(0, 10, [](const Value& value) { return value.kind != Kind::kNone && !value.is_scalar(); });
  if (reg < 0) {
    reg = find(0, 9, [](const Value& value) { return value.kind == Kind::kStack && value.size > 0; });
    if (reg < 0) return;
    // Through a copied frame pointer.
    Value pointer = reg_at(reg);
    int size = std::min(8, pointer.size);
    if (!state_.stack.readable(-pointer.size, size)) write_stack(-pointer.size, size);
    if (size < 8 && !may_leak()) return;
    one_access(reg, 0, size == 8 ? 8 : 1, true);
    if (Stack().inside(-pointer.size, 1)) state_.stack.spilled[Stack::slot(-pointer.size)] = {};
    return;
  }
  access(reg, reg_at(reg));
}

void Generator::atomic() {
  int off = stack_area(8, true);
  static constexpr s32 codes[] = {BPF_ADD,  BPF_OR,     BPF_AND, BPF_XOR, BPF_ADD | BPF_FETCH, BPF_XOR | BPF_FETCH,
                                  BPF_XCHG, BPF_CMPXCHG};
  s32 code = random_.pick(codes);
  int from = number();
  if (((state_.pinned >> from) & 1)) return;
  if (code == BPF_CMPXCHG && !reg_at(0).is_scalar()) set_constant(0, 0);
  bool wide = !may_leak() || chance(60);
  emit(Op{BPF_STX | BPF_ATOMIC | (wide ? BPF_DW : slips() ? BPF_H : BPF_W), 10, from, off + (slips() ? 1 : 0), code});
  if (code == BPF_CMPXCHG)
    reg_at(0) = scalar();
  else if (code & BPF_FETCH)
    reg_at(from) = scalar();
  state_.stack.write(off, 8);
}

void Generator::load_context() {
  int ctx = find(0, 9, [](const Value& value) { return value.kind == Kind::kCtx; });
  if (ctx < 0) return;
  bool wide = type_.groups & kTrace || type_.type == BPF_PROG_TYPE_SYSCALL;
  int size = wide ? 8 : 4;
  if (chance(10)) size = random_.pick(kSizes);
  int off = size * static_cast<int>(random_.below(static_cast<u64>(std::max(1, type_.ctx_size / size))));
  if (is_skb(type_.type) && chance(70)) off = 4 * between(0, 16);
  if (slips()) off = between(-4, type_.ctx_size + 8);
  int reg = fresh(type_.target);
  emit(Op{BPF_LDX | BPF_MEM | size_code(size), reg, ctx, off, 0});
  reg_at(reg) = scalar(size == 8 ? ~u64{0} : (u64{1} << (8 * size)) - 1);
  if (type_.target && size == 8) reg_at(reg) = {.kind = Kind::kObject};
  bool packet = type_.end && (off == type_.packet || (type_.meta && off == type_.meta));
  if (packet) reg_at(reg) = {.kind = Kind::kPacket};
  if (type_.end && off == type_.end) reg_at(reg) = {.kind = Kind::kPacketEnd};
  if (is_skb(type_.type) && off == static_cast<int>(offsetof(__sk_buff, sk)) && size == 8) {
    reg_at(reg) = {.kind = Kind::kSocket, .maybe_null = true};
  }
}

void Generator::store_context() {
  int ctx = find(0, 9, [](const Value& value) { return value.kind == Kind::kCtx; });
  if (ctx < 0) return;
  static constexpr int skb_fields[] = {8, 32, 36, 48, 52, 56, 60, 64, 72, 152};
  int off = is_skb(type_.type) ? random_.pick(skb_fields) : 4 * between(0, type_.ctx_size / 4);
  int size = off == 152 ? 8 : 4;
  if (slips()) size = random_.pick(kSizes);
  if (!is_skb(type_.type) && type_.type != BPF_PROG_TYPE_SYSCALL && !slips() && !chance(20)) return;
  if (chance(70))
    emit(Op{BPF_STX | BPF_MEM | size_code(size), ctx, number(), off, 0});
  else
    emit(Op{BPF_ST | BPF_MEM | size_code(size), ctx, 0, off, 5});
}

// if (start + n > end) leave; then what lies there is touched.
void Generator::packet() {
  int ctx = find(0, 9, [](const Value& value) { return value.kind == Kind::kCtx; });
  if (!type_.end || ctx < 0) return;
  int start = fresh(chance(70)), limit_reg = fresh(), end = fresh();
  if (start == limit_reg || start == end || limit_reg == end || ctx == start || ctx == limit_reg || ctx == end) return;
  u8 width = type_.type == BPF_PROG_TYPE_CGROUP_SOCKOPT || type_.type == BPF_PROG_TYPE_SK_MSG ||
                     type_.type == BPF_PROG_TYPE_SK_REUSEPORT
                 ? BPF_DW
                 : BPF_W;
  bool meta = type_.meta && chance(12);
  emit(Op{BPF_LDX | BPF_MEM | width, start, ctx, meta ? type_.meta : type_.packet, 0});
  emit(Op{BPF_LDX | BPF_MEM | width, end, ctx, meta ? type_.packet : type_.end, 0});
  reg_at(start) = {.kind = Kind::kPacket};
  reg_at(end) = {.kind = meta ? Kind::kPacket : Kind::kPacketEnd};
  if (chance(25)) {
    // The header's length is variable.
    int from = number();
    if (from == start || from == end || ((state_.pinned >> from) & 1)) return;
    if (reg_at(from).max > 255) limit(from, chance(50) ? 31 : 63);
    emit(Op{BPF_ALU64 | BPF_ADD | BPF_X, start, from, 0, 0});
    if (chance(30)) add(start, between(0, 14));
  }
  int bytes = chance(60) ? 14 : between(1, 40);
  copy(limit_reg, start);
  add(limit_reg, bytes);
  int trusted = bytes + (slips() ? between(1, 8) : 0);
  // start + bytes <= end, and its three relatives; each the other way round as well.
  struct Comparison {
    u8 code, swapped;
    bool good_when_taken;
  };
  static constexpr Comparison comparisons[] = {
      {BPF_JLE, BPF_JGE, true}, {BPF_JLT, BPF_JGT, true}, {BPF_JGT, BPF_JLT, false}, {BPF_JGE, BPF_JLE, false}};
  Comparison comparison = random_.pick(comparisons);
  if (slips()) comparison.good_when_taken = !comparison.good_when_taken;
  reg_at(limit_reg) = {.kind = Kind::kPacket};
  size_t taken = jump(chance(70) ? Op{BPF_JMP | comparison.code | BPF_X, limit_reg, end, 0, 0}
                                 : Op{BPF_JMP | comparison.swapped | BPF_X, end, limit_reg, 0, 0});
  Value area = {.kind = Kind::kPacket, .writable = type_.type != BPF_PROG_TYPE_CGROUP_SKB || slips(), .size = trusted};
  if (comparison.good_when_taken) {
    leave();
    land(taken);
    reg_at(start) = area;
    access(start, area);
  } else {
    State before = state_;
    reg_at(start) = area;
    access(start, area);
    block(random_.below(3));
    land(taken);
    state_.meet(before);
  }
}

// A field of the kernel's object; some are pointers to others.
void Generator::object() {
  int reg = find(0, 9, [](const Value& value) { return value.kind == Kind::kObject; });
  if (reg < 0) return type_.target ? load_context() : void();
  int size = chance(60) ? 8 : random_.pick(kSizes);
  int off = size * between(0, (chance(50) ? 128 : 3000) / size) + (slips() ? between(-9, 9) : 0);
  if (slips()) return emit(Op{BPF_STX | BPF_MEM | size_code(size), reg, number(), off, 0});
  int to = fresh(chance(50));
  emit(Op{BPF_LDX | BPF_MEM | size_code(size), to, reg, off, 0});
  reg_at(to) = size == 8 && chance(40) ? Value{.kind = Kind::kObject} : scalar();
}

// BPF_LD_ABS and BPF_LD_IND: the context is in r6.
void Generator::load_packet_old() {
  if (!(is_skb(type_.type) || slips()) || (!state_.references.empty() && !slips())) return;
  if (reg_at(6).kind != Kind::kCtx) return;
  static constexpr u8 sizes[] = {BPF_B, BPF_H, BPF_W};
  bool indirect = chance(40);
  int index = indirect ? number() : 0;
  emit(Op{BPF_LD | (indirect ? BPF_IND : BPF_ABS) | (slips() ? BPF_DW : random_.pick(sizes)), 0, index, 0,
          between(0, 70)});
  for (int reg = 1; reg < 6; ++reg) reg_at(reg) = {};
  reg_at(0) = scalar();
}

// &map's only value + offset, without a lookup.
void Generator::map_value_address() {
  int map = chance(60) ? kArray48 : kReadOnly;
  if (slips()) map = random_.pick({kArray8, kLocked, kWriteOnly, kHash16});
  const MapSpec& spec = map_spec(map);
  int off = 4 * between(0, static_cast<int>(spec.value) / 4 - 1);
  if (slips()) off = between(-1, static_cast<int>(spec.value) + 1);
  int reg = fresh(true);
  emit(Op{BPF_LD | BPF_IMM | BPF_DW, reg, BPF_PSEUDO_MAP_VALUE, 0, map});
  emit(Op{0, 0, 0, 0, off});
  reg_at(reg) = {
      .kind = Kind::kMapValue, .writable = map != kReadOnly, .size = static_cast<int>(spec.value) - off, .map = map};
  if (map == kLocked) reg_at(reg).size = 0;
}

}  // namespace bpfemu::fuzz
