// SPDX-License-Identifier: Apache-2.0
// Calls of helpers: their arguments, lookups, tail calls.
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
  // Where the packet is shorter, a read leaves what was in the buffer.
  if (!helper->repeatable || helper->id == BPF_FUNC_xdp_load_bytes) program_.runs = false;
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

void Generator::tail_call() {
  int ctx = find(6, 9, [](const Value& value) { return value.kind == Kind::kCtx; });
  if (ctx < 0 || (!state_.references.empty() && !slips())) return;
  copy(1, ctx);
  load_map(2, slips() ? +kArray8 : +kPrograms);
  set_constant(3, chance(50) ? between(0, 5) : static_cast<s64>(random_.odd()));
  call(BPF_FUNC_tail_call, {});
}

}  // namespace bpfemu::fuzz
