// SPDX-License-Identifier: Apache-2.0
// The path of a system call through the claimed kernel, told by a coroutine: it says which hooks are passed on the way,
// waits while the host's kernel runs the call, and goes on from there. What it knows lives in its locals.
#pragma once

#include <coroutine>
#include <exception>
#include <utility>

namespace bpfemu {

class Path {
 public:
  struct promise_type {
    std::coroutine_handle<> caller;  // the path that this is a part of; none: the call's

    Path get_return_object() { return Path(std::coroutine_handle<promise_type>::from_promise(*this)); }
    std::suspend_always initial_suspend() noexcept { return {}; }
    struct Back {
      bool await_ready() noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> ended) noexcept {
        const auto caller = ended.promise().caller;
        return caller ? caller : std::noop_coroutine();
      }
      void await_resume() noexcept {}
    };
    Back final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }  // there are none
  };

  Path() = default;
  Path(Path&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Path& operator=(Path&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Path() {
    if (handle_) handle_.destroy();
  }

  // A part of another path: `co_await part(call)`.
  bool await_ready() const { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> caller) {
    handle_.promise().caller = caller;
    return handle_;
  }
  void await_resume() const {}

  std::coroutine_handle<> handle() const { return handle_; }

 private:
  explicit Path(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  std::coroutine_handle<promise_type> handle_;
};

}  // namespace bpfemu
