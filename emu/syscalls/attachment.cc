// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/attachment.h"

#include "emu/bpf/attach_types.h"

namespace bpfemu {

namespace {

// BTF names of what programs attach to, where they are not those of SEC().
constexpr std::string_view kPrefixes[] = {"bpf_iter_", "bpf_lsm_", "btf_trace_"};

std::string target_name(const Program& program) {
  const Btf* btf = program.attach_program ? program.attach_program->btf.get() : program.attach_btf.get();
  std::string_view name = btf ? btf->type_name(program.attach_btf_id) : "";
  for (std::string_view prefix : kPrefixes)
    if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
  return std::string(name);
}

// Of programs with a target in BTF: how SEC() begins.
const char* section_of(const Program& program) {
  if (program.type == BPF_PROG_TYPE_EXT) return "freplace";
  switch (program.expected_attach_type) {
    case BPF_TRACE_RAW_TP: return "tp_btf";
    case BPF_TRACE_FENTRY: return "fentry";
    case BPF_TRACE_FEXIT: return "fexit";
    case BPF_MODIFY_RETURN: return "fmod_ret";
    case BPF_TRACE_ITER: return "iter";
    case BPF_LSM_MAC: return "lsm";
    case BPF_LSM_CGROUP: return "lsm_cgroup";
    default: return nullptr;
  }
}

}  // namespace

std::string attachment_name(const Program& program, u32 attach_type) {
  if (const char* section = section_of(program)) return section + ('/' + target_name(program));
  return attach_type < attach_types().size() ? attach_types()[attach_type].name : "program";
}

void note_attachment(BpfCall& call, const Program& program, u32 attach_type, std::string_view target) {
  if (!is_noticed(program)) return;
  std::string name = attachment_name(program, attach_type);
  if (!target.empty()) name.append(" to ").append(target);
  call.system.unmodelled.note("attachment", name);
}

}  // namespace bpfemu
