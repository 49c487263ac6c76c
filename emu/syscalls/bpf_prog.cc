// SPDX-License-Identifier: Apache-2.0
// BPF_PROG_LOAD and BPF_PROG_BIND_MAP.
#include <linux/capability.h>
#include <time.h>

#include <algorithm>
#include <string_view>

#include "emu/base/room.h"
#include "emu/syscalls/bpf.h"
#include "emu/syscalls/map_elements.h"
#include "emu/syscalls/prog_tag.h"
#include "emu/syscalls/tool_log.h"
#include "emu/verifier/prog_types.h"
#include "emu/verifier/verifier.h"

namespace bpfemu {

namespace {

constexpr u32 kMaxInsns = 1'000'000;       // BPF_COMPLEXITY_LIMIT_INSNS
constexpr u32 kMaxUnprivInsns = BPF_MAXINSNS;
constexpr u64 kWorkPerInsn = 256;          // of memory, while it is verified
constexpr u32 kMaxLicense = 127;
constexpr u32 kMaxRecord = 252;            // MAX_FUNCINFO_REC_SIZE, MAX_LINEINFO_REC_SIZE, MAX_CORE_RELO_SIZE
constexpr u32 kLoadFlags = BPF_F_STRICT_ALIGNMENT | BPF_F_ANY_ALIGNMENT | BPF_F_TEST_STATE_FREQ | BPF_F_SLEEPABLE |
                           BPF_F_TEST_RND_HI32 | BPF_F_XDP_HAS_FRAGS;

// What tracing, LSM and freplace programs are written for.
struct AttachTarget {
  std::shared_ptr<const Btf> btf;
  std::shared_ptr<Program> program;
};

Result<AttachTarget> find_target(BpfCall& call) {
  const bpf_attr& attr = call.attr;
  AttachTarget target;
  if (attr.attach_prog_fd) {
    auto program = call.program(attr.attach_prog_fd);
    if (program) return AttachTarget{nullptr, *program};
    auto btf = call.btf(attr.attach_btf_obj_fd);
    if (!btf) return fail(EINVAL);
    if (!(*btf)->is_kernel()) return fail(ENOTSUPP);
    target.btf = *btf;
  } else if (attr.attach_btf_id) {
    target.btf = call.system.vmlinux;
    if (!target.btf) return fail(EINVAL);
  }
  return target;
}

// Kernel: license_is_gpl_compatible.
bool gpl_compatible(std::string_view license) {
  static constexpr std::string_view good[] = {"GPL",          "GPL v2",       "GPL and additional rights",
                                              "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"};
  return std::find(std::begin(good), std::end(good), license) != std::end(good);
}

// A longer license is cut, not refused.
Result<std::string> copy_license(BpfCall& call) {
  auto license = call.read_string(call.attr.license, kMaxLicense);
  if (!license && license.error().value == ENAMETOOLONG) return std::string(kMaxLicense, ' ');
  return license;
}

// Records of func_info, line_info or core_relos. Sizes and counts that the verifier refuses are not copied in: no valid
// program has more records than instructions.
Result<std::vector<u8>> copy_records(BpfCall& call, u64 from, u32 size, u32 count) {
  if (size > kMaxRecord) return std::vector<u8>{};
  return call.copy_in(from, u64{size} * std::min(count, call.attr.insn_cnt + 1));
}

Result<void> copy_infos(BpfCall& call, LoadRequest& request) {
  const bpf_attr& attr = call.attr;
  request.func_info = TRY(copy_records(call, attr.func_info, attr.func_info_rec_size, attr.func_info_cnt));
  request.func_info_rec_size = attr.func_info_rec_size;
  request.line_info = TRY(copy_records(call, attr.line_info, attr.line_info_rec_size, attr.line_info_cnt));
  request.line_info_rec_size = attr.line_info_rec_size;
  request.core_relos = TRY(copy_records(call, attr.core_relos, attr.core_relo_rec_size, attr.core_relo_cnt));
  request.core_relo_rec_size = attr.core_relo_rec_size;
  request.core_relo_cnt = attr.core_relo_cnt;
  return {};
}

// What is wrong with the program's BTF or its records is the verifier's to say, which has written a log by then.
void resolve_infos(BpfCall& call, LoadRequest& request) {
  request.func_info_cnt = call.attr.func_info_cnt;
  request.line_info_cnt = call.attr.line_info_cnt;
  if (!request.func_info_cnt && !request.line_info_cnt) return;
  auto btf = call.btf(call.attr.prog_btf_fd);
  if (!btf) {
    request.btf_error = btf.error().value;
  } else if (auto copied = copy_infos(call, request); !copied) {
    request.btf_error = copied.error().value;
  } else {
    request.btf = *btf;
  }
}

// Descriptors that instructions name, looked up when the verifier meets them.
void resolve_in_task(BpfCall& call, LoadRequest& request) {
  request.map_by_fd = [&call](int fd) { return call.map(static_cast<u32>(fd)); };
  request.btf_by_fd = [&call](int fd) { return call.btf(static_cast<u32>(fd)); };
  if (!call.attr.fd_array) return;
  request.fd_array = [&call](u32 index) -> Result<int> {
    int fd;
    TRY(call.read(call.attr.fd_array + u64{index} * sizeof fd, &fd, sizeof fd));
    return fd;
  };
}

// A program that takes long to verify holds up nobody but its loader; nor does one that takes all memory: `no_room`.
void let_others_go_on(BpfCall& call, LoadRequest& request, bool& no_room) {
  constexpr u64 kSlice = 500'000;
  request.pause = [&no_room, &host = call.system.host, since = call.system.host.clock(CLOCK_MONOTONIC)]() mutable {
    if (host.clock(CLOCK_MONOTONIC) - since < kSlice) return false;
    if (no_room = !has_room(kSlack); no_room) return true;
    const bool signalled = host.pause();
    since = host.clock(CLOCK_MONOTONIC);
    return signalled;
  };
}

// The verifier and its log (kernel: bpf_check).
Result<VerifiedProgram> check(BpfCall& call, LoadRequest& request) {
  ToolLog to{.level = call.attr.log_level, .buffer = call.attr.log_buf, .size = call.attr.log_size};
  if (to.wanted() && !to.valid()) return fail(EINVAL);
  resolve_infos(call, request);
  resolve_in_task(call, request);
  bool no_room = false;
  let_others_go_on(call, request, no_room);
  VerifierLog log(to.level, to.size);
  auto verified = verify(call.system.verifier, request, log);
  if (no_room) return fail(ENOMEM);
  const bool refused = !verified && verified.error().value != EAGAIN;
  if (refused) call.system.explanations.refused(call.task.tgid(), call.system.verifier, request);
  if (int error = to.finish(call, log, verified ? 0 : verified.error().value)) return fail(error);
  return verified;
}

// Maps of programs that the program uses become its own kind's (kernel: bpf_check_tail_call, map_type_contains_progs).
Result<void> claim_maps(const Program& program) {
  for (auto& map : program.verified.used_maps) {
    if (has_trait(map->map(), kPrograms) && !owner_fits(*map, program)) return fail(EINVAL);
  }
  return {};
}

Result<std::shared_ptr<Program>> make_program(BpfCall& call, LoadRequest& request, VerifiedProgram verified) {
  auto program = std::make_shared<Program>();
  program->type = request.type;
  program->expected_attach_type = request.expected_attach_type;
  program->name = request.name;
  program->gpl_compatible = request.gpl_compatible;
  program->xdp_has_frags = request.flags & BPF_F_XDP_HAS_FRAGS;
  program->random_halves = request.flags & BPF_F_TEST_RND_HI32;
  program->created_by_uid = call.system.uid_of(call.task);
  program->load_time_ns = call.system.host.clock(CLOCK_BOOTTIME);
  program->tag = program_tag(request.insns);
  program->btf = request.btf;
  program->attach_btf = request.attach_btf;
  program->attach_btf_id = request.attach_btf_id;
  program->attach_program = request.attach_program;
  if (request.attach_program) {
    program->target_type = request.attach_program->type;
    program->target_attach_type = request.attach_program->expected_attach_type;
  }
  program->verified = std::move(verified);
  program->function_tags = function_tags(*program, call.system.verifier);
  TRY(claim_maps(*program));
  TRY(program->install(*call.system.arena));
  call.system.objects->tasks.named_by(request.insns);
  if (program->verified.looks_into_maps) show_maps(call.system);
  return program;
}

}  // namespace

void tell_of_helpers(System& system, Program& program, const u8* listened) {
  if (!program.tell_of_helpers(listened)) system.unmodelled.note("calls of helpers of a program, for want of memory");
}

Result<void> check_runnable(System& system, const Program& program) {
  const auto helpers = program.missing_helpers();
  const auto functions = program.missing_functions();
  for (u32 id : helpers) system.unmodelled.note("helper", helper_name(id));
  for (const std::string& name : functions) system.unmodelled.note("kernel function", name);
  for (std::string_view name : program.verified.untold_fields) system.unmodelled.note("field", name);
  for (const FieldRead& each : program.verified.field_reads) system.object_space->told_fields().read(each);
  return helpers.empty() && functions.empty() ? Result<void>{} : fail(EOPNOTSUPP);
}

Result<u64> prog_load(BpfCall& call) {
  bpf_attr& attr = call.attr;
  if (attr.prog_flags & ~kLoadFlags) return fail(EINVAL);
  std::string license = TRY(copy_license(call));
  if (attr.insn_cnt == 0 || attr.insn_cnt > (call.caps.bpf ? kMaxInsns : kMaxUnprivInsns)) return fail(E2BIG);
  TRY(check_load_rights(attr.prog_type, call.caps));
  AttachTarget target = TRY(find_target(call));
  attr.expected_attach_type = effective_attach_type(attr.prog_type, attr.expected_attach_type);
  TRY(check_load_attach(attr.prog_type, attr.expected_attach_type, target.btf != nullptr, attr.attach_btf_id,
                        target.program != nullptr));

  LoadRequest request;
  request.type = attr.prog_type;
  request.expected_attach_type = attr.expected_attach_type;
  request.flags = attr.prog_flags;
  request.gpl_compatible = gpl_compatible(license);
  request.caps = call.caps;
  request.attach_btf = target.btf;
  request.attach_btf_id = attr.attach_btf_id;
  request.attach_program = target.program;
  TRY(room_for(u64{attr.insn_cnt} * kWorkPerInsn));
  request.insns.resize(attr.insn_cnt);
  TRY(call.read(attr.insns, request.insns.data(), attr.insn_cnt * sizeof(Insn)));
  if (attr.prog_ifindex || !prog_type_ops(attr.prog_type)) return fail(EINVAL);  // no device that takes programs
  request.name = TRY(object_name(attr.prog_name));

  auto program = TRY(make_program(call, request, TRY(check(call, request))));
  call.system.programs.add(program);
  call.system.probes->sideband().program_loaded();
  call.system.explanations.loaded(call.task.tgid(), request);
  program->text().id = program->id();
  if (const u8* listened = call.system.probes->runner().listened) tell_of_helpers(call.system, *program, listened);
  return call.install(std::make_shared<ProgramFile>(program));
}

Result<u64> prog_bind_map(BpfCall& call) {
  if (call.attr.prog_bind_map.flags) return fail(EINVAL);
  auto program = TRY(call.program(call.attr.prog_bind_map.prog_fd));
  auto map = TRY(call.map(call.attr.prog_bind_map.map_fd));
  auto& used = program->verified.used_maps;
  auto& bound = program->bound_maps;
  bool known = std::find(used.begin(), used.end(), map) != used.end() ||
               std::find(bound.begin(), bound.end(), map) != bound.end();
  if (!known) bound.push_back(map);
  return 0;
}

}  // namespace bpfemu
