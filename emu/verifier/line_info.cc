// SPDX-License-Identifier: Apache-2.0
// What a compiler said of the program: functions and source lines (kernel: check_btf_info).
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>

#include "emu/verifier/btf_kind.h"
#include "emu/verifier/checker.h"
#include "emu/verifier/info_record.h"

namespace bpfemu {

namespace {

constexpr u32 kMinFuncRecord = 8, kMinLineRecord = offsetof(bpf_line_info, line_col) + sizeof(u32);
}  // namespace

// Without BTF nobody knows what a function returns, so none may return early by itself.
Check Checker::check_abnormal_return() {
  for (u32 i = 1; i < subprog_count(); ++i) {
    if (subprogs_[i].has_ld_abs) return reject(EINVAL, "LD_ABS is not allowed in subprogs without BTF\n");
    if (subprogs_[i].has_tail_call) return reject(EINVAL, "tail_call is not allowed in subprogs without BTF\n");
  }
  return {};
}

Check Checker::check_func_info() {
  u32 count = request_.func_info_cnt, size = request_.func_info_rec_size;
  if (!count) return check_abnormal_return();
  if (count != subprog_count()) {
    return reject(EINVAL, "number of funcs in func_info doesn't match number of subprogs\n");
  }
  if (!is_record_size(size, kMinFuncRecord)) return reject(EINVAL, "invalid func info rec size {}\n", size);
  const Btf& btf = *request_.btf;
  std::vector<bpf_func_info> functions;
  std::vector<FuncFacts> facts;
  for (u32 i = 0; i < count; ++i) {
    auto read = record_at<bpf_func_info>(request_.func_info, size, i);
    if (!read) {
      if (read.error().value == E2BIG) log_.print("nonzero tailing record in func info");
      return std::unexpected(read.error());
    }
    bpf_func_info info = *read;
    if (i == 0 && info.insn_off) {
      return reject(EINVAL, "nonzero insn_off {} for the first func info record", info.insn_off);
    }
    if (i && info.insn_off <= functions.back().insn_off) {
      return reject(EINVAL, "same or smaller insn offset ({}) than previous func info record ({})", info.insn_off,
                    functions.back().insn_off);
    }
    const Subprog& subprog = subprogs_[i];
    if (subprog.start != info.insn_off) {
      return reject(EINVAL, "func_info BTF section doesn't match subprog layout in BPF program\n");
    }
    const btf_type* type = btf.type(info.type_id);
    if (!type || Btf::kind(*type) != BTF_KIND_FUNC) {
      return reject(EINVAL, "invalid type id {} in func info", static_cast<s32>(info.type_id));
    }
    const btf_type* proto = btf.type(type->type);
    if (!proto || Btf::kind(*proto) != BTF_KIND_FUNC_PROTO) return fail(EINVAL);
    const btf_type* result = btf.skip_modifiers(proto->type);
    bool scalar = result && is_int_or_enum(*result) && (Btf::kind(*result) != BTF_KIND_INT || result->size <= 8);
    if (i && !scalar && subprog.has_ld_abs) {
      return reject(EINVAL, "LD_ABS is only allowed in functions that return 'int'.\n");
    }
    if (i && !scalar && subprog.has_tail_call) {
      return reject(EINVAL, "tail_call is only allowed in functions that return 'int'.\n");
    }
    functions.push_back(info);
    facts.push_back({Btf::vlen(*type), false});
  }
  func_info_ = std::move(functions);
  func_facts_ = std::move(facts);
  return {};
}

Check Checker::check_line_info() {
  u32 count = request_.line_info_cnt, size = request_.line_info_rec_size;
  if (!count) return {};
  if (count > std::numeric_limits<s32>::max() / sizeof(bpf_line_info) || !is_record_size(size, kMinLineRecord)) {
    return fail(EINVAL);
  }
  const Btf& btf = *request_.btf;
  std::vector<bpf_line_info> lines;
  u32 function = 0, previous = 0;
  for (u32 i = 0; i < count; ++i) {
    auto read = record_at<bpf_line_info>(request_.line_info, size, i);
    if (!read) {
      if (read.error().value == E2BIG) log_.print("nonzero tailing record in line_info");
      return std::unexpected(read.error());
    }
    const bpf_line_info& line = *read;
    if ((i && line.insn_off <= previous) || line.insn_off >= insn_count()) {
      return reject(EINVAL, "Invalid line_info[{}].insn_off:{} (prev_offset:{} prog->len:{})\n", i, line.insn_off,
                    previous, insn_count());
    }
    if (!insns_[line.insn_off].code) return reject(EINVAL, "Invalid insn code at line_info[{}].insn_off\n", i);
    if (!btf.string(line.line_off) || !btf.string(line.file_name_off)) {
      return reject(EINVAL, "Invalid line_info[{}].line_off or .file_name_off\n", i);
    }
    if (function != subprog_count()) {
      Subprog& next = subprogs_[function];
      if (line.insn_off == next.start) {
        next.line_info_idx = i;
        ++function;
      } else if (next.start < line.insn_off) {
        return reject(EINVAL, "missing bpf_line_info for func#{}\n", function);
      }
    }
    previous = line.insn_off;
    lines.push_back(line);
  }
  if (function != subprog_count()) {
    return reject(EINVAL, "missing bpf_line_info for {} funcs starting from func#{}\n", subprog_count() - function,
                  function);
  }
  line_info_ = std::move(lines);
  return {};
}

Check Checker::check_btf_info() {
  if (!request_.func_info_cnt && !request_.line_info_cnt) return check_abnormal_return();
  if (!request_.btf) return fail(request_.btf_error);
  if (request_.btf->is_kernel()) return fail(EACCES);
  TRY(check_func_info());
  TRY(check_line_info());
  return check_core_relos();
}

const bpf_line_info* Checker::line_of(u32 insn) const {
  if (line_info_.empty() || insn >= insn_count()) return nullptr;
  auto after = std::upper_bound(line_info_.begin() + 1, line_info_.end(), insn,
                                [](u32 at, const bpf_line_info& line) { return at < line.insn_off; });
  return &*(after - 1);
}

void Checker::print_line(u32 insn, std::string_view prefix) {
  if (!log_.wanted()) return;
  const bpf_line_info* line = line_of(insn);
  if (!line || line == last_line_) return;
  log_.append(prefix);
  std::string_view text = request_.btf->string(line->line_off);
  text.remove_prefix(std::min(text.find_first_not_of(" \t\n\v\f\r"), text.size()));
  log_.print("{}\n", text);
  last_line_ = line;
}

}  // namespace bpfemu
