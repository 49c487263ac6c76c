// SPDX-License-Identifier: Apache-2.0
// Links, and the older ways to attach.
#include <algorithm>
#include <string>

#include "emu/bpf/attach_types.h"
#include "emu/probe/attach.h"
#include "emu/probe/program_trampoline.h"
#include "emu/runtime/maps/prog_array.h"
#include "emu/probe/trampoline.h"
#include "emu/syscalls/attachment.h"
#include "emu/syscalls/bpf.h"
#include "emu/syscalls/bpf_cgroup.h"
#include "emu/syscalls/bpf_network.h"
#include "emu/syscalls/ksyms.h"
#include "emu/verifier/btf_access.h"

namespace bpfemu {

namespace {

constexpr size_t kMaxTracepointName = 127;

Result<u64> install_link(BpfCall& call, std::shared_ptr<Link> link) {
  call.system.links.add(link);
  return call.install(std::make_shared<LinkFile>(std::move(link), true));
}

// Kernel: bpf_perf_link_attach.
Result<u64> link_perf_event(BpfCall& call, std::shared_ptr<Program> program) {
  TRY(check_runnable(call.system, *program));
  if (call.attr.link_create.flags) return fail(EINVAL);
  auto file = call.file(call.attr.link_create.target_fd, ObjectKind::kPerfEvent);
  if (!file) return fail(EBADF);  // whatever else it is (kernel: perf_event_get)
  auto event = std::static_pointer_cast<PerfEvent>((*file)->object());
  return install_link(call, TRY(attach_perf_event(event, std::move(program), call.attr.link_create.perf_event.bpf_cookie)));
}

Result<u64> link_raw_tracepoint(BpfCall& call, std::shared_ptr<Program> program, std::string_view name) {
  TRY(check_runnable(call.system, *program));
  return install_link(call, TRY(attach_raw_tracepoint(*call.system.probes, name, std::move(program))));
}

// What a link is to be created on, if not what the program was loaded for: a function of a program.
struct NewTarget {
  u32 fd = 0, btf_id = 0;
};

// Does the program fit a target that it was not loaded for (kernel: bpf_check_attach_target)?
Result<void> check_new_target(const Program& program, const Program& target, u32 btf_id) {
  ProgInfo info;
  info.type = program.type;
  info.expected_attach_type = program.expected_attach_type;
  info.sleepable = program.verified.sleepable;
  info.saved_dst_prog_type = program.target_type;
  info.saved_dst_attach_type = program.target_attach_type;
  OwnFunction main;
  if (!program.verified.func_info.empty()) main = {program.btf.get(), program.verified.func_info[0].type_id};
  VerifierLog log(0, 0);
  TRY(check_attach_target(info, &target, btf_id, main, log));
  return {};
}

ProgramFunction function_of(std::shared_ptr<Program> program, u32 btf_id) {
  const auto& functions = program->verified.func_info;
  const auto& starts = program->verified.subprogram_starts;
  const auto function = std::ranges::find(functions, btf_id, &bpf_func_info::type_id);
  const auto start = function == functions.end() ? starts.end() : std::ranges::find(starts, function->insn_off);
  const size_t index = start == starts.end() ? 0 : static_cast<size_t>(start - starts.begin());
  const u64 address = kernel_address(function_code(*program, static_cast<u32>(index)).address);
  return {std::move(program), btf_id, index, address};
}

// Kernel: prog_array_member_cnt.
bool is_tail_called(System& system, const Program& program) {
  for (auto id = system.maps.next(0); id; id = system.maps.next(*id)) {
    const auto map = system.maps.find(*id);
    if (!map || (*map)->map().type != BPF_MAP_TYPE_PROG_ARRAY) continue;
    const auto& array = static_cast<const ProgArray&>((*map)->map());
    const std::span slots(array.slots, array.max_entries);
    if (std::ranges::find(slots, program.runtime_address()) != slots.end()) return true;
  }
  return false;
}

// Kernel: bpf_tracing_prog_attach with a program as the target. What the program was loaded for counts once.
Result<u64> link_to_program(BpfCall& call, std::shared_ptr<Program> program, NewTarget wanted, u64 cookie) {
  std::shared_ptr<Program> target = program->attach_program;
  u32 btf_id = program->attach_btf_id;
  if (wanted.fd) {
    const auto given = TRY(call.program(wanted.fd));
    if (given != target || wanted.btf_id != btf_id) TRY(check_new_target(*program, *given, wanted.btf_id));
    target = given;
    btf_id = wanted.btf_id;
  }
  if (!target) return fail(EINVAL);
  if (program->type == BPF_PROG_TYPE_EXT && is_tail_called(call.system, *target)) return fail(EBUSY);
  TRY(check_runnable(call.system, *program));
  auto link = TRY(attach_to_program(program, function_of(std::move(target), btf_id), cookie));
  program->attach_program.reset();
  call.system.probes->programs_changed();
  return install_link(call, std::move(link));
}

bool has_trampoline(const Program& program) {
  const u32 expected = program.expected_attach_type;
  switch (program.type) {
    case BPF_PROG_TYPE_TRACING:
      return expected == BPF_TRACE_FENTRY || expected == BPF_TRACE_FEXIT || expected == BPF_MODIFY_RETURN;
    case BPF_PROG_TYPE_EXT: return expected == 0;
    case BPF_PROG_TYPE_LSM: return expected == BPF_LSM_MAC;
    default: return false;
  }
}

// Kernel: bpf_tracing_prog_attach. fentry, fexit, fmod_ret, freplace and LSM programs.
Result<u64> link_trampoline(BpfCall& call, std::shared_ptr<Program> program, NewTarget wanted, u64 cookie) {
  if (!has_trampoline(*program)) return fail(EINVAL);
  if (!wanted.fd != !wanted.btf_id) return fail(EINVAL);
  const bool replaces = program->type == BPF_PROG_TYPE_EXT;
  if (wanted.fd && !replaces) return fail(EINVAL);
  if (replaces || !program->attach_btf) return link_to_program(call, std::move(program), wanted, cookie);
  TRY(check_runnable(call.system, *program));
  if (auto link = TRY(attach_trampoline(*call.system.probes, program, cookie))) return install_link(call, link);
  note_attachment(call, *program, program->expected_attach_type);
  return fail(EOPNOTSUPP);
}

Result<u64> link_on_target(BpfCall& call, std::shared_ptr<Program> program) {
  const auto& attr = call.attr.link_create;
  return link_trampoline(call, std::move(program), {attr.target_fd, attr.target_btf_id}, attr.tracing.cookie);
}

// Kernel: the LSM and TRACING arm of link_create.
Result<u64> link_tracing(BpfCall& call, std::shared_ptr<Program> program) {
  if (call.attr.link_create.attach_type != program->expected_attach_type) return fail(EINVAL);
  if (program->expected_attach_type == BPF_TRACE_RAW_TP) {
    std::string name = TRY(tp_btf_name(*program));
    return link_raw_tracepoint(call, std::move(program), name);
  }
  if (program->expected_attach_type == BPF_TRACE_ITER) {
    return install_link(call, TRY(make_iter_link(call, std::move(program))));
  }
  if (program->expected_attach_type == BPF_LSM_CGROUP) return link_cgroup(call, std::move(program));
  return link_on_target(call, std::move(program));
}

}  // namespace

Result<u64> link_create(BpfCall& call) {
  u32 number = call.attr.link_create.attach_type;
  auto program = TRY(call.program(call.attr.link_create.prog_fd));
  TRY(check_attach_type(*program, number, call.caps));
  TRY(check_link_type(*program, number));
  switch (program->type) {
    case BPF_PROG_TYPE_PERF_EVENT:
    case BPF_PROG_TYPE_TRACEPOINT:
    case BPF_PROG_TYPE_KPROBE:
      if (number == BPF_PERF_EVENT) return link_perf_event(call, program);
      return fail(EOPNOTSUPP);  // kprobe.multi: the claimed kernel is built without CONFIG_FPROBE
    case BPF_PROG_TYPE_LSM:
    case BPF_PROG_TYPE_TRACING: return link_tracing(call, program);
    case BPF_PROG_TYPE_EXT: return link_on_target(call, std::move(program));
    case BPF_PROG_TYPE_SK_MSG:
    case BPF_PROG_TYPE_SK_SKB:
    case BPF_PROG_TYPE_LIRC_MODE2:
      return fail(EINVAL);  // these have no links in any kernel of the profile's age
    default: break;
  }
  switch (attach_type(number)->to) {
    case AttachTo::kCgroup: return link_cgroup(call, std::move(program));
    case AttachTo::kNetns: return link_netns(call, std::move(program));
    case AttachTo::kXdp: return link_xdp(call, std::move(program));
    default: return fail(EINVAL);
  }
}

Result<u64> link_update(BpfCall& call) {
  auto& attr = call.attr.link_update;
  if (attr.flags & ~u32{BPF_F_REPLACE}) return fail(EINVAL);
  auto link = TRY(call.link(attr.link_fd));
  auto program = TRY(call.program(attr.new_prog_fd));
  std::shared_ptr<Program> old;
  if (attr.flags & BPF_F_REPLACE) {
    old = TRY(call.program(attr.old_prog_fd));
  } else if (attr.old_prog_fd) {
    return fail(EINVAL);
  }
  TRY(check_runnable(call.system, *program));
  TRY(link->update(std::move(program), attr.flags, std::move(old)));
  return 0;
}

Result<u64> link_detach(BpfCall& call) {
  auto link = TRY(call.link(call.attr.link_detach.link_fd));
  TRY(link->detach());
  return 0;
}

// Kernel: bpf_raw_tp_link_attach.
Result<u64> raw_tracepoint_open(BpfCall& call) {
  auto program = TRY(call.program(call.attr.raw_tracepoint.prog_fd));
  u64 name_address = call.attr.raw_tracepoint.name;
  switch (program->type) {
    case BPF_PROG_TYPE_TRACING:
    case BPF_PROG_TYPE_EXT:
    case BPF_PROG_TYPE_LSM: {
      if (name_address) return fail(EINVAL);
      if (program->type != BPF_PROG_TYPE_TRACING || program->expected_attach_type != BPF_TRACE_RAW_TP) {
        return link_trampoline(call, std::move(program), {}, 0);
      }
      std::string name = TRY(tp_btf_name(*program));
      return link_raw_tracepoint(call, program, name);
    }
    case BPF_PROG_TYPE_RAW_TRACEPOINT:
    case BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE: {
      auto name = call.task.read_string(name_address, kMaxTracepointName);
      if (!name) return fail(name.error().value == ENAMETOOLONG ? ENOENT : EFAULT);
      return link_raw_tracepoint(call, program, *name);
    }
    default:
      return fail(EINVAL);
  }
}

Result<u64> enable_stats(BpfCall& call) {
  if (!call.caps.sys_admin) return fail(EPERM);
  if (call.attr.enable_stats.type != BPF_STATS_RUN_TIME) return fail(EINVAL);
  return call.install(std::make_shared<StatsFile>(call.system.probes->runner()));
}

}  // namespace bpfemu
