// SPDX-License-Identifier: Apache-2.0
// fentry, fexit, fmod_ret and LSM programs on functions of the claimed kernel (kernel: kernel/bpf/trampoline.c).
#pragma once

#include <memory>
#include <optional>

#include "emu/bpf/link.h"
#include "emu/probe/point.h"

namespace bpfemu {

// BPF_LINK_TYPE_TRACING of such a program; tp_btf programs have raw tracepoint links.
class TracingLink : public Link {
 public:
  TracingLink(std::shared_ptr<Program> program, std::unique_ptr<Point> point);
  ~TracingLink() override;
  void fill_info(bpf_link_info& info, std::string& name) const override;
  std::string fdinfo() const override;

 private:
  std::unique_ptr<Point> point_;
};

// Where programs are called that are loaded for the program's function and in its sort. None: not modelled there; ENOTSUPP:
// it has too many arguments.
Result<std::optional<Point::Where>> trampoline_place(Probes& probes, const Program& program);

// Null: not modelled there, be it the sort of program or what it is to be attached to. EBUSY: it is attached already
// (kernel: bpf_tracing_prog_attach).
Result<std::shared_ptr<Link>> attach_trampoline(Probes& probes, std::shared_ptr<Program> program, u64 cookie);

}  // namespace bpfemu
