// SPDX-License-Identifier: Apache-2.0
// Rejections for what kernel structures, locks, maps and attach targets are.
#include <algorithm>
#include <cstring>

#include "emu/explain/explainer.h"
#include "emu/isa/opcode.h"

namespace bpfemu {

namespace {

// "`pid` is the 4 bytes at 2416", "" for what has no name or no size.
std::string member_text(const Btf& btf, const btf_type& structure, const btf_member& member) {
  const char* name = btf.string(member.name_off);
  auto size = btf.size_of(member.type);
  if (!name || !*name || !size || Btf::member_bitfield_size(structure, member)) return {};
  return fmt::format("`{}` is the {} bytes at {}", name, *size, Btf::member_bit_offset(structure, member) / 8);
}

}  // namespace

const btf_member* member_at(const Btf& btf, const btf_type& structure, s64 offset) {
  const btf_member* found = nullptr;
  if (offset < 0 || offset >= structure.size) return found;
  for (const btf_member& member : btf.members(structure)) {
    if (Btf::member_bit_offset(structure, member) / 8 > static_cast<u64>(offset)) break;
    found = &member;
  }
  return found;
}

void Explainer::explain_kernel_field() {
  const Insn* insn = cause_.insn ? &rejection_.insns[*cause_.insn] : nullptr;
  const bool reads = insn && BPF_CLASS(insn->code) == BPF_LDX && subject();
  const Reg* reg = reads ? subject() : nullptr;
  const bool plain = reg && base_type(reg->type) == kPtrToBtfId && reg->btf() && reg->var_off.equals(0) &&
                     !(reg->type & (kUser | kPercpu));
  const btf_type* type = plain ? reg->btf()->type(reg->btf_id()) : nullptr;
  if (!type || (Btf::kind(*type) != BTF_KIND_STRUCT && Btf::kind(*type) != BTF_KIND_UNION)) return explain_register();
  const char* name = reg->btf()->type_name(reg->btf_id());
  label_origin(*cause_.reg, "the pointer");
  const s64 size = access_size(insn->code), off = s64{reg->off} + insn->off;
  refused(fmt::format("bytes {} to {} of struct {}, which has {}", off, off + size - 1, name, type->size));
  const btf_member* member = member_at(*reg->btf(), *type, off);
  const std::string what = member ? member_text(*reg->btf(), *type, *member) : std::string();
  if (!what.empty()) note(what);
}

// The lock that is held is the one taken last.
void Explainer::explain_lock() {
  constexpr std::string_view kWhileHeld[] = {"is missing", "while holding", "inside bpf_spin_lock", "different lock"};
  const bool held = cause_.insn && cause_.message &&
                    std::any_of(std::begin(kWhileHeld), std::end(kWhileHeld), [this](std::string_view part) {
                      return cause_.message->format.find(part) != std::string::npos;
                    });
  if (!held || rejection_.path.empty()) return explain_register();
  auto locks = [this](const Step& step) {
    const Insn& insn = rejection_.insns[step.insn];
    return is_helper_call(insn) && insn.imm == BPF_FUNC_spin_lock;
  };
  // The path's last step is the refused instruction itself.
  auto taken = std::find_if(rejection_.path.rbegin() + 1, rejection_.path.rend(), locks);
  if (taken == rejection_.path.rend()) return explain_register();
  label(taken->insn, "locked here");
  refused("still locked here");
}

void Explainer::explain_map_use() {
  if (auto type = number("map_type ")) {
    const MapType* entry = map_type(static_cast<u32>(*type));
    if (entry) note(fmt::format("the map is of type {}", entry->name));
  }
  explain_register();
}

void Explainer::explain_target() {
  if (cause_.message) return explain_register();
  note(fmt::format("the kernel lets no such program attach to `{}`", rejection_.info.attach_func_name));
}

void Explainer::explain_other() {
  if (!cause_.message)
    note(fmt::format("the verifier says nothing of the reason; the error is {}", std::strerror(rejection_.error)));
  explain_register();
}

}  // namespace bpfemu
