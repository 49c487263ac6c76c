// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/per_cpu_objects.h"

#include <fmt/format.h>

namespace bpfemu {

void PerCpuObjects::find_all() {
  const auto section = btf_->find(".data..percpu", BTF_KIND_DATASEC);
  const btf_type* type = section ? btf_->type(*section) : nullptr;
  if (!type) return;
  const auto* members = reinterpret_cast<const btf_var_secinfo*>(type + 1);
  for (u32 i = 0; i < Btf::vlen(*type); ++i) {
    const char* name = btf_->type_name(members[i].type);
    const u64 address = name ? address_of_(name) : 0;
    if (!address) continue;
    const btf_type* of = btf_->skip_modifiers(btf_->type(members[i].type)->type);
    const bool is_struct = of && Btf::kind(*of) == BTF_KIND_STRUCT;
    const char* structure = is_struct ? btf_->string(of->name_off) : nullptr;
    variables_[address] = {name, structure ? structure : "", members[i].size};
  }
}

u64 PerCpuObjects::variable(u64 symbol, u32 cpu) {
  if (!btf_) return 0;
  if (variables_.empty()) find_all();
  const auto found = variables_.find(symbol);
  if (found == variables_.end()) return 0;
  const Variable& variable = found->second;
  const std::string identity = fmt::format("per-CPU {} {}", variable.name, cpu);
  // No program runs within another one that counts here.
  if (variable.name == "bpf_prog_active") return space_.bytes(identity, variable.size);
  unmodelled_.note("per-CPU variable", variable.name == "runqueues" ? "runqueues, but its cpu" : variable.name);
  if (variable.name != "runqueues") return space_.bytes(identity, variable.size);
  const KernelObject rq = space_.object(space_.structure("rq"), identity);
  rq.set("cpu", s32(cpu));
  return rq.address();
}

}  // namespace bpfemu
