// SPDX-License-Identifier: Apache-2.0
// fentry, fexit and freplace programs on functions of other programs (kernel: kernel/bpf/trampoline.c).
#pragma once

#include <memory>

#include "emu/bpf/link.h"

namespace bpfemu {

// Which function of which program, and where the claimed kernel has it.
struct ProgramFunction {
  std::shared_ptr<Program> program;
  u32 btf_id = 0;
  size_t index = 0;  // of the subprogram
  u64 address = 0;
};

// BPF_LINK_TYPE_TRACING with a program as its target.
class ProgramTracingLink : public Link {
 public:
  ProgramTracingLink(std::shared_ptr<Program> program, ProgramFunction target, FunctionHooks& hooks)
      : Link(BPF_LINK_TYPE_TRACING, std::move(program)), target_(std::move(target)), hooks_(hooks) {}
  ~ProgramTracingLink() override;
  void fill_info(bpf_link_info& info, std::string& name) const override;
  std::string fdinfo() const override;

 private:
  ProgramFunction target_;
  FunctionHooks& hooks_;
};

// The verifier has agreed to the target. EBUSY: a program stands in the function's place, or one that is to do so finds
// others on it, or the program is there already; E2BIG: so many may not (kernel: __bpf_trampoline_link_prog).
Result<std::shared_ptr<Link>> attach_to_program(std::shared_ptr<Program> program, ProgramFunction target, u64 cookie);

}  // namespace bpfemu
