// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/prog_tag.h"

#include <bit>
#include <cstring>

#include "emu/verifier/fixup_dump.h"

namespace bpfemu {

namespace {

using Digest = std::array<u32, 5>;
constexpr size_t kBlock = 64;

u32 big_endian(const u8* p) { return u32{p[0]} << 24 | u32{p[1]} << 16 | u32{p[2]} << 8 | p[3]; }

u32 choose(u32 b, u32 c, u32 d) { return d ^ (b & (c ^ d)); }
u32 parity(u32 b, u32 c, u32 d) { return b ^ c ^ d; }
u32 majority(u32 b, u32 c, u32 d) { return (b & c) | (d & (b | c)); }

// 20 of the 80 steps of a block, each on a piece of the message.
template <u32 (*mix)(u32, u32, u32), u32 constant>
void twenty_steps(Digest& digest, const u32* w) {
  auto [a, b, c, d, e] = digest;
#pragma GCC unroll 20
  for (int t = 0; t < 20; ++t) {
    const u32 next = std::rotl(a, 5) + mix(b, c, d) + e + constant + w[t];
    e = d, d = c, c = std::rotl(b, 30), b = a, a = next;
  }
  digest = {a, b, c, d, e};
}

// SHA-1 of one block more (FIPS 180-4, 6.1.2).
void add_block(Digest& digest, const u8* block) {
  u32 w[80];
  for (int t = 0; t < 16; ++t) w[t] = big_endian(block + 4 * t);
  for (int t = 16; t < 80; ++t) w[t] = std::rotl(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
  Digest next = digest;
  twenty_steps<choose, 0x5a827999>(next, w);
  twenty_steps<parity, 0x6ed9eba1>(next, w + 20);
  twenty_steps<majority, 0x8f1bbcdc>(next, w + 40);
  twenty_steps<parity, 0xca62c1d6>(next, w + 60);
  for (size_t i = 0; i < digest.size(); ++i) digest[i] += next[i];
}

Digest sha1(std::vector<u8> bytes) {
  u64 bits = bytes.size() * 8;
  bytes.push_back(0x80);
  while (bytes.size() % kBlock != kBlock - 8) bytes.push_back(0);
  for (int shift = 56; shift >= 0; shift -= 8) bytes.push_back(static_cast<u8>(bits >> shift));
  Digest digest{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
  for (size_t at = 0; at < bytes.size(); at += kBlock) add_block(digest, bytes.data() + at);
  return digest;
}

bool loads_map(const Insn& insn) {
  return insn.code == (BPF_LD | BPF_IMM | BPF_DW) &&
         (insn.src_reg == BPF_PSEUDO_MAP_FD || insn.src_reg == BPF_PSEUDO_MAP_VALUE);
}

}  // namespace

ProgTag program_tag(std::span<const Insn> insns) {
  Insns plain(insns.begin(), insns.end());
  for (size_t i = 0; i < plain.size(); ++i) {
    if (!loads_map(plain[i])) continue;
    plain[i].imm = 0;
    if (i + 1 < plain.size()) plain[++i].imm = 0;
  }
  auto* bytes = reinterpret_cast<const u8*>(plain.data());
  Digest digest = sha1({bytes, bytes + plain.size() * sizeof(Insn)});
  ProgTag tag;
  for (size_t i = 0; i < tag.size(); ++i) tag[i] = static_cast<u8>(digest[i / 4] >> (24 - i % 4 * 8));
  return tag;
}

std::vector<ProgTag> function_tags(const Program& program, const VerifierWorld& world) {
  const auto& starts = program.verified.shown.subprogram_starts;
  if (starts.size() < 2) return {};
  const Insns insns = jit_insns(program, world);
  std::vector<ProgTag> tags;
  for (size_t i = 0; i < starts.size(); ++i) {
    const size_t end = i + 1 < starts.size() ? starts[i + 1] : insns.size();
    tags.push_back(program_tag(std::span(insns).subspan(starts[i], end - starts[i])));
  }
  return tags;
}

}  // namespace bpfemu
