// SPDX-License-Identifier: Apache-2.0
#include "emu/bpf/attach_types.h"

#include "emu/abi/kernel_version.h"

namespace bpfemu {

namespace {

constexpr AttachType kAttachTypes[] = {
#define ATTACH_TYPE(id, NAME, name, major, minor, PROGRAM, to) \
  {BPF_##NAME, #name, kernel_version(major, minor), BPF_PROG_TYPE_##PROGRAM, AttachTo::to},
#include "emu/abi/attach_types.inc"
};

struct LinkType {
  u32 id;
  const char* name;
};
constexpr LinkType kLinkTypes[] = {
#define LINK_TYPE(id, NAME, name, major, minor) {BPF_LINK_TYPE_##NAME, #name},
#include "emu/abi/link_types.inc"
};

Result<void> valid(bool good) {
  return good ? Result<void>{} : fail(EINVAL);
}

bool belongs_to(u32 number, const Program& program) {
  const AttachType* type = attach_type(number);
  return type && type->prog_type == program.type;
}

}  // namespace

std::span<const AttachType> attach_types() {
  return kAttachTypes;
}

const AttachType* attach_type(u32 number) {
  if (number >= std::size(kAttachTypes) || kAttachTypes[number].to == AttachTo::kOther) return nullptr;
  return &kAttachTypes[number];
}

Result<void> check_attach_type(const Program& program, u32 number, const Capabilities& caps) {
  switch (program.type) {
    case BPF_PROG_TYPE_CGROUP_SOCK:
    case BPF_PROG_TYPE_CGROUP_SOCK_ADDR:
    case BPF_PROG_TYPE_CGROUP_SOCKOPT:
    case BPF_PROG_TYPE_SK_LOOKUP: return valid(number == program.expected_attach_type);
    case BPF_PROG_TYPE_CGROUP_SKB:
      // Anyone may load these, so that attaching is what takes the capability.
      if (!caps.net_admin) return fail(EPERM);
      return valid(belongs_to(number, program));
    case BPF_PROG_TYPE_KPROBE:
      return valid(program.expected_attach_type != BPF_TRACE_KPROBE_MULTI || number == BPF_TRACE_KPROBE_MULTI);
    default: return {};
  }
}

Result<void> check_link_type(const Program& program, u32 number) {
  switch (program.type) {
    case BPF_PROG_TYPE_EXT: return {};
    case BPF_PROG_TYPE_PERF_EVENT:
    case BPF_PROG_TYPE_TRACEPOINT: return valid(number == BPF_PERF_EVENT);
    case BPF_PROG_TYPE_KPROBE: return valid(number == BPF_PERF_EVENT || number == BPF_TRACE_KPROBE_MULTI);
    default: return valid(belongs_to(number, program));
  }
}

const char* link_type_name(u32 type) {
  for (const LinkType& line : kLinkTypes) {
    if (line.id == type) return line.name;
  }
  return "<invalid>";
}

}  // namespace bpfemu
