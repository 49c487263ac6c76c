// SPDX-License-Identifier: Apache-2.0
#include "emu/verifier/state.h"

#include <algorithm>

namespace bpfemu {

bool Frame::release(u32 id) {
  auto it = std::find_if(refs.begin(), refs.end(), [&](const Reference& ref) { return ref.id == id; });
  if (it == refs.end()) return false;
  if (in_callback && it->callback_frame != number) return false;
  *it = refs.back();
  refs.pop_back();
  return true;
}

Frame* StatePool::take_frame() {
  if (free_frames_.empty()) {
    frames_.push_back(std::make_unique<Frame>());
    return frames_.back().get();
  }
  Frame* frame = free_frames_.back();
  free_frames_.pop_back();
  return frame;
}

void StatePool::copy(State& to, const State& from) {
  for (u32 i = 0; i < kMaxFrames; ++i) {
    if (i > from.depth) {
      if (to.frames[i]) give_back(to.frames[i]);
      to.frames[i] = nullptr;
      continue;
    }
    if (!to.frames[i]) to.frames[i] = take_frame();
    *to.frames[i] = *from.frames[i];
  }
  to.depth = from.depth;
  to.parent = from.parent;
  to.branches = from.branches;
  to.insn = from.insn;
  to.active_lock = from.active_lock;
  to.speculative = from.speculative;
  to.first_insn = from.first_insn;
  to.last_insn = from.last_insn;
  to.jumps = from.jumps;
}

void StatePool::release(State& state) {
  for (Frame*& frame : state.frames) {
    if (frame) give_back(frame);
    frame = nullptr;
  }
  state.jumps.clear();
}

Explored* StatePool::take_explored() {
  if (free_explored_.empty()) {
    explored_.push_back(std::make_unique<Explored>());
    return explored_.back().get();
  }
  Explored* explored = free_explored_.back();
  free_explored_.pop_back();
  return explored;
}

void StatePool::give_back(Explored* explored) {
  release(explored->state);
  *explored = Explored{};
  free_explored_.push_back(explored);
}

}  // namespace bpfemu
