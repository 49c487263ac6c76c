// SPDX-License-Identifier: Apache-2.0
// A refused program and what must be said of it.
#pragma once

#include <functional>

#include "emu/explain/report.h"
#include "tests/unit/verifier/maps.h"

namespace bpfemu {

inline constexpr const char* kNowhere = "-";

struct Case {
  Code code;
  const char* help;  // part of it
  const char* last;  // the last label, where it was refused; "": any; kNowhere: there must be none
  Insns refused;
  Insns followed = {};  // as the help says; empty: that takes more than other instructions
  u32 type = BPF_PROG_TYPE_SOCKET_FILTER;
  Capabilities caps = kRoot;
  bool gpl = true;
  // What it is loaded with beside: an attach target, BTF. Null: nothing.
  std::function<void(LoadRequest&)> loaded_with = nullptr;
  bool kernel_btf = true;  // false: a kernel without
};

// Programs that need BTF, of their own or of the kernel.
std::vector<Case> cases_with_btf();

// The claimed kernel's.
const std::shared_ptr<const Btf>& kernel_btf();

// What the programs find at map descriptors.
enum CaseMap : s32 { kHashMap, kRingMap, kLockMap, kTimerMap, kKptrMap, kSockMap, kWriteOnlyMap };
// Gives the maps types with special fields.
void describe_maps(const std::vector<std::shared_ptr<MapObject>>& maps);

inline Insn map_address(u8 reg, s32 map) {
  return op(BPF_LD | BPF_IMM | BPF_DW, reg, BPF_PSEUDO_MAP_FD, 0, map);
}
inline Insn second_half() {
  return op(0, 0, 0, 0, 0);
}
inline Insns joined(Insns a, const Insns& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
inline Insns with_end(Insns insns) {
  return joined(std::move(insns), {mov(0, 0), leave()});
}

}  // namespace bpfemu
