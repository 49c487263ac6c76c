// SPDX-License-Identifier: Apache-2.0
#include "emu/iter/iter_link.h"

#include <fmt/format.h>

namespace bpfemu {

Result<std::shared_ptr<IterLink>> IterLink::create(IterWorld& world, Task& task, std::shared_ptr<Program> program,
                                                   const bpf_iter_link_info& info) {
  const char* function = program->attach_btf ? program->attach_btf->type_name(program->attach_btf_id) : nullptr;
  const IterTarget* target = function ? iter_target(function) : nullptr;
  if (!target) return fail(ENOENT);
  if (program->verified.sleepable && !(target->features & kResched)) return fail(EINVAL);
  const MakeSubject make = subject_of(*target);
  if (!make) return fail(EOPNOTSUPP);
  auto subject = TRY(make({world, task, *program, info}));
  return std::shared_ptr<IterLink>(new IterLink(world, *target, std::move(subject), std::move(program)));
}

void IterLink::fill_info(bpf_link_info& info, std::string& name) const {
  name = target_.name;
  subject_->fill_info(info);
}

std::string IterLink::fdinfo() const {
  return fmt::format("target_name:\t{}\n", target_.name) + subject_->fdinfo();
}

Result<void> IterLink::update(std::shared_ptr<Program> program, u32 /*flags*/, std::shared_ptr<Program> old) {
  if (old && program_ != old) return fail(EPERM);
  if (program->type != program_->type || program->expected_attach_type != program_->expected_attach_type ||
      program->attach_btf_id != program_->attach_btf_id)
    return fail(EINVAL);
  program_ = std::move(program);
  return {};
}

}  // namespace bpfemu
