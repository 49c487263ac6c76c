// SPDX-License-Identifier: Apache-2.0
// Makes programs that look like somebody's: it knows which register holds what, checks bounds and NULL before use,
// calls helpers with what they take. Now and then it slips, at a rate that each program has for itself, so that about
// half of the programs break a rule somewhere. The same seed makes the same program.
#pragma once

#include <memory>

#include "tests/fuzz/random.h"
#include "tests/fuzz/verifier_maps.h"
#include "tests/fuzz/verifier_program.h"
#include "tests/fuzz/verifier_state.h"

namespace bpfemu::fuzz {

// Which helpers a program type is likely to have.
inline constexpr u32 kNoGroup = 0, kSkb = 1, kSkbWrite = 2, kXdp = 4, kSock = 8, kTrace = 16, kNumber = 32, kAny = 64,
                     kPerf = 128;

inline constexpr size_t kMostFunctions = 6;  // of a program

struct TypeSpec {
  u32 type, attach, weight;
  int ctx_size, packet, end, meta;
  u32 groups;
  int most;  // the highest result allowed, -1: any
  bool runs;
  const char* target = nullptr;
};

class Generator {
 public:
  explicit Generator(u64 seed);
  Program make();

 private:
  struct Function {
    std::vector<Insn> insns;
    std::vector<std::pair<size_t, size_t>> calls;  // instruction, number of the function that it names
    std::vector<Value> args;
    bool callback = false;
    u32 depth = 0;
  };
  using Statement = void (Generator::*)();

  // verifier_gen.cc: the whole, control flow.
  void choose_kind();
  void mutate(std::vector<Insn>& insns);
  std::vector<Insn> link();
  void statement();
  void body(u64 statements);
  void block(u64 statements);
  void condition_and_blocks();
  void loop();
  void leave(int reference_gone = 0);
  void finish();
  void null_check(int reg);
  void check_pending_null();

  // verifier_functions.cc
  void call_function();
  size_t make_function(std::vector<Value> args, bool callback);
  void random_callback();

  // verifier_values.cc: registers and arithmetic.
  void arithmetic();
  void move();
  void bound();
  void limit(int reg, u64 most);
  void wide_constant();
  void byte_swap();
  void pointer_arithmetic();
  void compare_pointers();
  int number();
  int number_in(u32 from, u32 to);
  Insn condition(int reg, bool& narrow);

  // verifier_memory.cc: stack, areas, context, packet.
  void stack_store();
  void stack_load();
  void spill();
  void fill();
  void access_area();
  void access(int reg, const Value& area, bool only_at_start = false);
  void one_access(int reg, int off, int size, bool writable);
  void atomic();
  void load_context();
  void store_context();
  void packet();
  void object();
  void load_packet_old();
  void map_value_address();
  void write_stack(int off, int size);
  int stack_area(int size, bool written);

  // verifier_calls.cc: helpers.
  void lookup();
  void inner_lookup();
  void call_some_helper();
  void tail_call();
  bool arguments(const char* letters);
  bool argument(int reg, char letter);
  void area_argument(int reg, bool write);
  void size_argument(int reg, bool zero_is_fine);
  void key_argument(int reg, int map);
  void call(int helper, Value result);
  int element_map();
  bool may_lock() const;
  void load_map(int reg, int map);

  // verifier_objects.cc
  void lock();
  void timer();
  void ring_record();
  void ring_dynptr();
  void memory_dynptr();
  void use_dynptr(int off, int size, int readable);
  void socket();
  void socket_storage();
  void release(int reference, int reg);

  void emit(const Insn& insn) { function().insns.push_back(insn); }
  void set_constant(int reg, s64 value) {
    emit(Op{BPF_ALU64 | BPF_MOV | BPF_K, reg, 0, 0, value});
    reg_at(reg) = scalar(value < 0 ? ~u64{0} : static_cast<u64>(value));
  }
  void copy(int to, int from) {
    emit(Op{BPF_ALU64 | BPF_MOV | BPF_X, to, from, 0, 0});
    reg_at(to) = reg_at(from);
  }
  void add(int reg, s64 value) { emit(Op{BPF_ALU64 | BPF_ADD | BPF_K, reg, 0, 0, value}); }
  size_t jump(Insn insn) {
    emit(insn);
    return function().insns.size() - 1;
  }
  void land(size_t jump) { function().insns[jump].off = static_cast<s16>(function().insns.size() - jump - 1); }
  Function& function() { return *functions_[current_]; }
  Value& reg_at(int reg) { return state_.regs[static_cast<size_t>(reg)]; }
  bool slips() { return random_.below(1000) < slip_rate_; }
  bool chance(u64 percent) { return random_.below(100) < percent; }
  int between(int low, int high) {
    return low < high ? low + static_cast<int>(random_.below(static_cast<u64>(high - low + 1))) : low;
  }
  bool privileged() const { return program_.privilege != Privilege::kNobody; }
  // May pointers be compared, spilled ones overwritten in part?
  bool may_leak() const { return program_.privilege == Privilege::kFull; }
  // A register for a new value; one of r6 to r9 if it is to live over calls.
  int fresh(bool saved = false);
  // One of the registers from..to that satisfies the condition, -1: none.
  template <class F>
  int find(int from, int to, F&& good) {
    int found = -1;
    u64 seen = 0;
    for (int reg = from; reg <= to; ++reg) {
      if (good(reg_at(reg)) && random_.one_in(++seen)) found = reg;
    }
    return found;
  }

  Random random_;
  Program program_;
  TypeSpec type_{};
  u64 slip_rate_ = 0;  // in a thousand
  std::vector<std::unique_ptr<Function>> functions_;
  size_t current_ = 0;
  State state_;
  u32 nesting_ = 0;
  u32 in_loop_ = 0;
  int last_reference_ = 0;
  int last_map_ = 0;   // of the call being prepared
  int last_size_ = 0;  // of the area that was last made an argument
};

}  // namespace bpfemu::fuzz
