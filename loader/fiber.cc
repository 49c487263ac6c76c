// SPDX-License-Identifier: Apache-2.0
#include "loader/fiber.h"

#include <sys/mman.h>

#include <memory>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

namespace bpfemu {

namespace {

constexpr size_t kGuard = 4096, kStack = 1 << 20;

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

}  // namespace

std::unique_ptr<Fiber> Fiber::make() {
  void* const stack = ::mmap(nullptr, kGuard + kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (stack == MAP_FAILED) return nullptr;
  ::mprotect(stack, kGuard, PROT_NONE);
  return std::unique_ptr<Fiber>(new Fiber(stack));
}

void Fiber::begin(std::function<void()> body) {
  body_ = std::move(body);
  done_ = false;
  ::getcontext(&own_);
  own_.uc_stack.ss_sp = static_cast<char*>(stack_) + kGuard;
  own_.uc_stack.ss_size = kStack;
  own_.uc_link = nullptr;
  const u64 self = reinterpret_cast<u64>(this);
  ::makecontext(&own_, reinterpret_cast<void (*)()>(enter), 2, static_cast<u32>(self >> 32), static_cast<u32>(self));
}

Fiber::~Fiber() {
  ::munmap(stack_, kGuard + kStack);
}

void Fiber::enter(u32 high, u32 low) {
  reinterpret_cast<Fiber*>(u64{high} << 32 | low)->run();
}

void Fiber::run() {
  arrive(nullptr, &caller_stack_, &caller_size_);
  body_();
  body_ = nullptr;
  done_ = true;
  leave(nullptr, caller_stack_, caller_size_);
  ::setcontext(&caller_);
}

void Fiber::resume() {
  leave(&caller_fake_, own_.uc_stack.ss_sp, own_.uc_stack.ss_size);
  ::swapcontext(&caller_, &own_);
  arrive(caller_fake_, nullptr, nullptr);
}

void Fiber::pause() {
  leave(&own_fake_, caller_stack_, caller_size_);
  ::swapcontext(&own_, &caller_);
  arrive(own_fake_, &caller_stack_, &caller_size_);
}

}  // namespace bpfemu
