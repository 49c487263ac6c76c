// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/verifier_gen.h"

#include <algorithm>

namespace bpfemu::fuzz {

namespace {

constexpr TypeSpec kTypes[] = {
#define FUZZ_TYPE(...) {__VA_ARGS__},
#include "tests/fuzz/verifier_types.inc"
#undef FUZZ_TYPE
};
constexpr size_t kMostInsns = 900;

bool nobody_may_load(u32 type) {
  return type == BPF_PROG_TYPE_SOCKET_FILTER || type == BPF_PROG_TYPE_CGROUP_SKB;
}

}  // namespace

Generator::Generator(u64 seed) : random_(seed) {
  program_.seed = seed;
}

void Generator::choose_kind() {
  u64 privilege = random_.below(100);
  program_.privilege = privilege < 20 ? Privilege::kNobody : privilege < 65 ? Privilege::kNetwork : Privilege::kFull;
  auto allowed = [&](const TypeSpec& type) {
    return (privileged() || nobody_may_load(type.type)) &&
           !(program_.privilege == Privilege::kNetwork && (type.groups & kTrace));
  };
  u64 total = 0;
  for (const TypeSpec& type : kTypes) total += allowed(type) ? type.weight : 0;
  u64 at = random_.below(total);
  for (const TypeSpec& type : kTypes) {
    if (!allowed(type)) continue;
    if (at < type.weight) {
      type_ = type;
      break;
    }
    at -= type.weight;
  }
  program_.type = type_.type;
  program_.attach = type_.attach;
  program_.runs = type_.runs;
  if (type_.target) program_.target = type_.target;
  if (program_.privilege == Privilege::kFull) type_.groups |= kPerf;
  static constexpr FunctionInfo infos[] = {FunctionInfo::kNone, FunctionInfo::kStatic, FunctionInfo::kStatic,
                                           FunctionInfo::kGlobal};
  program_.functions = random_.pick(infos);
  program_.log_level = random_.one_in(3) ? 2 : 1;
  if (type_.type == BPF_PROG_TYPE_SYSCALL) program_.flags = BPF_F_SLEEPABLE;
  if (random_.one_in(16)) program_.flags |= BPF_F_STRICT_ALIGNMENT;
  static constexpr u64 rates[] = {0, 0, 0, 5, 10, 30, 60};
  slip_rate_ = random_.pick(rates);
}

Program Generator::make() {
  choose_kind();
  functions_.push_back(std::make_unique<Function>());
  reg_at(1) = {.kind = Kind::kCtx};
  reg_at(10) = {.kind = Kind::kStack};
  if (chance(90)) copy(6, 1);
  body(2 + random_.below(random_.one_in(4) ? 40 : 14));
  finish();
  program_.insns = link();
  if (chance(15)) mutate(program_.insns);
  return program_;
}

// Changes one instruction, whatever the consequences.
void Generator::mutate(std::vector<Insn>& insns) {
  Insn& insn = insns[random_.below(insns.size())];
  bool is_call = insn.code == (BPF_JMP | BPF_CALL);
  static constexpr u8 codes[] = {
      BPF_ALU64 | BPF_ADD | BPF_X, BPF_ALU64 | BPF_SUB | BPF_X, BPF_ALU | BPF_MOV | BPF_X, BPF_ALU64 | BPF_MOV | BPF_X,
      BPF_LDX | BPF_MEM | BPF_DW,  BPF_STX | BPF_MEM | BPF_DW,  BPF_JMP | BPF_JA,          BPF_JMP | BPF_EXIT,
      BPF_ALU64 | BPF_AND | BPF_K, BPF_STX | BPF_MEM | BPF_B,   BPF_LDX | BPF_MEM | BPF_W, BPF_ALU | BPF_NEG};
  switch (random_.below(8)) {
    case 0: insn.off = static_cast<s16>(insn.off + between(-3, 3)); break;
    case 1: insn.imm += between(-2, 2); break;
    case 2: insn.imm = static_cast<s32>(random_.odd()); break;
    case 3: insn.dst_reg = static_cast<u8>(random_.below(12)) & 15; break;
    case 4: insn.src_reg = static_cast<u8>(random_.below(12)) & 15; break;
    case 5: insn.code = random_.pick(codes); break;
    case 6: insn.off = static_cast<s16>(random_.odd()); break;
    default: insn.code ^= static_cast<u8>(1u << random_.below(8)); break;
  }
  // A changed call may be one of a helper that answers differently each time, or to a loop without a near end.
  bool loops = std::ranges::any_of(
      insns, [](const Insn& i) { return i.code == (BPF_JMP | BPF_CALL) && i.src_reg == 0 && i.imm == BPF_FUNC_loop; });
  if (is_call || insn.code == (BPF_JMP | BPF_CALL) || loops) program_.runs = false;
}

// One function after another, calls filled in.
std::vector<Insn> Generator::link() {
  std::vector<size_t> starts;
  std::vector<Insn> all;
  for (auto& function : functions_) {
    starts.push_back(all.size());
    all.insert(all.end(), function->insns.begin(), function->insns.end());
  }
  for (size_t number = 0; number < functions_.size(); ++number) {
    for (auto [at, callee] : functions_[number]->calls) {
      size_t insn = starts[number] + at;
      all[insn].imm = static_cast<s32>(starts[callee]) - static_cast<s32>(insn) - 1;
    }
  }
  return all;
}

void Generator::statement() {
  struct Choice {
    u32 weight;
    Statement make;
    bool needs_privilege = false;
  };
  using G = Generator;
  static constexpr Choice choices[] = {
      {14, &G::arithmetic},
      {5, &G::move},
      {6, &G::bound},
      {3, &G::wide_constant},
      {2, &G::byte_swap},
      {4, &G::pointer_arithmetic},
      {2, &G::compare_pointers},
      {8, &G::stack_store},
      {8, &G::stack_load},
      {6, &G::spill},
      {6, &G::fill},
      {12, &G::access_area},
      {4, &G::atomic},
      {6, &G::load_context},
      {2, &G::store_context},
      {9, &G::packet},
      {2, &G::load_packet_old},
      {7, &G::object},
      {3, &G::map_value_address},
      {10, &G::lookup},
      {1, &G::inner_lookup},
      {12, &G::call_some_helper},
      {2, &G::lock, true},
      {1, &G::timer, true},
      {4, &G::ring_record},
      {1, &G::ring_dynptr, true},
      {2, &G::memory_dynptr, true},
      {2, &G::socket},
      {1, &G::socket_storage},
      {2, &G::tail_call},
      {8, &G::condition_and_blocks},
      {3, &G::loop, true},
      {4, &G::call_function, true},
      {3, &G::random_callback, true},
      {3, &G::check_pending_null},
  };
  static constexpr u64 total = [] {
    u64 sum = 0;
    for (const Choice& choice : choices) sum += choice.weight;
    return sum;
  }();
  u64 at = random_.below(total);
  for (const Choice& choice : choices) {
    if (at >= choice.weight) {
      at -= choice.weight;
      continue;
    }
    if (choice.needs_privilege && !privileged() && !slips()) return;
    (this->*choice.make)();
    return;
  }
}

void Generator::body(u64 statements) {
  while (statements-- && function().insns.size() < kMostInsns) statement();
}

// A part that may not run: gives back what it acquires.
void Generator::block(u64 statements) {
  std::vector<int> held = state_.references;
  ++nesting_;
  body(statements);
  --nesting_;
  for (int reference : std::vector(state_.references)) {
    if (!std::ranges::count(held, reference) && !slips()) release(reference, -1);
  }
}

void Generator::condition_and_blocks() {
  if (nesting_ > 3) return;
  bool narrow;
  size_t to_else = jump(condition(number(), narrow));
  State before = state_;
  block(1 + random_.below(4));
  if (chance(50)) {
    land(to_else);
    state_.meet(before);
    return;
  }
  size_t to_end = jump(Op{BPF_JMP | BPF_JA, 0, 0, 0, 0});
  land(to_else);
  State after_then = state_;
  state_ = before;
  block(1 + random_.below(3));
  land(to_end);
  state_.meet(after_then);
}

// for (i = 0; i < n; i++), the registers that the body finds are left alone by it.
void Generator::loop() {
  if (in_loop_ > 1 || nesting_ > 2) return;
  int counter = fresh(true);
  if ((state_.pinned >> counter) & 1) return;
  set_constant(counter, 0);
  u32 pinned = state_.pinned;
  state_.pinned |= 1u << counter;
  for (int reg = 0; reg < 10; ++reg) {
    if (!((pinned >> reg) & 1) && reg != counter && (chance(50) || reg_at(reg).is_scalar())) {
      if (reg_at(reg).is_scalar() && chance(60))
        reg_at(reg).max = ~u64{0};
      else if (!reg_at(reg).reference)
        reg_at(reg) = {};
    }
    if (reg_at(reg).kind != Kind::kNone && !reg_at(reg).is_scalar()) state_.pinned |= 1u << reg;
  }
  // What changed in one pass does not hold at the start of the next.
  for (Value& slot : state_.stack.spilled) {
    if (!slot.reference) slot = {};
  }
  reg_at(counter) = scalar(8);
  size_t head = function().insns.size();
  State before = state_;
  ++in_loop_;
  block(1 + random_.below(4));
  --in_loop_;
  add(counter, slips() && chance(30) ? 0 : 1);
  s64 passes = slips() ? 50 : between(1, in_loop_ ? 4 : 9);
  static constexpr u8 codes[] = {BPF_JLT, BPF_JNE, BPF_JSLT};
  u8 klass = chance(70) ? BPF_JMP : BPF_JMP32;
  u8 code = random_.pick(codes);
  // Followed speculatively, a signed comparison keeps the loop going for a million instructions: only now and then.
  if (code == BPF_JSLT && !may_leak() && !random_.one_in(50)) code = BPF_JLT;
  size_t back = jump(Op{klass | code | BPF_K, counter, 0, 0, passes});
  function().insns[back].off = static_cast<s16>(static_cast<s64>(head) - static_cast<s64>(back) - 1);
  state_.meet(before);
  state_.pinned = pinned;
}

// The end of the function on this path; the state is that of the paths that go on.
void Generator::leave(int reference_gone) {
  State kept = state_;
  if (reference_gone) std::erase(state_.references, reference_gone);
  finish();
  state_ = kept;
}

void Generator::finish() {
  if (current_ == 0) {
    for (int reference : std::vector(state_.references)) {
      if (!slips()) release(reference, -1);
    }
  }
  int most = function().callback ? 1 : current_ ? -1 : type_.most;
  int result = find(0, 9, [](const Value& value) { return value.is_scalar(); });
  if (most < 0 && result >= 0 && chance(80)) {
    if (result != 0) copy(0, result);
  } else if (!slips()) {
    set_constant(0, most < 0 ? between(-1, 3) : between(0, most));
  }
  emit(Op{BPF_JMP | BPF_EXIT, 0, 0, 0, 0});
}

void Generator::null_check(int reg) {
  Value value = reg_at(reg);
  auto known = [&](State& state) {
    for (Value& other : state.regs) {
      if (other == value) other.maybe_null = false;
    }
    for (Value& other : state.stack.spilled) {
      if (other == value) other.maybe_null = false;
    }
  };
  if (!slips()) {
    if (chance(85)) {
      size_t over = jump(Op{BPF_JMP | BPF_JNE | BPF_K, reg, 0, 0, 0});
      leave(value.reference);
      land(over);
    } else if (nesting_ < 3 && !value.reference) {
      size_t over = jump(Op{BPF_JMP | BPF_JEQ | BPF_K, reg, 0, 0, 0});
      State before = state_;
      known(state_);
      block(1 + random_.below(3));
      land(over);
      state_.meet(before);
      return;
    } else {
      size_t to_null = jump(Op{BPF_JMP | BPF_JEQ | BPF_K, reg, 0, 0, 0});
      size_t over = jump(Op{BPF_JMP | BPF_JA, 0, 0, 0, 0});
      land(to_null);
      leave(value.reference);
      land(over);
    }
  }
  known(state_);
}

void Generator::check_pending_null() {
  int reg = find(0, 9, [](const Value& value) { return value.maybe_null; });
  if (reg >= 0) null_check(reg);
}

int Generator::fresh(bool saved) {
  int from = saved ? 6 : 0;
  for (int tries = 0; tries < 12; ++tries) {
    int reg = between(from, 9);
    const Value& value = reg_at(reg);
    if ((state_.pinned >> reg) & 1) continue;
    if (value.reference && std::ranges::count(state_.references, value.reference)) continue;
    // The context is needed again.
    if (value.kind == Kind::kCtx && tries < 9 &&
        find(6, 9, [](const Value& v) { return v.kind == Kind::kCtx; }) == reg) {
      continue;
    }
    return reg;
  }
  for (int reg = from; reg < 10; ++reg) {
    if (!((state_.pinned >> reg) & 1) && !reg_at(reg).reference) return reg;
  }
  return saved ? 9 : 0;
}

}  // namespace bpfemu::fuzz
