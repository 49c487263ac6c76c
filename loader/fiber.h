// SPDX-License-Identifier: Apache-2.0
// Work with a stack of its own that can be left in the middle and taken up again: what takes long stands aside for the
// stops of others. One runs at a time, in the thread that resumes it.
#pragma once

#include <functional>
#include <memory>

#include "emu/base/types.h"

namespace bpfemu {

class Fiber {
 public:
  // Null: no memory for the stack.
  static std::unique_ptr<Fiber> make();
  ~Fiber();  // it must be done, or never have begun
  // One that does not come to its end: what is on its stack is never destroyed.
  static void abandon(std::unique_ptr<Fiber> fiber);
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // What it is to do next, once it is done with the last.
  void begin(std::function<void()> body);
  // Runs until the body ends or pauses.
  void resume();
  // From the body: back to who resumed it.
  void pause();
  bool done() const { return done_; }

 private:
  explicit Fiber(void* stack) : stack_(stack) {}
  static void enter(Fiber* self);
  void run();

  std::function<void()> body_;
  void* stack_;
  void* own_ = nullptr;     // stack pointers of the two, while they stand
  void* caller_ = nullptr;
  bool done_ = true;
  // What AddressSanitizer wants to know of the two stacks.
  void* own_fake_ = nullptr;
  void* caller_fake_ = nullptr;
  const void* caller_stack_ = nullptr;
  size_t caller_size_ = 0;
};

}  // namespace bpfemu
