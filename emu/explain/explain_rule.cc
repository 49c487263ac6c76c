// SPDX-License-Identifier: Apache-2.0
// Rejections for rules of program types and helpers, references and loops.
#include <algorithm>
#include <map>

#include "emu/bpf/attach_types.h"
#include "emu/explain/explainer.h"
#include "emu/verifier/prog_types.h"

namespace bpfemu {

namespace {

// The member of a structure at an offset, "" when there is none; `size` of the whole.
struct Member {
  std::string name;
  u32 size = 0;
};
std::optional<Member> member_at(const Btf& btf, std::string_view structure, s64 offset) {
  auto id = btf.find(structure, BTF_KIND_STRUCT);
  if (!id) return std::nullopt;
  const btf_type& type = *btf.type(*id);
  Member found{"", type.size};
  if (offset < 0 || offset >= type.size) return found;
  for (const btf_member& member : btf.members(type)) {
    if (Btf::member_bit_offset(type, member) / 8 > static_cast<u64>(offset)) break;
    found.name = btf.string(member.name_off);
  }
  return found;
}

std::optional<Member> context_member(const Rejection& rejection, std::string_view structure, s64 offset) {
  if (rejection.btf) {
    if (auto found = member_at(*rejection.btf, structure, offset)) return found;
  }
  const Btf* kernel = rejection.info.world->vmlinux.get();
  return kernel ? member_at(*kernel, structure, offset) : std::nullopt;
}

std::string type_name(u32 type) {
  const ProgTypeEntry* entry = prog_type_entry(type);
  return entry ? entry->name : fmt::format("{}", type);
}

// May programs of a type call the helper, at least when attached in some way?
bool has_helper(const ProgTypeEntry& type, u32 helper) {
  if (!type.ops || !type.ops->helper) return false;  // freplace has no rules of its own
  ProgInfo info;
  info.type = type.id;
  info.gpl_compatible = info.sleepable = true;
  for (const AttachType& attach : attach_types()) {
    info.expected_attach_type = attach.id;
    if (type.ops->helper(helper, info)) return true;
  }
  return false;
}

// Types of program that may call a helper.
std::string types_with_helper(u32 helper) {
  constexpr size_t kShown = 6;
  size_t count = 0;
  std::string names;
  for (const ProgTypeEntry& entry : prog_type_entries()) {
    if (!has_helper(entry, helper) || ++count > kShown) continue;
    if (count > 1) names += ", ";
    names += entry.name;
  }
  return count > kShown ? fmt::format("{} and {} more", names, count - kShown) : names;
}

std::string release_of(std::string_view call) {
  if (call.starts_with("bpf_ringbuf_reserve_dynptr"))
    return "bpf_ringbuf_submit_dynptr() or bpf_ringbuf_discard_dynptr()";
  if (call.starts_with("bpf_ringbuf_reserve")) return "bpf_ringbuf_submit() or bpf_ringbuf_discard()";
  if (call.starts_with("bpf_sk")) return "bpf_sk_release()";
  if (call.starts_with("bpf_kptr_xchg")) return "bpf_kptr_xchg() or the structure's release function";
  return {};
}

}  // namespace

void Explainer::explain_context() {
  auto off = number(" off="), size = number(" size=");
  const ProgTypeEntry* entry = prog_type_entry(rejection_.info.type);
  if (!off || !entry) return explain_register();
  std::string_view context = entry->context;
  if (rejection_.info.type == BPF_PROG_TYPE_KPROBE) context = "pt_regs";
  refused(fmt::format("bytes {} to {} of the context", *off, *off + size.value_or(1) - 1));
  auto member = context.empty() ? std::nullopt : context_member(rejection_, context, *off);
  if (!member) return note(fmt::format("the program type is {}", entry->name));
  if (!member->name.empty()) {
    note(fmt::format("that is `{}` of struct {}: program type {} may not {} it so", member->name, context, entry->name,
                     BPF_CLASS(rejection_.insns[*cause_.insn].code) == BPF_LDX ? "read" : "write"));
  } else {
    note(fmt::format("the context of program type {} is struct {}, which has {} bytes", entry->name, context,
                     member->size));
  }
}

void Explainer::explain_unreleased() {
  std::string release;
  for (const Reference& reference : rejection_.references) {
    if (!reference.id) continue;
    u32 insn = static_cast<u32>(reference.insn);
    std::string call = call_text(rejection_, insn);
    label(insn, fmt::format("acquired here: the result of {}", call));
    if (auto branch = last_branch_since(rejection_, insn)) label(*branch, "on the path that goes on from here");
    release = release_of(call);
  }
  refused("still held here");
  if (!release.empty()) report_.help = fmt::format("call {} on every path to the exit", release);
}

void Explainer::explain_helper() {
  std::string call = refused_call();
  if (call.empty()) return explain_register();
  u32 type = rejection_.info.type;
  refused(fmt::format("{} in a program of type {}", call, type_name(type)));
  if (cause_.code != Code::kHelper) return;
  std::string types = types_with_helper(static_cast<u32>(rejection_.insns[*cause_.insn].imm));
  if (types.empty()) {
    report_.help = "use another helper: no program type of this kernel has it without further conditions";
  } else {
    report_.help = fmt::format("use another helper or another program type; those that may call it: {}", types);
  }
}

void Explainer::explain_endless() {
  if (!rejection_.exploring) {
    if (!rejection_.info.caps.bpf) note("programs of an unprivileged loader must not have loops");
    return refused("this jumps back");
  }
  // The path ends with the instruction that would be next.
  if (rejection_.path.size() > 1)
    label(rejection_.path[rejection_.path.size() - 2].insn, "the loop comes back from here");
  refused("reached again, with nothing changed that decides about the end");
}

// The jump back that was taken most often, with how often.
void Explainer::explain_complex() {
  std::map<u32, u32> rounds;
  for (size_t i = 0; i + 1 < rejection_.path.size(); ++i) {
    const Step &from = rejection_.path[i], &to = rejection_.path[i + 1];
    if (from.depth == to.depth && to.insn <= from.insn) ++rounds[from.insn];
  }
  auto busiest = std::max_element(rounds.begin(), rounds.end(), [](auto& a, auto& b) { return a.second < b.second; });
  note(fmt::format("{} instructions were followed over all paths, the limit is 1000000", rejection_.processed));
  if (busiest == rounds.end()) return refused("given up here");
  cause_.insn = busiest->first;
  refused(fmt::format("this loop went round {}{} times on the last path alone", rejection_.path_cut ? "more than " : "",
                      busiest->second));
}

}  // namespace bpfemu
