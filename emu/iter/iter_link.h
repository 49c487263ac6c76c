// SPDX-License-Identifier: Apache-2.0
// BPF_LINK_TYPE_ITER: an iterator program with its subject, from which descriptors are made.
#pragma once

#include "emu/bpf/link.h"
#include "emu/iter/session.h"

namespace bpfemu {

class IterLink : public Link {
 public:
  // ENOENT: the program's target is none; EINVAL: a program that sleeps on a target where that cannot be; EOPNOTSUPP:
  // the target is not modelled; and what the target says (kernel: bpf_iter_link_attach).
  static Result<std::shared_ptr<IterLink>> create(IterWorld& world, Task& task, std::shared_ptr<Program> program,
                                                  const bpf_iter_link_info& info);

  void fill_info(bpf_link_info& info, std::string& name) const override;
  std::string fdinfo() const override;
  // EPERM: the program is not the old one; EINVAL: the new one is another kind.
  Result<void> update(std::shared_ptr<Program> program, u32 flags, std::shared_ptr<Program> old) override;
  // A walk from the beginning: ENOMEM.
  Result<std::unique_ptr<IterSession>> open(Task& reader) {
    return IterSession::open(world_, *subject_, program_, reader);
  }

 private:
  IterLink(IterWorld& world, const IterTarget& target, std::unique_ptr<IterSubject> subject,
           std::shared_ptr<Program> program)
      : Link(BPF_LINK_TYPE_ITER, std::move(program)), world_(world), target_(target), subject_(std::move(subject)) {}

  IterWorld& world_;
  const IterTarget& target_;
  std::unique_ptr<IterSubject> subject_;
};

}  // namespace bpfemu
