// SPDX-License-Identifier: Apache-2.0
#include "loader/fiber.h"

#include <sys/mman.h>

#include <memory>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif

// Every stop is handled on a fiber, so a switch must cost nothing: what the ABI says a callee keeps is pushed, and no
// signal mask is asked for, as swapcontext would.
asm(R"(
.text
.p2align 4
.type bpfemu_switch_stacks, @function
bpfemu_switch_stacks:   # (void** from, void* to)
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  subq $8, %rsp
  stmxcsr (%rsp)
  fnstcw 4(%rsp)
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  ldmxcsr (%rsp)
  fldcw 4(%rsp)
  addq $8, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size bpfemu_switch_stacks, . - bpfemu_switch_stacks
.p2align 4
.type bpfemu_fiber_start, @function
bpfemu_fiber_start:     # the first return of a switch: r12(rbx)
  xorl %ebp, %ebp
  movq %rbx, %rdi
  callq *%r12
  ud2
.size bpfemu_fiber_start, . - bpfemu_fiber_start
)");

extern "C" {
void bpfemu_switch_stacks(void** from, void* to);
void bpfemu_fiber_start();
}

namespace bpfemu {

namespace {

constexpr size_t kGuard = 4096, kStack = 1 << 20;

// As bpfemu_switch_stacks pushes it.
struct Saved {
  u32 mxcsr, x87;
  void *r15, *r14, *r13;
  void (*r12)(Fiber*);
  Fiber* rbx;
  void* rbp;
  void (*rip)();
  void* top[2];  // so that the first function finds the stack aligned
};
constexpr u32 kMxcsr = 0x1f80, kX87 = 0x37f;

// Said before and after every switch of stacks.
void leave([[maybe_unused]] void** fake, [[maybe_unused]] const void* to, [[maybe_unused]] size_t size) {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(fake, to, size);
#endif
}

void arrive([[maybe_unused]] void* fake, [[maybe_unused]] const void** from, [[maybe_unused]] size_t* size) {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(fake, from, size);
#endif
}

// What is on its stack is in use, as what is on a thread's is.
void keep([[maybe_unused]] void* stack) {
#ifdef __SANITIZE_ADDRESS__
  __lsan_register_root_region(static_cast<char*>(stack) + kGuard, kStack);
#endif
}

void forget([[maybe_unused]] void* stack) {
#ifdef __SANITIZE_ADDRESS__
  __lsan_unregister_root_region(static_cast<char*>(stack) + kGuard, kStack);
#endif
}

}  // namespace

std::unique_ptr<Fiber> Fiber::make() {
  void* const stack = ::mmap(nullptr, kGuard + kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (stack == MAP_FAILED) return nullptr;
  ::mprotect(stack, kGuard, PROT_NONE);
  keep(stack);
  return std::unique_ptr<Fiber>(new Fiber(stack));
}

void Fiber::begin(std::function<void()> body) {
  body_ = std::move(body);
  done_ = false;
  auto* const saved = reinterpret_cast<Saved*>(static_cast<char*>(stack_) + kGuard + kStack) - 1;
  *saved = {kMxcsr, kX87, nullptr, nullptr, nullptr, enter, this, nullptr, bpfemu_fiber_start, {}};
  own_ = saved;
}

void Fiber::abandon(std::unique_ptr<Fiber> fiber) {
  [[maybe_unused]] Fiber* const kept = fiber.release();
#ifdef __SANITIZE_ADDRESS__
  __lsan_ignore_object(kept);
#endif
}

Fiber::~Fiber() {
  forget(stack_);
  ::munmap(stack_, kGuard + kStack);
}

void Fiber::enter(Fiber* self) {
  self->run();
}

void Fiber::run() {
  arrive(nullptr, &caller_stack_, &caller_size_);
  body_();
  body_ = nullptr;
  done_ = true;
  leave(nullptr, caller_stack_, caller_size_);
  bpfemu_switch_stacks(&own_, caller_);
}

void Fiber::resume() {
  leave(&caller_fake_, static_cast<char*>(stack_) + kGuard, kStack);
  bpfemu_switch_stacks(&caller_, own_);
  arrive(caller_fake_, nullptr, nullptr);
}

void Fiber::pause() {
  leave(&own_fake_, caller_stack_, caller_size_);
  bpfemu_switch_stacks(&own_, caller_);
  arrive(own_fake_, &caller_stack_, &caller_size_);
}

}  // namespace bpfemu
