// SPDX-License-Identifier: Apache-2.0
// BPF_OBJ_GET_INFO_BY_FD and BPF_TASK_FD_QUERY.
#include <sys/stat.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>

#include "emu/probe/attach.h"
#include "emu/syscalls/bpf.h"
#include "emu/syscalls/ksyms.h"
#include "emu/syscalls/perf_file.h"
#include "emu/verifier/fixup_dump.h"

namespace bpfemu {

namespace {

constexpr int kErrBadFd = EBADFD;  // not EBADF: the kernel's own slip

// The tool's info structure: `known` bytes of it are ours, the rest of its size must be zero.
struct Info {
  u64 address;
  u32 size;  // as far as both sides have it
};

Result<Info> open_info(BpfCall& call, u64 known, u64 whole) {
  auto& attr = call.attr.info;
  TRY(check_tail_zero(call.task, attr.info, known, attr.info_len));
  return Info{attr.info, static_cast<u32>(std::min<u64>(attr.info_len, whole))};
}

template <class T>
Result<u64> close_info(BpfCall& call, const Info& to, const T& info) {
  TRY(call.copy_out(to.address, &info, to.size));
  TRY(call.put_attr(offsetof(bpf_attr, info.info_len), to.size));
  return 0;
}

// An array of an info structure: the tool says how many elements fit, we say how many there are and copy what fits.
template <class T>
Result<void> put_array(BpfCall& call, std::span<const T> elements, u32& count, u64 to) {
  u32 room = std::min<u32>(count, static_cast<u32>(elements.size()));
  count = static_cast<u32>(elements.size());
  if (room) TRY(call.copy_out(to, elements.data(), room * sizeof(T)));
  return {};
}

// Sizes of records must be those that we know, or nothing was asked about them (kernel: set_info_rec_size).
Result<void> set_record_sizes(bpf_prog_info& info) {
  auto set = [](u32 count, u32& size, u32 known) {
    if ((count || size) && size != known) return false;
    size = known;
    return true;
  };
  bool good = set(info.nr_func_info, info.func_info_rec_size, sizeof(bpf_func_info)) &&
              set(info.nr_line_info, info.line_info_rec_size, sizeof(bpf_line_info)) &&
              set(info.nr_jited_line_info, info.jited_line_info_rec_size, sizeof(u64));
  return good ? Result<void>{} : fail(EINVAL);
}

std::vector<u32> map_ids(const Program& program) {
  std::vector<u32> ids;
  for (auto& map : program.verified.used_maps) ids.push_back(map->id());
  for (auto& map : program.bound_maps) ids.push_back(map->id());
  return ids;
}

// Where each line's code begins. The first line of a function has its prologue (kernel: bpf_prog_fill_jited_linfo).
std::vector<u64> line_addresses(const Program& program) {
  std::vector<u64> addresses;
  auto& starts = program.verified.subprogram_starts;
  for (auto& line : program.verified.line_info) {
    auto function = std::lower_bound(starts.begin(), starts.end(), line.insn_off);
    if (function != starts.end() && *function == line.insn_off) {
      u64 start = function_code(program, static_cast<u32>(function - starts.begin())).address;
      addresses.push_back(kernel_address(start));
      continue;
    }
    bool known = line.insn_off < program.insn_offsets().size();
    u64 code = program.code().address + (known ? program.insn_offsets()[line.insn_off] : 0);
    addresses.push_back(kernel_address(code));
  }
  return addresses;
}

// What the machine code of the program's functions is, and where (kernel: the jited part of bpf_prog_get_info_by_fd).
Result<void> fill_jited(BpfCall& call, const Program& program, bpf_prog_info& info) {
  auto* code = reinterpret_cast<const u8*>(program.code().address);
  TRY(put_array(call, std::span(code, program.code_size()), info.jited_prog_len, info.jited_prog_insns));
  std::vector<u64> symbols;
  std::vector<u32> lengths;
  for (u32 i = 0; i < function_count(program); ++i) {
    FunctionCode function = function_code(program, i);
    symbols.push_back(kernel_address(function.address));
    lengths.push_back(function.size);
  }
  TRY(put_array(call, std::span<const u64>(symbols), info.nr_jited_ksyms, info.jited_ksyms));
  TRY(put_array(call, std::span<const u32>(lengths), info.nr_jited_func_lens, info.jited_func_lens));
  return {};
}

Result<void> fill_debug(BpfCall& call, const Program& program, bpf_prog_info& info) {
  info.attach_btf_id = program.attach_btf_id;
  if (program.attach_btf) {
    info.attach_btf_obj_id = program.attach_btf->id();
  } else if (program.attach_program && program.attach_program->btf) {
    info.attach_btf_obj_id = program.attach_program->btf->id();
  }
  auto& shown = program.verified.shown;
  TRY(put_array(call, std::span<const bpf_func_info>(shown.func_info), info.nr_func_info, info.func_info));
  TRY(put_array(call, std::span<const bpf_line_info>(shown.line_info), info.nr_line_info, info.line_info));
  TRY(put_array(call, std::span<const u64>(line_addresses(program)), info.nr_jited_line_info, info.jited_line_info));
  const auto tags = program.function_tags.empty() ? std::span(&program.tag, 1) : std::span(program.function_tags);
  TRY(put_array(call, tags, info.nr_prog_tags, info.prog_tags));
  return {};
}

void hide_code(bpf_prog_info& info) {
  info.jited_prog_len = info.xlated_prog_len = 0;
  info.nr_jited_ksyms = info.nr_jited_func_lens = 0;
  info.nr_func_info = info.nr_line_info = info.nr_jited_line_info = 0;
}

// Kernel: bpf_prog_get_info_by_fd.
Result<u64> program_info(BpfCall& call, const Program& program) {
  Info to = TRY(open_info(call, offsetof(bpf_prog_info, attach_btf_id) + sizeof(u32), sizeof(bpf_prog_info)));
  bpf_prog_info info{};
  TRY(call.task.read(to.address, &info, to.size));
  info.type = program.type;
  info.id = program.id();
  info.load_time = program.load_time_ns;
  info.created_by_uid = program.created_by_uid;
  info.gpl_compatible = program.gpl_compatible;
  std::memcpy(info.tag, program.tag.data(), sizeof info.tag);
  std::memset(info.name, 0, sizeof info.name);
  program.name.copy(info.name, sizeof info.name - 1);
  TRY(put_array(call, std::span<const u32>(map_ids(program)), info.nr_map_ids, info.map_ids));
  TRY(set_record_sizes(info));
  info.run_time_ns = program.text().stat_ns;
  info.run_cnt = program.text().stat_runs;
  info.recursion_misses = program.text().stat_misses;
  info.verified_insns = program.verified.processed_insns;
  if (program.btf) info.btf_id = program.btf->id();
  if (!call.caps.bpf) {
    hide_code(info);
    return close_info(call, to, info);
  }
  Insns insns = dump_insns(program, call.system.verifier, true);
  u32 bytes = static_cast<u32>(insns.size() * sizeof(Insn));
  u32 room = std::min(info.xlated_prog_len, bytes);
  info.xlated_prog_len = bytes;
  if (room && program.random_halves)
    call.system.unmodelled.note("instructions of BPF_F_TEST_RND_HI32, which set upper halves of registers at random");
  if (room) TRY(call.copy_out(info.xlated_prog_insns, insns.data(), room));
  TRY(fill_jited(call, program, info));
  TRY(fill_debug(call, program, info));
  return close_info(call, to, info);
}

// Kernel: bpf_map_get_info_by_fd.
Result<u64> map_info(BpfCall& call, const MapObject& object) {
  Info to = TRY(open_info(call, sizeof(bpf_map_info), sizeof(bpf_map_info)));
  const Map& map = object.map();
  bpf_map_info info{};
  info.type = map.type;
  info.id = object.id();
  info.key_size = map.key_size;
  info.value_size = map.value_size;
  info.max_entries = map.max_entries;
  info.map_flags = map.flags;
  info.map_extra = map.extra;
  object.name.copy(info.name, sizeof info.name - 1);
  if (object.btf) {
    info.btf_id = object.btf->id();
    info.btf_key_type_id = object.btf_key_type_id;
    info.btf_value_type_id = object.btf_value_type_id;
  }
  info.btf_vmlinux_value_type_id = object.btf_vmlinux_value_type_id;
  return close_info(call, to, info);
}

// Kernel: btf_get_info_by_fd. A name that does not fit is cut and told by ENOSPC, with everything else filled in.
Result<u64> btf_info(BpfCall& call, const Btf& btf) {
  Info to = TRY(open_info(call, sizeof(bpf_btf_info), sizeof(bpf_btf_info)));
  bpf_btf_info info{};
  TRY(call.task.read(to.address, &info, to.size));
  info.id = btf.id();
  auto raw = btf.raw();
  u32 copied = std::min<u32>(static_cast<u32>(raw.size()), info.btf_size);
  TRY(call.copy_out(info.btf, raw.data(), copied));
  info.btf_size = static_cast<u32>(raw.size());
  info.kernel_btf = btf.is_kernel();
  u32 room = info.name_len;
  if (!info.name != !room) return fail(EINVAL);
  info.name_len = static_cast<u32>(btf.name().size());
  Result<void> named;
  if (info.name) named = call.copy_out_name(info.name, room, btf.name());
  if (!named && named.error().value != ENOSPC) return fail(named.error().value);
  TRY(close_info(call, to, info));
  if (!named) return fail(ENOSPC);
  return 0;
}

// Kernel: bpf_raw_tp_link_fill_link_info, bpf_iter_link_fill_link_info.
Result<void> put_link_name(BpfCall& call, u64 to, u32& length, const std::string& name) {
  const u32 room = length;
  if (!to != !room) return fail(EINVAL);
  length = static_cast<u32>(name.size() + 1);
  return to ? call.copy_out_name(to, room, name) : Result<void>{};
}

// Kernel: bpf_link_get_info_by_fd.
Result<u64> link_info(BpfCall& call, const Link& link) {
  call.system.networks.look_again(call.task);
  Info to = TRY(open_info(call, sizeof(bpf_link_info), sizeof(bpf_link_info)));
  bpf_link_info info{};
  TRY(call.task.read(to.address, &info, to.size));
  info.type = link.type();
  info.id = link.id();
  if (link.program()) info.prog_id = link.program()->id();
  std::string name;
  link.fill_info(info, name);
  if (link.type() == BPF_LINK_TYPE_RAW_TRACEPOINT) {
    TRY(put_link_name(call, info.raw_tracepoint.tp_name, info.raw_tracepoint.tp_name_len, name));
  } else if (link.type() == BPF_LINK_TYPE_ITER) {
    TRY(put_link_name(call, info.iter.target_name, info.iter.target_name_len, name));
  }
  return close_info(call, to, info);
}

// What another task's descriptor is. The model has carriers in supervised tasks only; what others have is the host's.
Result<std::shared_ptr<File>> file_of_task(BpfCall& call, pid_t pid, int fd) {
  if (Task* task = call.system.host.find_local(call.task, pid)) return call.system.files.find(*task, fd);
  struct stat st;
  std::string process = "/proc/" + std::to_string(pid);
  if (::stat(process.c_str(), &st) != 0) return fail(ENOENT);
  return nullptr;
}

// Kernel: bpf_task_fd_query_copy.
Result<u64> put_query(BpfCall& call, const FdQuery& query) {
  auto& attr = call.attr.task_fd_query;
  TRY(call.put_attr(offsetof(bpf_attr, task_fd_query.buf_len), static_cast<u32>(query.name.size())));
  Result<void> named;
  if (attr.buf_len && attr.buf) named = call.copy_out_name(attr.buf, attr.buf_len, query.name);
  if (!named && named.error().value != ENOSPC) return fail(named.error().value);
  TRY(call.put_attr(offsetof(bpf_attr, task_fd_query.prog_id), query.prog_id));
  TRY(call.put_attr(offsetof(bpf_attr, task_fd_query.fd_type), query.fd_type));
  TRY(call.put_attr(offsetof(bpf_attr, task_fd_query.probe_offset), query.probe_offset));
  TRY(call.put_attr(offsetof(bpf_attr, task_fd_query.probe_addr), query.probe_addr));
  if (!named) return fail(ENOSPC);
  return 0;
}

}  // namespace

Result<u64> obj_get_info(BpfCall& call) {
  auto file = call.system.files.find(call.task, static_cast<int>(call.attr.info.bpf_fd));
  if (!file) return fail(file.error().value == EBADF ? kErrBadFd : file.error().value);
  auto object = *file ? (*file)->object() : nullptr;
  if (!object) return fail(check_open(call.task, static_cast<int>(call.attr.info.bpf_fd)) ? EINVAL : kErrBadFd);
  switch (object->kind()) {
    case ObjectKind::kProgram: return program_info(call, static_cast<Program&>(*object));
    case ObjectKind::kMap: return map_info(call, static_cast<MapObject&>(*object));
    case ObjectKind::kBtf: return btf_info(call, static_cast<Btf&>(*object));
    case ObjectKind::kLink: return link_info(call, static_cast<Link&>(*object));
    default: return fail(EINVAL);
  }
}

Result<u64> task_fd_query(BpfCall& call) {
  if (!call.caps.sys_admin) return fail(EPERM);
  auto& attr = call.attr.task_fd_query;
  if (attr.flags) return fail(EINVAL);
  auto file = TRY(file_of_task(call, static_cast<pid_t>(attr.pid), static_cast<int>(attr.fd)));
  auto object = file ? file->object() : nullptr;
  if (object && object->kind() == ObjectKind::kLink) {
    auto& link = static_cast<Link&>(*object);
    if (link.type() != BPF_LINK_TYPE_RAW_TRACEPOINT) return fail(ENOTSUPP);
    return put_query(call, static_cast<RawTracepointLink&>(link).query());
  }
  if (object && object->kind() == ObjectKind::kPerfEvent) {
    return put_query(call, TRY(query_perf_event(static_cast<PerfEvent&>(*object))));
  }
  return fail(ENOTSUPP);
}

}  // namespace bpfemu
