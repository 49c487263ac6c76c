// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/prog_tag.h"

#include <bit>
#include <cstring>
#include <vector>

namespace bpfemu {

namespace {

using Digest = std::array<u32, 5>;
constexpr size_t kBlock = 64;

u32 big_endian(const u8* p) { return u32{p[0]} << 24 | u32{p[1]} << 16 | u32{p[2]} << 8 | p[3]; }

// One round of SHA-1 (FIPS 180-4, 6.1.2) over a block.
void add_block(Digest& digest, const u8* block) {
  u32 w[80];
  for (int t = 0; t < 16; ++t) w[t] = big_endian(block + 4 * t);
  for (int t = 16; t < 80; ++t) w[t] = std::rotl(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
  auto [a, b, c, d, e] = digest;
  for (int t = 0; t < 80; ++t) {
    u32 f, k;
    switch (t / 20) {
      case 0: f = (b & c) | (~b & d), k = 0x5a827999; break;
      case 1: f = b ^ c ^ d, k = 0x6ed9eba1; break;
      case 2: f = (b & c) | (b & d) | (c & d), k = 0x8f1bbcdc; break;
      default: f = b ^ c ^ d, k = 0xca62c1d6; break;
    }
    u32 next = std::rotl(a, 5) + f + e + k + w[t];
    e = d, d = c, c = std::rotl(b, 30), b = a, a = next;
  }
  digest[0] += a, digest[1] += b, digest[2] += c, digest[3] += d, digest[4] += e;
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

std::array<u8, BPF_TAG_SIZE> program_tag(std::span<const Insn> insns) {
  Insns plain(insns.begin(), insns.end());
  for (size_t i = 0; i < plain.size(); ++i) {
    if (!loads_map(plain[i])) continue;
    plain[i].imm = 0;
    if (i + 1 < plain.size()) plain[++i].imm = 0;
  }
  auto* bytes = reinterpret_cast<const u8*>(plain.data());
  Digest digest = sha1({bytes, bytes + plain.size() * sizeof(Insn)});
  std::array<u8, BPF_TAG_SIZE> tag;
  for (size_t i = 0; i < tag.size(); ++i) tag[i] = static_cast<u8>(digest[i / 4] >> (24 - i % 4 * 8));
  return tag;
}

}  // namespace bpfemu
