// SPDX-License-Identifier: Apache-2.0
// Relocations that the kernel is asked to apply, as light skeletons do (kernel: check_core_relo, bpf_core_patch_insn).
#include "emu/btf/core_relo.h"
#include "emu/btf/kinds.h"

#include <limits>

#include "emu/verifier/btf_kind.h"
#include "emu/verifier/checker.h"
#include "emu/verifier/info_record.h"

namespace bpfemu {

namespace {

constexpr s32 kPoison = 0xbad2310;  // a helper that there is not

u32 access_bytes(const Insn& insn) {
  switch (BPF_SIZE(insn.code)) {
    case BPF_DW: return 8;
    case BPF_W: return 4;
    case BPF_H: return 2;
    default: return 1;
  }
}

std::optional<u8> size_code(u32 bytes) {
  switch (bytes) {
    case 8: return BPF_DW;
    case 4: return BPF_W;
    case 2: return BPF_H;
    case 1: return BPF_B;
    default: return std::nullopt;
  }
}

void poison(Insn& insn) {
  insn = {};
  insn.code = u8{BPF_JMP} | u8{BPF_CALL};
  insn.imm = kPoison;
}

Result<void> patch_access(Insn& insn, const CoreValue& value) {
  if (value.check && insn.off != static_cast<s64>(value.original)) return fail(EINVAL);
  if (value.value > static_cast<u64>(std::numeric_limits<s16>::max())) return fail(ERANGE);
  if (value.bad_resize) {
    poison(insn);
    return {};
  }
  insn.off = static_cast<s16>(value.value);
  if (value.size == value.original_size) return {};
  const auto size = size_code(value.size);
  if (access_bytes(insn) != value.original_size || !size) return fail(EINVAL);
  insn.code = static_cast<u8>(BPF_MODE(insn.code) | *size | BPF_CLASS(insn.code));
  return {};
}

// `insn` is followed by another one where it has two slots.
Result<void> patch(Insn* insn, const CoreValue& value) {
  const bool wide = insn->code == (BPF_LD | BPF_IMM | BPF_DW);
  switch (BPF_CLASS(insn->code)) {
    case BPF_ALU:
    case BPF_ALU64:
      if (BPF_SRC(insn->code) != BPF_K) return fail(EINVAL);
      if (value.poison) break;
      if (value.check && static_cast<u64>(s64{insn->imm}) != value.original) return fail(EINVAL);
      insn->imm = static_cast<s32>(value.value);
      return {};
    case BPF_LDX:
    case BPF_ST:
    case BPF_STX:
      if (value.poison) break;
      return patch_access(*insn, value);
    case BPF_LD: {
      if (!wide || insn[0].src_reg || insn[0].off || insn[1].code || insn[1].dst_reg || insn[1].src_reg || insn[1].off)
        return fail(EINVAL);
      if (value.poison) {
        poison(insn[1]);
        break;
      }
      const u64 held = static_cast<u32>(insn[0].imm) | u64{static_cast<u32>(insn[1].imm)} << 32;
      if (value.check && held != value.original) return fail(EINVAL);
      insn[0].imm = static_cast<s32>(value.value);
      insn[1].imm = static_cast<s32>(value.value >> 32);
      return {};
    }
    default: return fail(EINVAL);
  }
  poison(*insn);
  return {};
}

}  // namespace

Check Checker::check_core_relos() {
  const u32 count = request_.core_relo_cnt, size = request_.core_relo_rec_size;
  if (!count) return {};
  if (count > std::numeric_limits<s32>::max() / sizeof(bpf_core_relo) || !is_record_size(size, sizeof(bpf_core_relo)))
    return fail(EINVAL);
  if (!world_.vmlinux) return fail(EINVAL);
  CoreRelocator relocator(*request_.btf, *world_.vmlinux);
  for (u32 i = 0; i < count; ++i) {
    const auto relo = record_at<bpf_core_relo>(request_.core_relos, size, i);
    if (!relo) {
      if (relo.error().value == E2BIG) log_.print("nonzero tailing record in core_relo");
      return std::unexpected(relo.error());
    }
    const u32 insn = relo->insn_off / 8;
    if (relo->insn_off % 8 || insn >= insn_count()) {
      return reject(EINVAL, "Invalid core_relo[{}].insn_off:{} prog->len:{}\n", i, relo->insn_off, insn_count());
    }
    if (!request_.btf->type(relo->type_id)) return reject(EINVAL, "relo #{}: bad type id {}\n", i, relo->type_id);
    const bool cut_off = insns_[insn].code == (BPF_LD | BPF_IMM | BPF_DW) && insn + 1 >= insn_count();
    if (cut_off) return fail(EINVAL);
    if (relo->kind != BPF_CORE_TYPE_ID_LOCAL) {
      const btf_type& type = *request_.btf->type(relo->type_id);
      for (u32 id : relocator.candidates(relo->type_id))
        log_.print("CO-RE relocating {} {}: found target candidate [{}]\n", kBtfKinds[Btf::kind(type)].name,
                   request_.btf->string(type.name_off), id);
    }
    const auto value = relocator.resolve(*relo);
    if (!value) return std::unexpected(value.error());
    if (auto patched = patch(&insns_[insn], *value); !patched) return std::unexpected(patched.error());
  }
  return {};
}

}  // namespace bpfemu
