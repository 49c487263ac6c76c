// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/bpf_cgroup.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cstddef>
#include <vector>

#include "emu/kernel/cgroup_objects.h"
#include "emu/runtime/passing.h"
#include "emu/syscalls/attachment.h"
#include "emu/syscalls/cgroup_calls.h"
#include "emu/syscalls/cgroup_lsm.h"
#include "emu/syscalls/node_file.h"
#include "emu/vfs/filesystems.h"

namespace bpfemu {

namespace {

// A folder of the host's own hierarchy, of which the model knows nothing.
bool is_hosts_cgroup(Task& task, u32 fd) {
  const auto copy = task.reopen_fd(static_cast<int>(fd), O_PATH);
  const UniqueFd folder(copy ? *copy : -1);
  struct statfs fs;
  return folder && ::fstatfs(folder.get(), &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

// Where among a cgroup's programs one is that is attached as `type`. What no call of the tree leads to is attached, and
// noted.
Result<u32> place_for(BpfCall& call, const Program& program, u32 type) {
  TRY(check_runnable(call.system, program));
  if (const char* const what = never_passed(type)) call.system.unmodelled.note(what);
  if (type != BPF_LSM_CGROUP) return type;
  auto place = call.system.cgroup_lsm->place_for(program);
  if (!place && place.error().value == EOPNOTSUPP) note_attachment(call, program, type);
  return place;
}

}  // namespace

Result<std::shared_ptr<Cgroup>> cgroup_of_fd(System& system, Task& task, u32 fd) {
  TRY(task.file_id(static_cast<int>(fd)));
  const auto file = system.files.ours(task, static_cast<int>(fd));
  NodeFile* const node = file ? file->node() : nullptr;
  auto cgroup = node ? cgroup_of(*node->found().node) : nullptr;
  if (!cgroup) {
    if (!file && is_hosts_cgroup(task, fd)) system.unmodelled.note("cgroups of the host");
    return fail(EBADF);
  }
  if (cgroup->dead) return fail(ENOENT);
  return cgroup;
}

// Kernel: cgroup_bpf_link_attach.
Result<u64> link_cgroup(BpfCall& call, std::shared_ptr<Program> program) {
  const auto& attr = call.attr.link_create;
  if (attr.flags) return fail(EINVAL);
  auto cgroup = TRY(cgroup_of_fd(call.system, call.task, attr.target_fd));
  const u32 place = TRY(place_for(call, *program, attr.attach_type));
  auto link = std::make_shared<CgroupLink>(std::move(program), attr.attach_type, place);
  TRY(link->join(std::move(cgroup)));
  want_cgroup_calls(call.system, attr.attach_type);
  call.system.links.add(link);
  return call.install(std::make_shared<LinkFile>(std::move(link), true));
}

// Kernel: cgroup_bpf_prog_attach.
Result<u64> attach_cgroup(BpfCall& call, std::shared_ptr<Program> program) {
  const auto& attr = call.attr;
  const auto cgroup = TRY(cgroup_of_fd(call.system, call.task, attr.target_fd));
  CgroupAttach attach{.type = attr.attach_type, .flags = attr.attach_flags};
  if ((attr.attach_flags & BPF_F_ALLOW_MULTI) && (attr.attach_flags & BPF_F_REPLACE)) {
    attach.replaces = TRY(call.program(attr.replace_bpf_fd));
    if (attach.replaces->type != program->type) return fail(EINVAL);
  }
  attach.place = TRY(place_for(call, *program, attach.type));
  attach.program = std::move(program);
  TRY(attach_to_cgroup(*cgroup, attach));
  want_cgroup_calls(call.system, attach.type);
  return 0;
}

// Kernel: cgroup_bpf_prog_detach. A descriptor that is no program of the kind stands for none.
Result<u64> detach_cgroup(BpfCall& call, const AttachType& type) {
  const auto cgroup = TRY(cgroup_of_fd(call.system, call.task, call.attr.target_fd));
  const auto given = call.program(call.attr.attach_bpf_fd);
  const Program* const program = given && (*given)->type == type.prog_type ? given->get() : nullptr;
  const bool of_lsm = type.id == BPF_LSM_CGROUP;
  const u32 place = of_lsm ? TRY(call.system.cgroup_lsm->place_of(program ? program->attach_btf_id : 0)) : type.id;
  TRY(detach_from_cgroup(*cgroup, place, program));
  return 0;
}

// Kernel: __cgroup_bpf_query.
Result<u64> query_cgroup(BpfCall& call) {
  const auto& query = call.attr.query;
  const auto cgroup = TRY(cgroup_of_fd(call.system, call.task, query.target_fd));
  const bool effective = query.query_flags & BPF_F_QUERY_EFFECTIVE, of_lsm = query.attach_type == BPF_LSM_CGROUP;
  if (effective && query.prog_attach_flags) return fail(EINVAL);
  if (of_lsm && !effective && query.prog_cnt && query.prog_ids && !query.prog_attach_flags) return fail(EINVAL);
  const u32 first = of_lsm ? kLsmPlaces : query.attach_type, last = of_lsm ? kLsmPlaces + kMostLsmPlaces - 1 : first;
  std::vector<u32> ids, flags;
  for (u32 place = first; place <= last; ++place) {
    const CgroupAttachments& own = cgroup->programs[place];
    if (effective) {
      for (const CgroupProgram& each : effective_programs(*cgroup, place)) ids.push_back(each.runs()->id());
    } else {
      for (const CgroupProgram& each : own.programs) ids.push_back(each.runs()->id());
    }
    flags.resize(ids.size(), own.flags);
  }
  const u32 all_flags = effective || of_lsm ? u32{0} : cgroup->programs[first].flags;
  TRY(call.put_attr(offsetof(bpf_attr, query.attach_flags), all_flags));
  TRY(call.put_attr(offsetof(bpf_attr, query.prog_cnt), static_cast<u32>(ids.size())));
  if (query.prog_cnt == 0 || !query.prog_ids || ids.empty()) return 0;
  const bool fits = query.prog_cnt >= ids.size();
  ids.resize(std::min<size_t>(ids.size(), query.prog_cnt));
  const u64 size = ids.size() * sizeof(u32);
  TRY(call.copy_out(query.prog_ids, ids.data(), size));
  if (query.prog_attach_flags) TRY(call.copy_out(query.prog_attach_flags, flags.data(), size));
  // Kernel: bpf_prog_array_copy_to_user says ENOSPC itself; of what is attached it is kept.
  if (!fits) return fail(ENOSPC);
  return 0;
}

void flush_cgroup_stats(System& system, Run& run, u64 cgroup) {
  ObjectSpace& space = *system.object_space;
  const auto top = system.cgroups.find(cgroup_id_at(space, cgroup));
  if (!top) return;
  for (u32 cpu = 0; cpu < run.cpus; ++cpu) {
    for (const auto& each : system.cgroup_stats.take(*top, cpu)) {
      const u64 parent = each->parent() ? cgroup_object(space, *each->parent()).address() : 0;
      RuntimePassing(&run, RuntimeFunction::bpf_rstat_flush, cgroup_object(space, *each).address(), parent, cpu).leave(u64{0});
    }
  }
}

}  // namespace bpfemu
