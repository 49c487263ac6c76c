// SPDX-License-Identifier: Apache-2.0
// A link: a program attached to an event, as an object of its own (BPF_LINK_CREATE, BPF_RAW_TRACEPOINT_OPEN).
#pragma once

#include <linux/bpf.h>

#include <memory>

#include "emu/base/object.h"
#include "emu/bpf/program.h"

namespace bpfemu {

class Link : public Object {
 public:
  Link(u32 type, std::shared_ptr<Program> program)
      : Object(ObjectKind::kLink), type_(type), program_(std::move(program)) {}
  u32 type() const { return type_; }
  const std::shared_ptr<Program>& program() const { return program_; }

  // Fills in the part of bpf_link_info that is the type's own. `name` gets the string that the tool's buffer receives.
  virtual void fill_info(bpf_link_info& info, std::string& name) const = 0;
  // What bpf_get_attach_cookie() gives its program.
  virtual u64 cookie() const { return 0; }
  // The type's own lines of fdinfo.
  virtual std::string fdinfo() const { return {}; }
  // BPF_LINK_DETACH: EOPNOTSUPP where the type has none (perf event, raw tracepoint).
  virtual Result<void> detach() { return fail(EOPNOTSUPP); }
  // BPF_LINK_UPDATE: EINVAL where the type has none.
  virtual Result<void> update(std::shared_ptr<Program> /*program*/, u32 /*flags*/, std::shared_ptr<Program> /*old*/) {
    return fail(EINVAL);
  }

 protected:
  u32 type_;
  std::shared_ptr<Program> program_;
};

}  // namespace bpfemu
