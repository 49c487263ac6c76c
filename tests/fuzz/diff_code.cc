// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/diff_code.h"

namespace bpfemu::fuzz {

namespace {

const std::vector<u32> kElements = {
    BPF_MAP_TYPE_HASH,     BPF_MAP_TYPE_ARRAY,           BPF_MAP_TYPE_PERCPU_HASH, BPF_MAP_TYPE_PERCPU_ARRAY,
    BPF_MAP_TYPE_LRU_HASH, BPF_MAP_TYPE_LRU_PERCPU_HASH, BPF_MAP_TYPE_LPM_TRIE};

// The types of maps that a helper takes.
std::vector<u32> fitting(int helper) {
  switch (helper) {
    case BPF_FUNC_redirect_map: return {BPF_MAP_TYPE_DEVMAP, BPF_MAP_TYPE_DEVMAP_HASH, BPF_MAP_TYPE_CPUMAP, BPF_MAP_TYPE_XSKMAP};
    case BPF_FUNC_get_local_storage: return {BPF_MAP_TYPE_CGROUP_STORAGE, BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE};
    case BPF_FUNC_perf_event_output: return {BPF_MAP_TYPE_PERF_EVENT_ARRAY};
    case BPF_FUNC_ringbuf_query: return {BPF_MAP_TYPE_RINGBUF};
    case BPF_FUNC_skb_under_cgroup:
    case BPF_FUNC_current_task_under_cgroup: return {BPF_MAP_TYPE_CGROUP_ARRAY};
    case BPF_FUNC_sk_storage_get: return {BPF_MAP_TYPE_SK_STORAGE};
    default: return {};
  }
}

class Code {
 public:
  Code(Sequence& sequence, const ProgShape& shape) : s_(sequence), shape_(shape) {}
  void add(u8 code, u8 dst, u8 src = 0, int off = 0, int imm = 0) {
    bpf_insn insn{};
    insn.code = code;
    insn.dst_reg = dst & 15;
    insn.src_reg = src & 15;
    insn.off = static_cast<__s16>(off);
    insn.imm = imm;
    list.push_back(insn);
  }
  void mov(u8 dst, int imm) { add(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, imm); }
  void copy(u8 dst, u8 src) { add(BPF_ALU64 | BPF_MOV | BPF_X, dst, src); }
  void call(int helper) { add(BPF_JMP | BPF_CALL, 0, 0, 0, helper); }
  void piece();
  // Iterators: what there is of this object goes to the reader.
  void show();

  std::vector<bpf_insn> list;

 private:
  void say(const char* what) { s_.say(what); }
  // Mostly one that fits, if there is one.
  void map(u8 dst) {
    const HeldMap* fitting = s_.random().one_in(16) ? nullptr : s_.map_of(maps_);
    const HeldMap& map = fitting ? *fitting : s_.map();
    s_.say_name(map);
    add(BPF_LD | BPF_IMM | BPF_DW, dst, BPF_PSEUDO_MAP_FD, 0, map.fd);
    add(0, 0);
  }
  void stack(u8 r, int at) {
    copy(r, 10);
    add(BPF_ALU64 | BPF_ADD | BPF_K, r, 0, 0, at);
  }
  void key(u8 r) {
    for (int at = -24; at < -8; at += 8) add(BPF_ST | BPF_MEM | BPF_DW, 10, 0, at, 0);
    add(BPF_ST | BPF_MEM | BPF_DW, 10, 0, -24, static_cast<int>(s_.random().below(5)));
    stack(r, -24);
  }
  void value(u8 r) {
    for (int at = -72; at < -24; at += 8) add(BPF_ST | BPF_MEM | BPF_DW, 10, 0, at, static_cast<int>(s_.random().next()));
    stack(r, -72);
  }
  // What a helper returned counts.
  void call_and_count(int helper) {
    call(helper);
    add(BPF_ALU64 | BPF_ADD | BPF_X, 7, 0);
  }
  void calculate();
  void look_up();
  void look_up_inner();
  void count_locked();
  void queue();
  void reserve();
  void use_context();
  void use_packet();
  void use_helper();

  Sequence& s_;
  const ProgShape& shape_;
  std::vector<u32> maps_;  // the types that fit the piece
};

void Code::calculate() {
  static constexpr u8 operations[] = {BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_OR, BPF_AND, BPF_XOR, BPF_MOD};
  for (int i = 0; i < 3; ++i) {
    const u8 width = s_.random().one_in(2) ? BPF_ALU : BPF_ALU64;
    const u8 operation = s_.random().pick(operations);
    add(width | operation | BPF_K, 7, 0, 0, static_cast<int>(s_.random().next() | 1));
  }
}

void Code::look_up() {
  say("lookup");
  key(2);
  map(1);
  if (s_.random().one_in(5)) {
    say("cpu");
    mov(3, static_cast<int>(s_.random().below(3)));
    call(BPF_FUNC_map_lookup_percpu_elem);
  } else {
    call(BPF_FUNC_map_lookup_elem);
  }
  add(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 3);
  add(BPF_LDX | BPF_MEM | BPF_B, 1, 0, 0);
  add(BPF_ALU64 | BPF_ADD | BPF_X, 7, 1);
  s_.random().one_in(3) ? add(BPF_ST | BPF_MEM | BPF_B, 0, 0, 0, 7) : mov(0, 0);
}

void Code::look_up_inner() {
  say("inner");
  key(2);
  map(1);
  call(BPF_FUNC_map_lookup_elem);
  add(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 7);
  copy(1, 0);
  stack(2, -24);
  call(BPF_FUNC_map_lookup_elem);
  add(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 2);
  add(BPF_LDX | BPF_MEM | BPF_B, 1, 0, 0);
  add(BPF_ALU64 | BPF_ADD | BPF_X, 7, 1);
}

// Values with a bpf_spin_lock, see value_btf.h.
void Code::count_locked() {
  say("locked");
  key(2);
  map(1);
  call(BPF_FUNC_map_lookup_elem);
  add(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 8);
  copy(8, 0);
  copy(1, 0);
  call(BPF_FUNC_spin_lock);
  add(BPF_LDX | BPF_MEM | BPF_W, 1, 8, 4);
  add(BPF_ALU64 | BPF_ADD | BPF_K, 1, 0, 0, 1);
  add(BPF_STX | BPF_MEM | BPF_W, 8, 1, 4);
  copy(1, 8);
  call(BPF_FUNC_spin_unlock);
}

void Code::queue() {
  static constexpr int helpers[] = {BPF_FUNC_map_push_elem, BPF_FUNC_map_pop_elem, BPF_FUNC_map_peek_elem};
  const int helper = s_.random().pick(helpers);
  s_.say("queue", static_cast<u64>(helper));
  value(2);
  map(1);
  if (helper == BPF_FUNC_map_push_elem) mov(3, static_cast<int>(s_.random().below(4)));
  call_and_count(helper);
}

void Code::reserve() {
  say("reserve");
  map(1);
  mov(2, static_cast<int>(8 + s_.random().below(s_.random().one_in(4) ? 6000 : 40)));
  mov(3, 0);
  call(BPF_FUNC_ringbuf_reserve);
  add(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 4);
  add(BPF_ST | BPF_MEM | BPF_DW, 0, 0, 0, static_cast<int>(s_.random().next()));
  copy(1, 0);
  mov(2, static_cast<int>(s_.random().below(3)));
  call(s_.random().one_in(3) ? BPF_FUNC_ringbuf_discard : BPF_FUNC_ringbuf_submit);
}

void Code::use_context() {
  Random& random = s_.random();
  if (!shape_.writes.empty() && random.one_in(3)) {
    const u16 at = shape_.writes[random.below(shape_.writes.size())];
    s_.say("write", at);
    mov(1, static_cast<int>(random.below(200)));
    return add(BPF_STX | BPF_MEM | BPF_W, 6, 1, at);
  }
  if (shape_.reads.empty()) return calculate();
  const u16 at = random.one_in(20) ? static_cast<u16>(random.below(60)) : shape_.reads[random.below(shape_.reads.size())];
  s_.say("read", at);
  add(BPF_LDX | BPF_MEM | BPF_W, 1, 6, at);
  add(BPF_ALU64 | BPF_ADD | BPF_X, 7, 1);
}

// data and data_end, where the type has them.
void Code::use_packet() {
  const bool xdp = shape_.type == BPF_PROG_TYPE_XDP;
  const int length = static_cast<int>(1 + s_.random().below(30));
  s_.say("packet", static_cast<u64>(length));
  add(BPF_LDX | BPF_MEM | BPF_W, 1, 6, xdp ? 0 : 76);
  add(BPF_LDX | BPF_MEM | BPF_W, 2, 6, xdp ? 4 : 80);
  copy(3, 1);
  add(BPF_ALU64 | BPF_ADD | BPF_K, 3, 0, 0, length);
  add(BPF_JMP | BPF_JGT | BPF_X, 3, 2, 3);
  add(BPF_LDX | BPF_MEM | BPF_B, 4, 1, length - 1);
  add(BPF_ALU64 | BPF_ADD | BPF_X, 7, 4);
  s_.random().one_in(3) ? add(BPF_ST | BPF_MEM | BPF_B, 1, 0, 0, 0x5a) : mov(0, 0);
}

// Helpers that take numbers and the stack: what each finds in r1 to r5.
void Code::use_helper() {
  enum Argument : u8 { kNothing, kContext, kNumber, kSmall, kStack, kEight, kZero, kMap };
  struct Helper {
    int id;
    Argument arguments[5];
  };
  static constexpr Helper helpers[] = {
      {BPF_FUNC_skb_load_bytes, {kContext, kSmall, kStack, kEight}},
      {BPF_FUNC_skb_store_bytes, {kContext, kSmall, kStack, kEight, kSmall}},
      {BPF_FUNC_skb_load_bytes_relative, {kContext, kSmall, kStack, kEight, kZero}},
      {BPF_FUNC_csum_diff, {kStack, kEight, kStack, kEight, kSmall}},
      {BPF_FUNC_l3_csum_replace, {kContext, kSmall, kSmall, kSmall, kZero}},
      {BPF_FUNC_skb_change_tail, {kContext, kNumber, kZero}},
      {BPF_FUNC_skb_change_head, {kContext, kNumber, kZero}},
      {BPF_FUNC_skb_adjust_room, {kContext, kSmall, kSmall, kZero}},
      {BPF_FUNC_skb_pull_data, {kContext, kNumber}},
      {BPF_FUNC_skb_vlan_push, {kContext, kNumber, kSmall}},
      {BPF_FUNC_skb_vlan_pop, {kContext}},
      {BPF_FUNC_skb_change_type, {kContext, kSmall}},
      {BPF_FUNC_xdp_adjust_head, {kContext, kSmall}},
      {BPF_FUNC_xdp_adjust_tail, {kContext, kSmall}},
      {BPF_FUNC_xdp_adjust_meta, {kContext, kSmall}},
      {BPF_FUNC_redirect, {kSmall, kZero}},
      {BPF_FUNC_redirect_map, {kMap, kSmall, kSmall}},
      {BPF_FUNC_get_local_storage, {kMap, kZero}},
      {BPF_FUNC_perf_event_output, {kContext, kMap, kZero, kStack, kEight}},
      {BPF_FUNC_ringbuf_query, {kMap, kSmall}},
      {BPF_FUNC_skb_under_cgroup, {kContext, kMap, kSmall}},
      {BPF_FUNC_current_task_under_cgroup, {kMap, kSmall}},
      {BPF_FUNC_get_smp_processor_id, {}},
      {BPF_FUNC_strtol, {kStack, kEight, kSmall, kStack}},
      {BPF_FUNC_get_retval, {}},
      {BPF_FUNC_set_retval, {kSmall}},
      {BPF_FUNC_get_netns_cookie, {kZero}},
      {BPF_FUNC_sysctl_get_name, {kContext, kStack, kEight, kZero}},
      {BPF_FUNC_sysctl_set_new_value, {kContext, kStack, kEight}},
      {BPF_FUNC_strncmp, {kStack, kEight, kStack}},
      {BPF_FUNC_sk_storage_get, {kMap, kZero, kZero, kSmall}}};
  const Helper& helper = helpers[s_.random().below(std::size(helpers))];
  maps_ = fitting(helper.id);
  s_.say("helper", static_cast<u64>(helper.id));
  for (int at = -72; at < -24; at += 8) add(BPF_ST | BPF_MEM | BPF_DW, 10, 0, at, static_cast<int>(s_.random().next()));
  u8 r = 1;
  for (Argument argument : helper.arguments) {
    switch (argument) {
      case kNothing: break;
      case kContext: copy(r, 6); break;
      case kNumber: mov(r, static_cast<int>(s_.random().below(120))); break;
      case kSmall: mov(r, static_cast<int>(s_.random().below(20)) - 4); break;
      case kStack: stack(r, -72 + 8 * static_cast<int>(s_.random().below(5))); break;
      case kEight: mov(r, 8); break;
      case kZero: mov(r, 0); break;
      case kMap: map(r); break;
    }
    ++r;
  }
  if (helper.id != BPF_FUNC_get_local_storage && helper.id != BPF_FUNC_sk_storage_get) return call_and_count(helper.id);
  call(helper.id);
  add(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 2);
  add(BPF_LDX | BPF_MEM | BPF_B, 1, 0, 0);
  add(BPF_ALU64 | BPF_ADD | BPF_X, 7, 1);
}

// The maps that a kind of piece works on.
std::vector<u32> maps_of(u64 kind) {
  switch (kind) {
    case 1:
    case 2:
    case 4:
    case 5:
    case 6:
    case 7: return kElements;
    case 3: return {BPF_MAP_TYPE_ARRAY_OF_MAPS, BPF_MAP_TYPE_HASH_OF_MAPS};
    case 8: return {BPF_MAP_TYPE_QUEUE, BPF_MAP_TYPE_STACK, BPF_MAP_TYPE_BLOOM_FILTER};
    case 9: return {BPF_MAP_TYPE_PROG_ARRAY};
    case 10:
    case 11: return {BPF_MAP_TYPE_RINGBUF};
    default: return {};
  }
}

void Code::piece() {
  Random& random = s_.random();
  const u64 kind = random.below(17);
  maps_ = maps_of(kind);
  if (!maps_.empty() && !s_.map_of(maps_) && !random.one_in(12)) return calculate();
  switch (kind) {
    case 0: return calculate();
    case 1:
    case 2: return look_up();
    case 3: return look_up_inner();
    case 4: return count_locked();
    case 5:
    case 6:
      say("update");
      key(2);
      value(3);
      map(1);
      mov(4, static_cast<int>(random.below(4)));
      return call_and_count(BPF_FUNC_map_update_elem);
    case 7:
      say("delete");
      key(2);
      map(1);
      return call_and_count(BPF_FUNC_map_delete_elem);
    case 8: return queue();
    case 9:
      say("tail call");
      copy(1, 6);
      map(2);
      mov(3, static_cast<int>(random.below(4)));
      return call(BPF_FUNC_tail_call);
    case 10:
      say("ring");
      map(1);
      value(2);
      mov(3, static_cast<int>(8 * (1 + random.below(5))));
      mov(4, 0);
      return call_and_count(BPF_FUNC_ringbuf_output);
    case 11: return reserve();
    case 12:
    case 13: return use_context();
    case 14: return use_packet();
    default: return use_helper();
  }
}

void Code::show() {
  const bool elements = std::string(shape_.kernel) == "bpf_iter_bpf_map_elem";
  const int at = elements ? 16 : 8;
  say("show");
  add(BPF_LDX | BPF_MEM | BPF_DW, 8, 6, at);
  add(BPF_JMP | BPF_JEQ | BPF_K, 8, 0, 12);
  add(BPF_ST | BPF_MEM | BPF_DW, 10, 0, -8, 0x21);
  if (elements) {
    add(BPF_LDX | BPF_MEM | BPF_B, 1, 8, static_cast<int>(s_.random().below(5)));
    add(BPF_STX | BPF_MEM | BPF_B, 10, 1, -8);
  } else {
    mov(1, 0);
    mov(1, 0);
  }
  add(BPF_LDX | BPF_MEM | BPF_DW, 1, 6, 0);
  add(BPF_LDX | BPF_MEM | BPF_DW, 8, 1, 8);   // session
  add(BPF_LDX | BPF_MEM | BPF_DW, 9, 1, 16);  // number
  add(BPF_STX | BPF_MEM | BPF_B, 10, 9, -7);
  add(BPF_LDX | BPF_MEM | BPF_DW, 1, 1, 0);
  stack(2, -8);
  mov(3, 4);
  call(BPF_FUNC_seq_write);
}

}  // namespace

std::vector<bpf_insn> small_program(Sequence& s, const ProgShape& shape) {
  Code code(s, shape);
  code.copy(6, 1);
  code.mov(7, static_cast<int>(s.random().below(2)));
  if (shape.attach_type == BPF_TRACE_ITER && !s.random().one_in(6)) code.show();
  for (u64 pieces = s.random().below(4); pieces; --pieces) code.piece();
  code.copy(0, 7);
  const bool nothing = shape.type == BPF_PROG_TYPE_TRACING && shape.attach_type != BPF_MODIFY_RETURN;
  if (nothing && !s.random().one_in(10)) code.mov(0, 0);
  if (shape.yes_or_no && !s.random().one_in(10)) code.add(BPF_ALU64 | BPF_AND | BPF_K, 0, 0, 0, 1);
  code.add(BPF_JMP | BPF_EXIT, 0);
  return code.list;
}

}  // namespace bpfemu::fuzz
