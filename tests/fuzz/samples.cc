// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/samples.h"

#include <linux/btf.h>

#include <cstring>

namespace bpfemu::fuzz {

namespace {

using Insns = std::vector<bpf_insn>;

constexpr bpf_insn insn(u32 code, u32 dst, u32 src, s32 off, s32 imm) {
  return {.code = static_cast<u8>(code),
          .dst_reg = static_cast<u8>(dst & 15),
          .src_reg = static_cast<u8>(src & 15),
          .off = static_cast<s16>(off),
          .imm = imm};
}
constexpr bpf_insn mov(u32 dst, s32 imm) {
  return insn(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, imm);
}
constexpr bpf_insn mov_reg(u32 dst, u32 src) {
  return insn(BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0);
}
constexpr bpf_insn add(u32 dst, s32 imm) {
  return insn(BPF_ALU64 | BPF_ADD | BPF_K, dst, 0, 0, imm);
}
constexpr bpf_insn load(u32 size, u32 dst, u32 src, s32 off) {
  return insn(BPF_LDX | BPF_MEM | size, dst, src, off, 0);
}
constexpr bpf_insn put(u32 size, u32 dst, s32 off, s32 imm) {
  return insn(BPF_ST | BPF_MEM | size, dst, 0, off, imm);
}
constexpr bpf_insn call(s32 helper) {
  return insn(BPF_JMP | BPF_CALL, 0, 0, 0, helper);
}
constexpr bpf_insn jump_eq(u32 dst, s32 imm, s32 off) {
  return insn(BPF_JMP | BPF_JEQ | BPF_K, dst, 0, off, imm);
}
constexpr bpf_insn exit_insn() {
  return insn(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

// A 16-byte load of a map, or of its value at `offset`.
void load_map(Insns& to, u32 dst, int map, u32 kind = BPF_PSEUDO_MAP_FD, s32 offset = 0) {
  to.push_back(insn(BPF_LD | BPF_IMM | BPF_DW, dst, kind, 0, map));
  to.push_back(insn(0, 0, 0, 0, offset));
}

Insns constant(int) {
  return {mov(0, 0), exit_insn()};
}

Insns counter(int map) {
  Insns p{put(BPF_DW, 10, -8, 0), mov_reg(2, 10), add(2, -8)};
  load_map(p, 1, map);
  p.insert(p.end(),
           {call(BPF_FUNC_map_lookup_elem), jump_eq(0, 0, 3), mov(1, 1),
            insn(BPF_STX | BPF_ATOMIC | BPF_W, 0, 1, 0, BPF_ADD), load(BPF_W, 3, 0, 0), mov(0, 0), exit_insn()});
  return p;
}

Insns update(int map) {
  Insns p{put(BPF_DW, 10, -8, 1),
          put(BPF_DW, 10, -16, 7),
          mov_reg(2, 10),
          add(2, -8),
          mov_reg(3, 10),
          add(3, -16),
          mov(4, 0)};
  load_map(p, 1, map);
  p.insert(p.end(), {call(BPF_FUNC_map_update_elem), mov(0, 0), exit_insn()});
  return p;
}

Insns helpers(int) {
  return {mov_reg(6, 1),
          call(BPF_FUNC_ktime_get_ns),
          mov_reg(7, 0),
          call(BPF_FUNC_get_current_pid_tgid),
          insn(BPF_ALU64 | BPF_XOR | BPF_X, 7, 0, 0, 0),
          mov_reg(1, 10),
          add(1, -16),
          mov(2, 16),
          call(BPF_FUNC_get_current_comm),
          call(BPF_FUNC_get_smp_processor_id),
          mov(0, 1),
          exit_insn()};
}

Insns loop(int) {
  return {mov(0, 0),
          mov(1, 0),
          add(1, 1),
          insn(BPF_ALU64 | BPF_ADD | BPF_X, 0, 1, 0, 0),
          insn(BPF_JMP | BPF_JLT | BPF_K, 1, 0, -3, 10),
          exit_insn()};
}

Insns context(int) {
  return {load(BPF_W, 0, 1, 0), load(BPF_DW, 2, 1, 8), mov(0, 0), exit_insn()};
}

Insns packet(int) {
  return {load(BPF_W, 2, 1, 76),
          load(BPF_W, 3, 1, 80),
          mov_reg(4, 2),
          add(4, 14),
          insn(BPF_JMP | BPF_JGT | BPF_X, 4, 3, 1, 0),
          load(BPF_H, 5, 2, 12),
          mov(0, 0),
          exit_insn()};
}

Insns subprogram(int) {
  return {mov(1, 3),  insn(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 1), exit_insn(), mov_reg(0, 1), add(0, 1),
          exit_insn()};
}

Insns callback(int) {
  return {mov(1, 5),           insn(BPF_LD | BPF_IMM | BPF_DW, 2, BPF_PSEUDO_FUNC, 0, 6),
          insn(0, 0, 0, 0, 0), mov(3, 0),
          mov(4, 0),           call(BPF_FUNC_loop),
          mov(0, 0),           exit_insn(),
          mov(0, 0),           exit_insn()};
}

Insns ring(int map) {
  Insns p;
  load_map(p, 1, map);
  p.insert(p.end(), {mov(2, 8), mov(3, 0), call(BPF_FUNC_ringbuf_reserve), jump_eq(0, 0, 4), put(BPF_DW, 0, 0, 5),
                     mov_reg(1, 0), mov(2, 0), call(BPF_FUNC_ringbuf_submit), mov(0, 0), exit_insn()});
  return p;
}

Insns output(int map) {
  Insns p{put(BPF_DW, 10, -8, 1)};
  load_map(p, 2, map);
  p.insert(p.end(), {insn(BPF_ALU | BPF_MOV | BPF_K, 3, 0, 0, -1), mov_reg(4, 10), add(4, -8), mov(5, 8),
                     call(BPF_FUNC_perf_event_output), mov(0, 0), exit_insn()});
  return p;
}

Insns tail_call(int map) {
  Insns p;
  load_map(p, 2, map);
  p.insert(p.end(), {mov(3, 0), call(BPF_FUNC_tail_call), mov(0, 2), exit_insn()});
  return p;
}

Insns direct_value(int map) {
  Insns p;
  load_map(p, 1, map, BPF_PSEUDO_MAP_VALUE, 0);
  p.insert(p.end(),
           {load(BPF_W, 2, 1, 0), add(2, 1), insn(BPF_STX | BPF_MEM | BPF_W, 1, 2, 0, 0), mov(0, 0), exit_insn()});
  return p;
}

Insns timer(int map) {
  Insns p{put(BPF_W, 10, -4, 0), mov_reg(2, 10), add(2, -4)};
  load_map(p, 1, map);
  p.insert(p.end(), {call(BPF_FUNC_map_lookup_elem), jump_eq(0, 0, 3), mov_reg(1, 0), mov(2, 8),
                     call(BPF_FUNC_probe_read_user), mov(0, 0), exit_insn()});
  return p;
}

constexpr Insns (*kPrograms[])(int) = {constant,   counter,  update, helpers, loop,      context,      packet,
                                       subprogram, callback, ring,   output,  tail_call, direct_value, timer};

}  // namespace

std::vector<bpf_insn> sample_program(Random& random, int map) {
  return random.pick(kPrograms)(map);
}

void mutate(Random& random, std::vector<bpf_insn>& insns) {
  for (u64 n = random.below(4); n > 0 && !insns.empty(); --n) {
    size_t at = random.below(insns.size());
    bpf_insn& target = insns[at];
    switch (random.below(9)) {
      case 0: target.code = static_cast<u8>(random.next()); break;
      case 1: target.dst_reg = random.below(16) & 15; break;
      case 2: target.src_reg = random.below(16) & 15; break;
      case 3: target.off = static_cast<s16>(random.one_in(2) ? random.below(16) - 8 : random.odd()); break;
      case 4: target.imm = static_cast<s32>(random.one_in(2) ? random.below(220) : random.odd()); break;
      case 5: insns.insert(insns.begin() + static_cast<long>(at), bpf_insn(insns[random.below(insns.size())])); break;
      case 6: insns.erase(insns.begin() + static_cast<long>(at)); break;
      case 7: {
        static constexpr u8 ops[] = {BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_OR,  BPF_AND,  BPF_LSH,
                                     BPF_RSH, BPF_NEG, BPF_MOD, BPF_XOR, BPF_MOV, BPF_ARSH, BPF_END};
        static constexpr u8 kinds[] = {BPF_ALU, BPF_ALU64};
        target = insn(random.pick(kinds) | random.pick(ops) | (random.one_in(2) ? BPF_X : BPF_K),
                      static_cast<u32>(random.below(10)), static_cast<u32>(random.below(11)), 0,
                      static_cast<s32>(random.odd()));
        break;
      }
      default: std::swap(target, insns[random.below(insns.size())]);
    }
  }
}

std::vector<u8> sample_btf() {
  static constexpr char strings[] = "\0int\0s\0a\0b\0f\0x\0.data";
  auto info = [](u32 kind, u32 count = 0) { return kind << 24 | count; };
  const u32 types[] = {
      1,  info(BTF_KIND_INT),
      4,  BTF_INT_SIGNED << 24 | 32,  // 1 int
      0,  info(BTF_KIND_PTR),
      1,  // 2 int *
      0,  info(BTF_KIND_ARRAY),
      0,  1,
      1,  4,  // 3 int[4]
      5,  info(BTF_KIND_STRUCT, 2),
      24, 7,
      2,  0,
      9,  3,
      64,  // 4 struct s { int *a; int b[4]; }
      0,  info(BTF_KIND_FUNC_PROTO, 1),
      1,  7,
      2,  // 5 int (int *a)
      11, info(BTF_KIND_FUNC, BTF_FUNC_GLOBAL),
      5,  // 6 f
      13, info(BTF_KIND_VAR),
      1,  BTF_VAR_GLOBAL_ALLOCATED,  // 7 int x
      15, info(BTF_KIND_DATASEC, 1),
      4,  7,
      0,  4,  // 8 .data
      0,  info(BTF_KIND_CONST),
      1,  // 9 const int
      5,  info(BTF_KIND_TYPEDEF),
      4,  // 10 typedef struct s s
      5,  info(BTF_KIND_ENUM, 1),
      4,  7,
      1,  // 11 enum s { a = 1 }
  };
  btf_header header{.magic = BTF_MAGIC,
                    .version = BTF_VERSION,
                    .flags = 0,
                    .hdr_len = sizeof header,
                    .type_off = 0,
                    .type_len = sizeof types,
                    .str_off = sizeof types,
                    .str_len = sizeof strings};
  std::vector<u8> blob(sizeof header + sizeof types + sizeof strings);
  std::memcpy(blob.data(), &header, sizeof header);
  std::memcpy(blob.data() + sizeof header, types, sizeof types);
  std::memcpy(blob.data() + sizeof header + sizeof types, strings, sizeof strings);
  return blob;
}

void mutate(Random& random, std::vector<u8>& bytes) {
  for (u64 n = random.below(4); n > 0; --n) {
    size_t words = bytes.size() / sizeof(u32);
    if (words == 0) return;
    u8* word = bytes.data() + random.below(words) * sizeof(u32);
    u32 value = static_cast<u32>(random.odd());
    switch (random.below(4)) {
      case 0: std::memcpy(word, &value, sizeof value); break;
      case 1: word[random.below(4)] ^= static_cast<u8>(1u << random.below(8)); break;
      case 2: word[3] = static_cast<u8>(random.below(21)); break;
      default: word[0] = static_cast<u8>(random.below(16));
    }
    if (random.one_in(32)) bytes.resize(random.below(bytes.size() + 1));
  }
}

}  // namespace bpfemu::fuzz
