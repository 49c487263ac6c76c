// SPDX-License-Identifier: Apache-2.0
// Functions of the program: called, or handed to helpers that call them.
#include "tests/fuzz/verifier_gen.h"

namespace bpfemu::fuzz {

size_t Generator::make_function(std::vector<Value> args, bool callback) {
  size_t number = functions_.size();
  functions_.push_back(std::make_unique<Function>());
  functions_.back()->args = args;
  functions_.back()->callback = callback;
  functions_.back()->depth = function().depth + 1;
  State saved_state = state_;
  size_t saved = current_;
  u32 nesting = nesting_, in_loop = in_loop_;
  current_ = number;
  state_ = {};
  nesting_ = 1;
  reg_at(10) = {.kind = Kind::kStack};
  for (size_t i = 0; i < args.size(); ++i) state_.regs[i + 1] = args[i];
  for (size_t i = 0; i < args.size(); ++i) {
    if (chance(60) && args[i].kind != Kind::kNone) copy(6 + static_cast<int>(i % 4), static_cast<int>(i) + 1);
  }
  block(1 + random_.below(6));
  finish();
  current_ = saved;
  state_ = saved_state;
  nesting_ = nesting, in_loop_ = in_loop;
  return number;
}

void Generator::call_function() {
  if (function().depth > 2 && !slips()) return;
  std::vector<Value> args;
  bool again = functions_.size() > 1 && chance(50);
  size_t callee = again ? 1 + random_.below(functions_.size() - 1) : functions_.size();
  if (!again && functions_.size() >= kMostFunctions) return;
  if (again && (functions_[callee]->callback || functions_[callee]->depth <= function().depth) && !slips()) return;
  if (program_.functions == FunctionInfo::kGlobal && !slips()) {
    // It is verified by itself, for any number.
    int have = find(6, 9, [](const Value& value) { return value.is_scalar(); });
    if (have >= 0)
      copy(1, have);
    else
      set_constant(1, between(0, 99));
    if (!again) callee = make_function({scalar(0xffffffff)}, false);
    if (functions_[callee]->args.size() > 1) return;
    function().calls.emplace_back(function().insns.size(), callee);
    emit(Op{BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 0});
    for (int reg = 1; reg < 6; ++reg) reg_at(reg) = {};
    reg_at(0) = scalar();
    state_.forget_packet();
    return;
  }
  u64 count = again ? functions_[callee]->args.size() : random_.below(4);
  for (int reg = 1; reg <= static_cast<int>(count); ++reg) {
    Value wanted = again ? functions_[callee]->args[static_cast<size_t>(reg) - 1] : Value{};
    int have = -1;
    if (again) {
      have = find(6, 9, [&](const Value& value) {
        return value.kind == wanted.kind && value.map == wanted.map && value.size >= wanted.size &&
               value.max <= wanted.max && value.maybe_null == wanted.maybe_null && !value.reference;
      });
    } else if (chance(70)) {
      have = find(6, 9, [](const Value& value) { return value.kind != Kind::kNone && !value.reference; });
    }
    if (have >= 0) {
      copy(reg, have);
    } else if (again ? wanted.kind == Kind::kMemory : chance(40)) {
      int size = again ? wanted.size : 8 * between(1, 3);
      copy(reg, 10);
      add(reg, stack_area(size, true));
      reg_at(reg) = {.kind = Kind::kMemory, .size = size};
    } else {
      set_constant(reg, between(0, 20));
      reg_at(reg).max = again ? wanted.max : ~u64{0};
    }
    args.push_back(reg_at(reg));
    if (args.back().is_scalar()) args.back().max = ~u64{0};
  }
  if (!again) callee = make_function(args, false);
  function().calls.emplace_back(function().insns.size(), callee);
  emit(Op{BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 0});
  for (int reg = 1; reg < 6; ++reg) reg_at(reg) = {};
  reg_at(0) = scalar();
  state_.forget_packet();
}

// bpf_loop or bpf_for_each_map_elem with a function of its own.
void Generator::random_callback() {
  if (functions_.size() >= kMostFunctions || function().depth > 1) return;
  if (program_.functions == FunctionInfo::kNone && !slips()) return;
  bool elements = chance(50);
  bool with_area = chance(70);
  int size = 8 * between(1, 4);
  int area = with_area ? stack_area(size, true) : 0;
  Value context = with_area ? Value{.kind = Kind::kMemory, .size = size} : scalar(0);
  if (elements) {
    static constexpr int maps[] = {kArray8, kArray48, kHash16, kHash5, kPercpuArray, kPercpuHash, kLruHash};
    last_map_ = random_.pick(maps);
    if (slips()) last_map_ = between(0, kMapCount - 1);
    const MapSpec& spec = map_spec(last_map_);
    Value key = {.kind = Kind::kMemory, .writable = false, .size = static_cast<int>(spec.key)};
    Value value = {.kind = Kind::kMapValue, .size = static_cast<int>(spec.value), .map = last_map_};
    size_t callback = make_function({{.kind = Kind::kMap}, key, value, context}, true);
    load_map(1, last_map_);
    function().calls.emplace_back(function().insns.size(), callback);
  } else {
    size_t callback = make_function({scalar(), context}, true);
    int have = find(6, 9, [](const Value& value) { return value.is_scalar(); });
    if (have >= 0 && chance(40)) {
      copy(1, have);
      if (!slips())
        limit(1, 15);
      else
        program_.runs = false;
    } else {
      set_constant(1, between(0, 10));
    }
    function().calls.emplace_back(function().insns.size(), callback);
  }
  emit(Op{BPF_LD | BPF_IMM | BPF_DW, 2, BPF_PSEUDO_FUNC, 0, 0});
  emit(Op{0, 0, 0, 0, 0});
  if (with_area) {
    copy(3, 10);
    add(3, area);
  } else {
    set_constant(3, 0);
  }
  set_constant(4, slips() ? 1 : 0);
  call(elements ? BPF_FUNC_for_each_map_elem : BPF_FUNC_loop, scalar());
  state_.forget_packet();
}

}  // namespace bpfemu::fuzz
