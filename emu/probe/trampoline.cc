// SPDX-License-Identifier: Apache-2.0
#include "emu/probe/trampoline.h"

#include <fmt/format.h>

#include "emu/base/errors.h"
#include "emu/bpf/noticed.h"
#include "emu/hook/functions.h"
#include "emu/probe/contexts.h"
#include "emu/probe/probes.h"
#include "emu/probe/tracepoints.h"

namespace bpfemu {

TracingLink::TracingLink(std::shared_ptr<Program> program, std::unique_ptr<Point> point)
    : Link(BPF_LINK_TYPE_TRACING, std::move(program)), point_(std::move(point)) {
  point_->probes().trampolined.insert(program_.get());
}

TracingLink::~TracingLink() { point_->probes().trampolined.erase(program_.get()); }

void TracingLink::fill_info(bpf_link_info& info, std::string&) const {
  info.tracing.attach_type = program_->expected_attach_type;
  info.tracing.target_obj_id = program_->attach_btf->id();
  info.tracing.target_btf_id = program_->attach_btf_id;
}

std::string TracingLink::fdinfo() const {
  return fmt::format("attach_type:\t{}\n", program_->expected_attach_type);
}

namespace {

constexpr std::string_view kLsmPrefix = "bpf_lsm_";

// The function that the program's target is, or within which it is called; null: not modelled.
const KernelFunction* way_of(const Program& program, const Symbols& symbols, std::string_view target, u64 address) {
  if (program.type != BPF_PROG_TYPE_LSM) return function_at(kernel_place(symbols, address));
  if (!target.starts_with(kLsmPrefix)) return nullptr;
  const auto hook = security_hook(target.substr(kLsmPrefix.size()));
  return hook ? find_kernel_function(row_of(*hook).name) : nullptr;
}

// Puts the point where programs of the sort are called. False: none are there.
bool put_in_place(Point::Where& where, const Program& program, const KernelFunction& function, bool has_result) {
  put_on_way(where, function);
  switch (program.expected_attach_type) {
    case BPF_TRACE_FENTRY:
    case BPF_TRACE_FEXIT: return true;
    case BPF_MODIFY_RETURN: where.moment = Moment::kHookModify; break;
    case BPF_LSM_CGROUP:
    case BPF_LSM_MAC: where.moment = Moment::kHookModule; break;
    default: return false;
  }
  where.decides = has_result;
  return function.hook && is_asked(hook_of(*function.hook));
}

// What ran at boot only is no text any more (kernel: bpf_arch_text_poke).
bool is_gone(const Symbols& symbols, u64 address) {
  return address >= symbols.address("_sinittext") && address < symbols.address("_einittext");
}

}  // namespace

Result<std::optional<Point::Where>> trampoline_place(Probes& probes, const Program& program) {
  const bool on_return = program.expected_attach_type == BPF_TRACE_FEXIT;
  const Btf& btf = *program.attach_btf;
  const char* name = btf.type_name(program.attach_btf_id);
  const u64 address = name ? probes.kernel().symbols().address(name) : 0;
  const KernelFunction* function = name ? way_of(program, probes.kernel().symbols(), name, address) : nullptr;
  if (!function && (!address || is_noticed(program))) return std::nullopt;
  const btf_type& prototype = *btf.type(btf.type(program.attach_btf_id)->type);
  Point::Where where{.context = on_return ? fexit_args : fentry_args,
                     .address = address,
                     .on_return = on_return,
                     .record_size = static_cast<u32>(btf.params(prototype).size() * sizeof(u64)),
                     .name = name,
                     .newest_first = true};
  if (!function) {
    where.missing = Point::Missing{"attachment", name};
  } else if (!put_in_place(where, program, *function, prototype.type != 0)) {
    return std::nullopt;
  }
  // kernel: arch_prepare_bpf_trampoline
  constexpr size_t kMostArguments = 6;
  if (btf.params(prototype).size() > kMostArguments) return fail(ENOTSUPP);
  if (is_gone(probes.kernel().symbols(), address)) return fail(EINVAL);
  return where;
}

Result<std::shared_ptr<Link>> attach_trampoline(Probes& probes, std::shared_ptr<Program> program, u64 cookie) {
  auto where = TRY(trampoline_place(probes, *program));
  if (!where) return nullptr;
  if (probes.trampolined.contains(program.get())) return fail(EBUSY);
  auto point = std::make_unique<Point>(probes, std::move(*where));
  TRY(point->attach({program, cookie}));
  return std::make_shared<TracingLink>(std::move(program), std::move(point));
}

}  // namespace bpfemu
