// SPDX-License-Identifier: Apache-2.0
// Functions of struct bpf_dummy_ops, which the kernel has for nothing else (kernel: net/bpf/bpf_dummy_struct_ops.c).
#include <string_view>

#include "emu/base/bytes.h"
#include "emu/test_run/bench.h"

namespace bpfemu {

namespace {

constexpr u32 kMostArguments = 12;  // kernel: MAX_BPF_FUNC_ARGS

// The prototype of the member that the program implements; null: it is no function of bpf_dummy_ops.
const btf_type* prototype_of(const Program& program) {
  const Btf* btf = program.attach_btf.get();
  const btf_type* structure = btf ? btf->type(program.attach_btf_id) : nullptr;
  if (!structure || std::string_view(btf->string(structure->name_off)) != "bpf_dummy_ops") return nullptr;
  const auto members = btf->members(*structure);
  if (program.expected_attach_type >= members.size()) return nullptr;
  const btf_type* pointer = btf->skip_modifiers(members[program.expected_attach_type].type);
  return pointer ? btf->type(pointer->type) : nullptr;
}

u32 run_once(const Program& program, Run& run, void* context) {
  ProgramText& text = program.text();
  run.program = &text;
  run.context = context;
  const u64 start = run.counted ? monotonic_ns() : 0;
  const u64 result = text.entry(&run, context);
  if (run.counted) ++text.stat_runs, text.stat_ns += monotonic_ns() - start;
  return static_cast<u32>(result);
}

}  // namespace

// The context is the arguments. The first is the tool's pointer to a struct bpf_dummy_ops_state: the program sees a copy,
// which goes back.
Result<void> test_run_struct_ops(TestBench& bench) {
  const TestAttr& attr = bench.attr;
  const btf_type* prototype = prototype_of(bench.program);
  if (!prototype) return fail(EOPNOTSUPP);
  const Btf& btf = *bench.program.attach_btf;
  const u32 state_size = TRY(btf.size_of(TRY(btf.find("bpf_dummy_ops_state", BTF_KIND_STRUCT))));
  if (attr.ctx_size_in != btf.params(*prototype).size() * sizeof(u64)) return fail(EINVAL);
  const auto given = TRY(bench.caller.copy_in(attr.ctx_in, attr.ctx_size_in));
  ArenaMemory memory = TRY(ArenaMemory::allocate(bench.arena, kMostArguments * sizeof(u64) + state_size));
  u8 *const arguments = memory.at(0), *const state = memory.at(kMostArguments * sizeof(u64));
  std::copy(given.begin(), given.end(), arguments);
  const u64 state_from = load<u64>(arguments);
  if (state_from) {
    const auto bytes = TRY(bench.caller.copy_in(state_from, state_size));
    std::copy(bytes.begin(), bytes.end(), state);
    store(arguments, reinterpret_cast<u64>(state));
  }
  u32 retval = 0;
  TRY(bench.caller.with_run(-1, [&](Run& run) { retval = run_once(bench.program, run, arguments); }));
  if (state_from) TRY(bench.caller.copy_out(state_from, state, state_size));
  return bench.caller.put_attr(offsetof(bpf_attr, test.retval), &retval, sizeof retval);
}

}  // namespace bpfemu
