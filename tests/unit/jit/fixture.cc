// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/jit/fixture.h"

#include <sys/mman.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <random>

#include "emu/arena/layout.h"
#include "emu/isa/interpreter.h"

namespace bpfemu::test {
namespace {

constexpr u64 kDataSize = 2 * kPageSize, kCodeSize = 1 << 20, kKept = 1 << 16;
constexpr u32 kHashHelper = 1001, kRepeatHelper = 1002, kKernelFunction = 77, kSlots = 3;
constexpr u64 kBudget = 200000;

u64 hash(u64 r1, u64 r2, u64 r3, u64 r4, u64 r5, Run* run) {
  // A helper may leave anything in the registers that the ABI lets it change.
  asm volatile("mov $-1, %%r9; mov %%r9, %%r10; mov %%r9, %%r11" ::: "r9", "r10", "r11");
  return ((((r1 * 3 + r2) * 5 + r3) * 7 + r4) * 11 + r5) * 13 + (run->context != nullptr);
}

u64 repeat(u64 callback, u64 context, u64 count, u64, u64, Run* run) {
  auto call = reinterpret_cast<HelperFn>(callback);
  u64 sum = 0;
  // r12 belongs to the helper; a callback has to live with whatever is in it.
  for (u64 i = 0; i < count; ++i) {
    asm volatile("mov $0x123, %%r12" ::: "r12");
    sum = sum * 17 + call(context, i, i + 1, i + 2, i + 3, run);
  }
  return sum;
}

HelperFn helper(u32 id) {
  return id == kHashHelper ? hash : id == kRepeatHelper ? repeat : nullptr;
}
HelperFn kernel_function(u32 id, s16) {
  return id == kKernelFunction ? hash : nullptr;
}

template <class T>
T* map_memory(u64 address, u64 size, int protection) {
  void* memory = mmap(reinterpret_cast<void*>(address), size, protection,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  REQUIRE(memory == reinterpret_cast<void*>(address));
  return static_cast<T*>(memory);
}

constexpr u64 kCodeAddress = kArenaBase + (1 << 24);

}  // namespace

// Data: a page with skb, packet and prog array, then one that ends with the context, where the arena ends.
Fixture::Fixture() {
  u8* data = map_memory<u8>(kArenaBase, kDataSize, PROT_READ | PROT_WRITE);
  code_ = map_memory<u8>(kCodeAddress, kCodeSize, PROT_READ | PROT_WRITE | PROT_EXEC);
  context_ = data + kDataSize - kContextSize;
  skb_ = new (data) RunSkb{};
  skb_->head = reinterpret_cast<u64>(data + 512);
  skb_->data = skb_->mac_header = skb_->head + 16;
  skb_->network_header = skb_->data + 14;
  skb_->data_end = skb_->data + 64;
  for (u8 i = 0; i < 64; ++i) reinterpret_cast<u8*>(skb_->data)[i] = static_cast<u8>(i * 37 + 200);
  prog_array_ = reinterpret_cast<ProgArray*>(data + 1024);
  prog_array_->max_entries = kSlots;
  env_.arena_end = kArenaBase + kDataSize;
  run_.env = &env_;
  // Slot 1 returns a number made from the context, the others are empty.
  Program target;
  target.insns = {{BPF_LDX | BPF_MEM | BPF_DW, 0, 1, 8, 0},
                  {BPF_ALU64 | BPF_ADD | BPF_K, 0, 0, 0, 1234},
                  {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
  target.starts = {0};
  target.stack_depths = {0};
  prog_array_->slots[1] = reinterpret_cast<u64>(install(target));
}

Fixture::~Fixture() {
  munmap(reinterpret_cast<void*>(kArenaBase), kDataSize);
  munmap(code_, kCodeSize);
}

Surroundings Fixture::surroundings() const {
  return {.context_size = kContextSize,
          .skb = reinterpret_cast<u64>(skb_),
          .prog_array = reinterpret_cast<u64>(prog_array_),
          .prog_array_size = kSlots,
          .hash_helper = kHashHelper,
          .repeat_helper = kRepeatHelper,
          .kernel_function = kKernelFunction};
}

Executable Fixture::input(const Program& program, bool bmi2) const {
  Executable input{.insns = program.insns,
                 .subprogram_starts = program.starts,
                 .stack_depths = program.stack_depths,
                 .helper = helper,
                 .kfunc = kernel_function,
                 .told_helper = {},
                 .called_maps = {},
                 .hooks = {}};
  input.bmi2 = input.bmi2 && bmi2;
  return input;
}

Context Fixture::random_context(u64 seed) {
  std::mt19937_64 random(seed);
  Context context;
  for (u64 at = 0; at < kContextSize; at += 8) {
    const u64 value = random() >> (random() % 64);
    std::memcpy(context.data() + at, &value, 8);
  }
  return context;
}

void Fixture::start_with(const Context& context) {
  std::memcpy(context_, context.data(), kContextSize);
  run_.context = context_;
  run_.tail_calls = 0;
}

Outcome Fixture::outcome(u64 result) const {
  Outcome outcome{result, {}};
  std::memcpy(outcome.context.data(), context_, kContextSize);
  return outcome;
}

Result<Outcome> Fixture::interpret(const Executable& input, const Context& context) {
  start_with(context);
  return outcome(TRY(bpfemu::interpret(input, &run_, context_, kBudget)));
}

Result<Outcome> Fixture::run(const Executable& input, const Context& context) {
  TRY(compile(input));
  return call(context);
}

Result<void> Fixture::compile(const Executable& input) {
  output_ = TRY(jit_compile(input, kCodeAddress + kKept));
  if (output_.code.size() > jit_size_bound(input) || output_.code.size() > kCodeSize - kKept) return fail(ENOSPC);
  std::memcpy(code_ + kKept, output_.code.data(), output_.code.size());
  return {};
}

Outcome Fixture::call(const Context& context) {
  start_with(context);
  return outcome(reinterpret_cast<ProgramEntry>(code_ + kKept + output_.entry)(&run_, context_));
}

ProgramText* Fixture::install(const Program& program) {
  const u64 address = kCodeAddress + installed_ + sizeof(ProgramText);
  const auto compiled = jit_compile(input(program), address);
  REQUIRE(compiled);
  auto* text = new (code_ + installed_) ProgramText{};
  std::memcpy(text + 1, compiled->code.data(), compiled->code.size());
  text->entry = reinterpret_cast<ProgramEntry>(address + compiled->entry);
  text->tail_call_entry = address + compiled->tail_call_entry;
  installed_ += (sizeof(ProgramText) + compiled->code.size() + 63) / 64 * 64;
  REQUIRE(installed_ <= kKept);
  return text;
}

}  // namespace bpfemu::test
