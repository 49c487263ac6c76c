// SPDX-License-Identifier: Apache-2.0
// Rejections for rules of program types and helpers, references and loops.
#include <algorithm>
#include <map>

#include "emu/bpf/attach_types.h"
#include "emu/explain/explainer.h"
#include "emu/verifier/prog_types.h"

namespace bpfemu {

namespace {

// What a structure has at an offset, "" when that is nothing; `size` of the whole.
struct Member {
  std::string name;
  u32 size = 0;
};
std::optional<Member> member_of(const Btf& btf, std::string_view structure, s64 offset) {
  auto id = btf.find(structure, BTF_KIND_STRUCT);
  if (!id) return std::nullopt;
  const btf_type& type = *btf.type(*id);
  const btf_member* member = member_at(btf, type, offset);
  return Member{member ? btf.string(member->name_off) : "", type.size};
}

std::optional<Member> context_member(const Rejection& rejection, std::string_view structure, s64 offset) {
  if (rejection.btf) {
    if (auto found = member_of(*rejection.btf, structure, offset)) return found;
  }
  const Btf* kernel = rejection.info.world->vmlinux.get();
  return kernel ? member_of(*kernel, structure, offset) : std::nullopt;
}

// What a program's context is made of.
struct Context {
  std::string_view structure;  // "": none with members
  std::string what;
  s64 begin = 0, end = 0;  // of what may be accessed at all; end 0: unknown
  bool read_only = false;
};

Context context_of(const Rejection& rejection) {
  constexpr s64 kMaxRecord = 8192, kMaxArguments = 12;  // PERF_MAX_TRACE_SIZE, MAX_BPF_FUNC_ARGS
  constexpr s64 kWord = sizeof(u64);
  switch (rejection.info.type) {
    case BPF_PROG_TYPE_TRACEPOINT: return {"", "the tracepoint's record", kWord, kMaxRecord, true};
    case BPF_PROG_TYPE_RAW_TRACEPOINT:
    case BPF_PROG_TYPE_TRACING:
    case BPF_PROG_TYPE_LSM: return {"", "an array of 8-byte arguments", 0, kMaxArguments * kWord, true};
    default: break;
  }
  const bool kprobe = rejection.info.type == BPF_PROG_TYPE_KPROBE;
  const std::string_view structure = kprobe ? "pt_regs" : prog_type_entry(rejection.info.type)->context;
  const auto member = structure.empty() ? std::nullopt : context_member(rejection, structure, 0);
  const bool read_only = kprobe || rejection.info.type == BPF_PROG_TYPE_PERF_EVENT;
  return {structure, fmt::format("struct {}", structure), 0, member ? member->size : 0, read_only};
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
  if (!off || !size || !entry || !cause_.insn) return explain_register();
  refused(fmt::format("bytes {} to {} of the context", *off, *off + *size - 1));
  const bool reads = BPF_CLASS(rejection_.insns[*cause_.insn].code) == BPF_LDX;
  const Context context = context_of(rejection_);
  if (!reads && context.read_only) {
    report_.help = "copy what you want to change into a variable";
    return note(fmt::format("programs of type {} only read their context", entry->name));
  }
  if (*size && *off % *size != 0) {
    report_.help = "read each field whole, at its own offset";
    return note(fmt::format("{} is not a multiple of the {} bytes that are accessed", *off, *size));
  }
  if (*off < context.begin) {
    report_.help = "read the fields, which follow from byte 8 on; id, comm and the like have helpers";
    return note(fmt::format("the first {} bytes of the record are the kernel's own", context.begin));
  }
  if (context.end && *off + *size > context.end) {
    report_.help = "read only what the context has: is it declared as what this program type gets?";
    return note(fmt::format("the context of program type {} is {}, which has {} bytes", entry->name, context.what,
                            context.end));
  }
  auto member = context.structure.empty() ? std::nullopt : context_member(rejection_, context.structure, *off);
  if (!member || member->name.empty()) return note(fmt::format("the program type is {}", entry->name));
  note(fmt::format("that is `{}` of {}: program type {} may not {} it so", member->name, context.what, entry->name,
                   reads ? "read" : "write"));
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

// Which programs may be sleepable: kernel, check_attach_btf_id; bpf_iter_prog_supported for iterators.
std::string Explainer::how_to_sleep() const {
  const u32 type = rejection_.info.type;
  const bool reads = rejection_.insns[*cause_.insn].imm == BPF_FUNC_copy_from_user;
  const std::string_view instead = reads ? "bpf_probe_read_user(), which reads what is in memory" : "another helper";
  switch (type) {
    case BPF_PROG_TYPE_KPROBE:
      return fmt::format("of type kprobe only uprobes may sleep (SEC(\"uprobe.s/...\")); in a kprobe use {}", instead);
    case BPF_PROG_TYPE_LSM:
      return fmt::format("make it sleepable (SEC(\"lsm.s/...\")), if the hook is one of those that may, or use {}", instead);
    case BPF_PROG_TYPE_TRACING:
      switch (rejection_.info.expected_attach_type) {
        case BPF_TRACE_RAW_TP: break;
        case BPF_TRACE_ITER: return "make it sleepable: SEC(\"iter.s/...\")";
        default:
          return fmt::format("make it sleepable (SEC(\"fentry.s/...\")) and attach it to a function that may sleep, or use {}",
                             instead);
      }
      break;
    default: break;
  }
  return fmt::format("programs of this kind never sleep: use {}", instead);
}

void Explainer::explain_helper() {
  std::string call = refused_call();
  if (call.empty()) return explain_register();
  u32 type = rejection_.info.type;
  refused(fmt::format("{} in a program of type {}", call, type_name(type)));
  if (cause_.code == Code::kMightSleep) report_.help = how_to_sleep();
  if (cause_.code != Code::kHelper) return;
  std::string types = types_with_helper(static_cast<u32>(rejection_.insns[*cause_.insn].imm));
  if (cause_.help) return;
  const ProgTypeEntry* own = prog_type_entry(type);
  if (own && has_helper(*own, static_cast<u32>(rejection_.insns[*cause_.insn].imm))) {
    report_.help = fmt::format("programs of type {} may call it, but not attached as this one is", type_name(type));
  } else if (types.empty()) {
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
  if (auto jumps = number("sequence of ")) {
    note(fmt::format("{} branches wait to be followed, the limit is 8192", *jumps));
    return refused("given up here");
  }
  note(fmt::format("{} instructions were followed over all paths, the limit is 1000000", rejection_.processed));
  if (busiest == rounds.end()) return refused("given up here");
  cause_.insn = busiest->first;
  refused(fmt::format("this loop went round {}{} times on the last path alone", rejection_.path_cut ? "more than " : "",
                      busiest->second));
}

}  // namespace bpfemu
