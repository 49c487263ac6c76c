// SPDX-License-Identifier: Apache-2.0
// Instructions by hand, and the verifier's answer to a program of them.
#pragma once

#include <string>

#include "emu/verifier/verifier.h"

namespace bpfemu {

inline Insn op(u8 code, u8 dst, u8 src, s16 off, s32 imm) {
  return {.code = code, .dst_reg = dst, .src_reg = src, .off = off, .imm = imm};
}
inline Insn mov(u8 dst, s32 imm) {
  return op(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, imm);
}
inline Insn copy(u8 dst, u8 src) {
  return op(BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0);
}
inline Insn add(u8 dst, s32 imm) {
  return op(BPF_ALU64 | BPF_ADD | BPF_K, dst, 0, 0, imm);
}
inline Insn add_reg(u8 dst, u8 src) {
  return op(BPF_ALU64 | BPF_ADD | BPF_X, dst, src, 0, 0);
}
inline Insn load(u8 size, u8 dst, u8 src, s16 off) {
  return op(BPF_LDX | BPF_MEM | size, dst, src, off, 0);
}
inline Insn store(u8 size, u8 dst, u8 src, s16 off) {
  return op(BPF_STX | BPF_MEM | size, dst, src, off, 0);
}
inline Insn jump_if(u8 code, u8 dst, s32 imm, s16 off) {
  return op(BPF_JMP | code | BPF_K, dst, 0, off, imm);
}
inline Insn jump(s16 off) {
  return op(BPF_JMP | BPF_JA, 0, 0, off, 0);
}
inline Insn call(u32 helper) {
  return op(BPF_JMP | BPF_CALL, 0, 0, 0, static_cast<s32>(helper));
}
inline Insn call_own(s32 off) {
  return op(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, off);
}
inline Insn leave() {
  return op(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

struct Verdict {
  int error = 0;
  std::string log;
  bool says(const char* text) const { return log.find(text) != std::string::npos; }
  // From "processed N insns", -1 when the log has no such line.
  int processed() const {
    size_t at = log.rfind("processed ");
    return at == std::string::npos ? -1 : std::stoi(log.substr(at + 10));
  }
};

inline constexpr Capabilities kRoot{}, kNobody{false, false, false, false};

struct Asked {
  Capabilities caps = kRoot;
  u32 type = BPF_PROG_TYPE_SOCKET_FILTER;
  u32 level = 2;
  u32 log_size = 1 << 20;
  std::vector<std::shared_ptr<MapObject>> maps = {};  // descriptor 0 and up
};

inline LoadRequest request_of(Insns insns, const Asked& asked) {
  LoadRequest request;
  request.type = asked.type;
  request.insns = std::move(insns);
  request.gpl_compatible = true;
  request.caps = asked.caps;
  request.name = "it";
  request.map_by_fd = [maps = asked.maps](int fd) -> Result<std::shared_ptr<MapObject>> {
    if (fd < 0 || static_cast<size_t>(fd) >= maps.size()) return fail(EBADF);
    return maps[static_cast<size_t>(fd)];
  };
  return request;
}

inline Verdict check(Insns insns, const Asked& asked = {}) {
  VerifierWorld world;
  const LoadRequest request = request_of(std::move(insns), asked);
  VerifierLog log(asked.level, asked.log_size);
  auto verified = verify(world, request, log);
  return {verified ? 0 : verified.error().value, log.text()};
}

}  // namespace bpfemu
