// SPDX-License-Identifier: Apache-2.0
// Function returns that a thread owes us: each entry is a return address on its stack that was replaced by the
// trampoline's. Nested, recursive and tail-called functions stack up; longjmp and exceptions leave entries behind,
// which the stack pointer gives away (kernel: prepare_uretprobe, handle_trampoline).
#pragma once

#include <vector>

#include "emu/ports/sites.h"

namespace bpfemu {

struct ReturnInstance {
  Sites::Id site;
  u64 cookie;
  u64 stack;           // address of the return address
  u64 return_address;  // what stood there
};

class ReturnStack {
 public:
  // The kernel's limit of nested instances (MAX_URETPROBE_DEPTH).
  static constexpr size_t kDepth = 64;

  // Drops the entries of frames that no longer exist: those whose slot lies below `rsp`.
  void forget_dead(u64 rsp) {
    while (!entries_.empty() && entries_.back().stack < rsp) entries_.pop_back();
  }
  bool full() const { return entries_.size() >= kDepth; }
  bool empty() const { return entries_.empty(); }
  void push(const ReturnInstance& instance) { entries_.push_back(instance); }
  const ReturnInstance* top() const { return entries_.empty() ? nullptr : &entries_.back(); }

  // The trampoline was reached with the stack pointer just past the return address: all entries of that very slot,
  // innermost first, and nothing of the frames that were jumped over.
  std::vector<ReturnInstance> take_returned(u64 rsp) {
    forget_dead(rsp - 8);
    std::vector<ReturnInstance> taken;
    while (!entries_.empty() && entries_.back().stack == rsp - 8) {
      taken.push_back(entries_.back());
      entries_.pop_back();
    }
    return taken;
  }

 private:
  std::vector<ReturnInstance> entries_;
};

}  // namespace bpfemu
