// SPDX-License-Identifier: Apache-2.0
// Decoder and disassembler.
#include <catch2/catch.hpp>
#include <set>

#include "emu/isa/disasm.h"
#include "emu/isa/opcode.h"

namespace bpfemu {
namespace {

std::string text(std::initializer_list<Insn> insns, bool allow_ptr_leaks = true) {
  const Insns list(insns);
  DisasmNames names;
  names.helper = [](u32 id) -> std::string_view { return id == 1 ? "bpf_map_lookup_elem" : ""; };
  return disassemble(list, 0, names, allow_ptr_leaks);
}

}  // namespace

TEST_CASE("every opcode decodes to itself") {
  for (const OpcodeInfo& info : opcodes()) {
    INFO(info.name);
    Insn insn{info.code, 1, 0, 0, 0};
    if (info.selector == OpcodeInfo::kImm) insn.imm = info.selected;
    if (info.selector == OpcodeInfo::kSource) insn.src_reg = static_cast<u8>(info.selected & 15);
    REQUIRE(decode(insn) == &info);
    REQUIRE(&opcode_info(info.opcode) == &info);
  }
}

TEST_CASE("what does not exist does not decode") {
  CHECK(decode({BPF_ALU64 | BPF_END | BPF_TO_LE, 0, 0, 0, 16}) == nullptr);
  CHECK(decode({BPF_ALU | BPF_END | BPF_TO_LE, 0, 0, 0, 17}) == nullptr);
  CHECK(decode({BPF_STX | BPF_ATOMIC | BPF_DW, 0, 0, 0, BPF_SUB}) == nullptr);
  CHECK(decode({BPF_STX | BPF_ATOMIC | BPF_H, 0, 0, 0, BPF_ADD}) == nullptr);
  CHECK(decode({BPF_LD | BPF_IMM | BPF_DW, 0, 7, 0, 0}) == nullptr);
  CHECK(decode({BPF_JMP | BPF_CALL, 0, 3, 0, 0}) == nullptr);
  CHECK(decode({BPF_LD | BPF_ABS | BPF_DW, 0, 0, 0, 0}) == nullptr);
  CHECK(decode({0xff, 0, 0, 0, 0}) == nullptr);
}

// Kernel: bpf_opcode_in_insntable has this many codes in 6.1.
TEST_CASE("tools may use the kernel's codes and no others") {
  std::set<u8> codes;
  for (u32 code = 0; code < 256; ++code)
    if (is_known_code(static_cast<u8>(code))) codes.insert(static_cast<u8>(code));
  CHECK(codes.size() == 52 + 45 + 3 + 12 + 2 + 7);
  CHECK_FALSE(is_known_code(BPF_LDX | kProbeMem | BPF_W));
  CHECK_FALSE(is_known_code(BPF_JMP | kTailCall));
  CHECK_FALSE(is_known_code(BPF_ST | kNoSpec));
  CHECK_FALSE(is_known_code(0));
}

// Recorded from the kernel's own print_bpf_insn, 6.1.
TEST_CASE("texts are the kernel's") {
  CHECK(text({{0xb7, 0, 0, 0, 0}}) == "(b7) r0 = 0");
  CHECK(text({{0xb4, 1, 0, 0, -3}}) == "(b4) w1 = -3");
  CHECK(text({{0xbf, 1, 10, 0, 0}}) == "(bf) r1 = r10");
  CHECK(text({{0x97, 3, 0, 0, 7}}) == "(97) r3 %= 7");
  CHECK(text({{0xcc, 3, 4, 0, 0}}) == "(cc) w3 s>>= w4");
  CHECK(text({{0x87, 2, 0, 0, 0}}) == "(87) r2 = -r2");
  CHECK(text({{0x84, 2, 0, 0, 0}}) == "(84) w2 = -w2");
  CHECK(text({{0xd4, 5, 0, 0, 32}}) == "(d4) r5 = le32 r5");
  CHECK(text({{0xdc, 5, 0, 0, 16}}) == "(dc) r5 = be16 r5");
  CHECK(text({{0xdc, 5, 0, 0, 17}}) == "(dc) r5 = be17 r5");
  CHECK(text({{0x05, 0, 0, 7, 0}}) == "(05) goto pc+7");
  CHECK(text({{0x15, 0, 0, -2, 0}}) == "(15) if r0 == 0x0 goto pc-2");
  CHECK(text({{0x66, 2, 0, 1, -1}}) == "(66) if w2 s> 0xffffffff goto pc+1");
  CHECK(text({{0x4d, 2, 3, 0, 0}}) == "(4d) if r2 & r3 goto pc+0");
  CHECK(text({{0x95, 0, 0, 0, 0}}) == "(95) exit");
  CHECK(text({{0x85, 0, 0, 0, 1}}) == "(85) call bpf_map_lookup_elem#1");
  CHECK(text({{0x85, 0, 0, 0, 9999}}) == "(85) call unknown#9999");
  CHECK(text({{0x85, 0, 1, 0, 5}}) == "(85) call pc+5");
  CHECK(text({{0x85, 0, 1, 0, -5}}) == "(85) call pc-5");
  CHECK(text({{0x85, 0, 2, 0, 5}}) == "(85) call kernel-function#5");
  CHECK(text({{0x85, 0, 3, 0, 5}}) == "(85) call unknown#5");
  CHECK(text({{0x18, 1, 0, 0, 5}, {0, 0, 0, 0, 1}}) == "(18) r1 = 0x100000005");
  CHECK(text({{0x18, 1, 0, 0, 0}, {0, 0, 0, 0, 0}}) == "(18) r1 = 0x0");
  CHECK(text({{0x18, 1, 1, 0, 5}, {0, 0, 0, 0, 1}}, false) == "(18) r1 = 0x0");
  CHECK(text({{0x18, 1, 4, 0, 5}, {0, 0, 0, 0, 1}}, false) == "(18) r1 = 0x100000005");
  CHECK(text({{0x18, 1, 9, 0, 5}, {0, 0, 0, 0, 1}}, false) == "(18) r1 = 0x100000005");
  CHECK(text({{0x28, 0, 0, 0, 12}}) == "(28) r0 = *(u16 *)skb[12]");
  CHECK(text({{0x50, 0, 3, 0, 12}}) == "(50) r0 = *(u8 *)skb[r3 + 12]");
  CHECK(text({{0x61, 1, 2, -4, 0}}) == "(61) r1 = *(u32 *)(r2 -4)");
  CHECK(text({{0x72, 10, 0, -4, 9}}) == "(72) *(u8 *)(r10 -4) = 9");
  CHECK(text({{0x7b, 10, 2, 0, 0}}) == "(7b) *(u64 *)(r10 +0) = r2");
  CHECK(text({{0xc3, 10, 2, 0, 0}}) == "(c3) lock *(u32 *)(r10 +0) += r2");
  CHECK(text({{0xdb, 10, 2, 8, 0x41}}) == "(db) r2 = atomic64_fetch_or((u64 *)(r10 +8), r2)");
  CHECK(text({{0xc3, 10, 2, 8, 0xe1}}) == "(c3) r2 = atomic_xchg((u32 *)(r10 +8), r2)");
  CHECK(text({{0xdb, 10, 2, 8, 0xf1}}) == "(db) r0 = atomic64_cmpxchg((u64 *)(r10 +8), r0, r2)");
  CHECK(text({{0xdb, 10, 2, 8, 0x10}}) == "BUG_db");
  CHECK(text({{0xc2, 0, 0, 0, 0}}) == "(c2) nospec");
}

TEST_CASE("names stand in for numbers") {
  const Insns insns{{0x18, 1, 1, 0, 5}, {0, 0, 0, 0, 0}, {0x85, 0, 1, 0, 5}};
  DisasmNames names;
  names.call = [](const Insn& insn) -> std::optional<std::string> {
    if (insn.imm != 5) return std::nullopt;
    return "+5#f";
  };
  names.constant = [](const Insn&, u64 value) { return "map[id:" + std::to_string(value) + "]"; };
  CHECK(disassemble(insns, 0, names, true) == "(18) r1 = map[id:5]");
  CHECK(disassemble(insns, 2, names, true) == "(85) call pc+5#f");
}

}  // namespace bpfemu
