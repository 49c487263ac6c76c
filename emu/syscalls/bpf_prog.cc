// SPDX-License-Identifier: Apache-2.0
// BPF_PROG_LOAD and BPF_PROG_BIND_MAP.
#include <linux/capability.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "emu/bpf/verifier/prog_env.h"
#include "emu/bpf/verifier/verifier.h"
#include "emu/syscalls/bpf.h"
#include "emu/syscalls/map_elements.h"
#include "emu/syscalls/prog_tag.h"
#include "emu/syscalls/tool_log.h"

namespace bpfemu {

namespace {

constexpr u32 kMaxInsns = 1'000'000;       // BPF_COMPLEXITY_LIMIT_INSNS
constexpr u32 kMaxUnprivInsns = BPF_MAXINSNS;
constexpr u32 kMaxLicense = 127;
constexpr u32 kMaxTypeId = 0x000fffff;     // BTF_MAX_TYPE
constexpr u32 kMaxRecord = 252;            // MAX_FUNCINFO_REC_SIZE, MAX_LINEINFO_REC_SIZE, MAX_CORE_RELO_SIZE
constexpr u32 kLoadFlags = BPF_F_STRICT_ALIGNMENT | BPF_F_ANY_ALIGNMENT | BPF_F_TEST_STATE_FREQ | BPF_F_SLEEPABLE |
                           BPF_F_TEST_RND_HI32 | BPF_F_XDP_HAS_FRAGS;

// What loading a type needs beyond CAP_BPF, and which expected_attach_type it takes.
enum Need : u8 { kNetAdmin = 1, kPerfmon = 2, kAnyone = 4 };
enum class Expected : u8 { kAny, kNone, kListed };
struct TypeRule {
  u32 type;
  u8 needs;
  Expected expected = Expected::kAny;
  std::array<u8, 12> listed{};             // with kListed: these; 0 ends the list where it is not BPF_CGROUP_INET_INGRESS
};

// Kernel: is_net_admin_prog_type, is_perfmon_prog_type, bpf_prog_load_check_attach.
constexpr TypeRule kTypeRules[] = {
    {BPF_PROG_TYPE_SOCKET_FILTER, kAnyone},
    {BPF_PROG_TYPE_CGROUP_SKB, kAnyone, Expected::kListed, {BPF_CGROUP_INET_INGRESS, BPF_CGROUP_INET_EGRESS}},
    {BPF_PROG_TYPE_SCHED_CLS, kNetAdmin},
    {BPF_PROG_TYPE_SCHED_ACT, kNetAdmin},
    {BPF_PROG_TYPE_XDP, kNetAdmin},
    {BPF_PROG_TYPE_LWT_IN, kNetAdmin},
    {BPF_PROG_TYPE_LWT_OUT, kNetAdmin},
    {BPF_PROG_TYPE_LWT_XMIT, kNetAdmin},
    {BPF_PROG_TYPE_LWT_SEG6LOCAL, kNetAdmin},
    {BPF_PROG_TYPE_SK_SKB, kNetAdmin},
    {BPF_PROG_TYPE_SK_MSG, kNetAdmin},
    {BPF_PROG_TYPE_LIRC_MODE2, kNetAdmin},
    {BPF_PROG_TYPE_FLOW_DISSECTOR, kNetAdmin},
    {BPF_PROG_TYPE_CGROUP_DEVICE, kNetAdmin},
    {BPF_PROG_TYPE_CGROUP_SOCK, kNetAdmin, Expected::kListed,
     {BPF_CGROUP_INET_SOCK_CREATE, BPF_CGROUP_INET_SOCK_RELEASE, BPF_CGROUP_INET4_POST_BIND,
      BPF_CGROUP_INET6_POST_BIND}},
    {BPF_PROG_TYPE_CGROUP_SOCK_ADDR, kNetAdmin, Expected::kListed,
     {BPF_CGROUP_INET4_BIND, BPF_CGROUP_INET6_BIND, BPF_CGROUP_INET4_CONNECT, BPF_CGROUP_INET6_CONNECT,
      BPF_CGROUP_INET4_GETPEERNAME, BPF_CGROUP_INET6_GETPEERNAME, BPF_CGROUP_INET4_GETSOCKNAME,
      BPF_CGROUP_INET6_GETSOCKNAME, BPF_CGROUP_UDP4_SENDMSG, BPF_CGROUP_UDP6_SENDMSG, BPF_CGROUP_UDP4_RECVMSG,
      BPF_CGROUP_UDP6_RECVMSG}},
    {BPF_PROG_TYPE_CGROUP_SOCKOPT, kNetAdmin, Expected::kListed, {BPF_CGROUP_SETSOCKOPT, BPF_CGROUP_GETSOCKOPT}},
    {BPF_PROG_TYPE_CGROUP_SYSCTL, kNetAdmin},
    {BPF_PROG_TYPE_SOCK_OPS, kNetAdmin},
    {BPF_PROG_TYPE_SK_LOOKUP, 0, Expected::kListed, {BPF_SK_LOOKUP}},
    {BPF_PROG_TYPE_SK_REUSEPORT, 0, Expected::kListed,
     {BPF_SK_REUSEPORT_SELECT, BPF_SK_REUSEPORT_SELECT_OR_MIGRATE}},
    {BPF_PROG_TYPE_KPROBE, kPerfmon},
    {BPF_PROG_TYPE_TRACEPOINT, kPerfmon},
    {BPF_PROG_TYPE_PERF_EVENT, kPerfmon},
    {BPF_PROG_TYPE_RAW_TRACEPOINT, kPerfmon},
    {BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE, kPerfmon},
    {BPF_PROG_TYPE_TRACING, kPerfmon},
    {BPF_PROG_TYPE_LSM, kPerfmon},
    {BPF_PROG_TYPE_STRUCT_OPS, kPerfmon},
    {BPF_PROG_TYPE_EXT, kNetAdmin | kPerfmon, Expected::kNone},
    {BPF_PROG_TYPE_SYSCALL, 0, Expected::kNone},
};

const TypeRule& rule_of(u32 type) {
  static constexpr TypeRule plain{BPF_PROG_TYPE_UNSPEC, 0};
  auto it = std::find_if(std::begin(kTypeRules), std::end(kTypeRules), [=](auto& r) { return r.type == type; });
  return it == std::end(kTypeRules) ? plain : *it;
}

bool lists(const TypeRule& rule, u32 attach_type) {
  bool listed = std::find(rule.listed.begin(), rule.listed.end(), attach_type) != rule.listed.end();
  // Zero is an attach type of its own only where it leads the list.
  return attach_type == 0 ? rule.listed[0] == 0 : listed;
}

// Types whose expected_attach_type has a default (kernel: bpf_prog_load_fixup_attach_type).
void default_attach_type(bpf_attr& attr) {
  if (attr.expected_attach_type) return;
  if (attr.prog_type == BPF_PROG_TYPE_CGROUP_SOCK) attr.expected_attach_type = BPF_CGROUP_INET_SOCK_CREATE;
  if (attr.prog_type == BPF_PROG_TYPE_SK_REUSEPORT) attr.expected_attach_type = BPF_SK_REUSEPORT_SELECT;
}

Result<void> check_capabilities(const Capabilities& caps, const TypeRule& rule) {
  if (!(rule.needs & kAnyone) && !caps.bpf) return fail(EPERM);
  if ((rule.needs & kNetAdmin) && !caps.net_admin && !caps.sys_admin) return fail(EPERM);
  if ((rule.needs & kPerfmon) && !caps.perfmon) return fail(EPERM);
  return {};
}

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
    if (!(*btf)->is_kernel()) return fail(kErrNotSupp);
    target.btf = *btf;
  } else if (attr.attach_btf_id) {
    target.btf = call.system.vmlinux;
    if (!target.btf) return fail(EINVAL);
  }
  return target;
}

// Kernel: bpf_prog_load_check_attach.
Result<void> check_attach(const bpf_attr& attr, const AttachTarget& target, const TypeRule& rule) {
  u32 type = attr.prog_type;
  bool by_btf = type == BPF_PROG_TYPE_TRACING || type == BPF_PROG_TYPE_LSM || type == BPF_PROG_TYPE_STRUCT_OPS ||
                type == BPF_PROG_TYPE_EXT;
  if (attr.attach_btf_id) {
    if (attr.attach_btf_id > kMaxTypeId || (!target.btf && !target.program) || !by_btf) return fail(EINVAL);
  }
  if (target.btf && (!attr.attach_btf_id || target.program)) return fail(EINVAL);
  if (target.program && type != BPF_PROG_TYPE_TRACING && type != BPF_PROG_TYPE_EXT) return fail(EINVAL);
  if (rule.expected == Expected::kNone && attr.expected_attach_type) return fail(EINVAL);
  if (rule.expected == Expected::kListed && !lists(rule, attr.expected_attach_type)) return fail(EINVAL);
  return {};
}

// Kernel: license_is_gpl_compatible.
bool gpl_compatible(std::string_view license) {
  static constexpr std::string_view good[] = {"GPL",          "GPL v2",       "GPL and additional rights",
                                              "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"};
  return std::find(std::begin(good), std::end(good), license) != std::end(good);
}

// A longer license is cut, not refused.
Result<std::string> copy_license(BpfCall& call) {
  auto license = call.task.read_string(call.attr.license, kMaxLicense);
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
  if (!attr.func_info_cnt && !attr.line_info_cnt) return {};
  request.btf = TRY(call.btf(attr.prog_btf_fd));
  if (request.btf->is_kernel()) return fail(EACCES);
  request.func_info = TRY(copy_records(call, attr.func_info, attr.func_info_rec_size, attr.func_info_cnt));
  request.func_info_rec_size = attr.func_info_rec_size;
  request.func_info_cnt = attr.func_info_cnt;
  request.line_info = TRY(copy_records(call, attr.line_info, attr.line_info_rec_size, attr.line_info_cnt));
  request.line_info_rec_size = attr.line_info_rec_size;
  request.line_info_cnt = attr.line_info_cnt;
  request.core_relos = TRY(copy_records(call, attr.core_relos, attr.core_relo_rec_size, attr.core_relo_cnt));
  request.core_relo_rec_size = attr.core_relo_rec_size;
  request.core_relo_cnt = attr.core_relo_cnt;
  return {};
}

// Descriptors that instructions name, looked up when the verifier meets them.
void resolve_in_task(BpfCall& call, LoadRequest& request) {
  request.map_by_fd = [&call](int fd) { return call.map(static_cast<u32>(fd)); };
  request.btf_by_fd = [&call](int fd) { return call.btf(static_cast<u32>(fd)); };
  request.fd_array = [&call](u32 index) -> Result<int> {
    int fd;
    TRY(call.task.read(call.attr.fd_array + u64{index} * sizeof fd, &fd, sizeof fd));
    return fd;
  };
}

// The verifier and its log (kernel: bpf_check).
Result<VerifiedProgram> check(BpfCall& call, LoadRequest& request) {
  ToolLog to{.level = call.attr.log_level, .buffer = call.attr.log_buf, .size = call.attr.log_size};
  if (to.wanted() && !to.valid()) return fail(EINVAL);
  TRY(copy_infos(call, request));
  resolve_in_task(call, request);
  VerifierLog log(to.level, to.size);
  auto verified = verify(call.system.verifier, request, log);
  if (int error = to.finish(call, log, verified ? 0 : verified.error().value)) return fail(error);
  return verified;
}

// Program arrays that the program jumps through become its own kind's (kernel: bpf_check_tail_call).
Result<void> claim_arrays(const Program& program) {
  for (auto& map : program.verified.used_maps) {
    if (map->map().type == BPF_MAP_TYPE_PROG_ARRAY && !owner_fits(*map, program)) return fail(EINVAL);
  }
  return {};
}

Result<std::shared_ptr<Program>> make_program(BpfCall& call, LoadRequest& request, VerifiedProgram verified) {
  auto program = std::make_shared<Program>();
  program->type = request.type;
  program->expected_attach_type = request.expected_attach_type;
  program->name = request.name;
  program->gpl_compatible = request.gpl_compatible;
  program->created_by_uid = call.system.uid_of(call.task);
  program->load_time_ns = call.system.host.clock(CLOCK_BOOTTIME);
  program->tag = program_tag(request.insns);
  program->btf = request.btf;
  program->attach_btf = request.attach_btf;
  program->attach_btf_id = request.attach_btf_id;
  program->attach_program = request.attach_program;
  program->verified = std::move(verified);
  TRY(claim_arrays(*program));
  for (u32 id : program->missing_helpers()) call.system.unmodelled.note(std::string("helper ") + helper_name(id));
  TRY(program->install(*call.system.arena));
  return program;
}

}  // namespace

Result<u64> prog_load(BpfCall& call) {
  bpf_attr& attr = call.attr;
  if (attr.prog_flags & ~kLoadFlags) return fail(EINVAL);
  std::string license = TRY(copy_license(call));
  if (attr.insn_cnt == 0 || attr.insn_cnt > (call.caps.bpf ? kMaxInsns : kMaxUnprivInsns)) return fail(E2BIG);
  const TypeRule& rule = rule_of(attr.prog_type);
  TRY(check_capabilities(call.caps, rule));
  AttachTarget target = TRY(find_target(call));
  default_attach_type(attr);
  TRY(check_attach(attr, target, rule));

  LoadRequest request;
  request.type = attr.prog_type;
  request.expected_attach_type = attr.expected_attach_type;
  request.flags = attr.prog_flags;
  request.gpl_compatible = gpl_compatible(license);
  request.caps = call.caps;
  request.attach_btf = target.btf;
  request.attach_btf_id = attr.attach_btf_id;
  request.attach_program = target.program;
  request.insns.resize(attr.insn_cnt);
  TRY(call.task.read(attr.insns, request.insns.data(), attr.insn_cnt * sizeof(Insn)));
  if (attr.prog_ifindex || !prog_type_ops(attr.prog_type)) return fail(EINVAL);  // no device that takes programs
  request.name = TRY(object_name(attr.prog_name));

  auto program = TRY(make_program(call, request, TRY(check(call, request))));
  call.system.programs.add(program);
  program->text().id = program->id();
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
