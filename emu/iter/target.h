// SPDX-License-Identifier: Apache-2.0
// What there is to an iterator's target (kernel: struct bpf_iter_reg): a subject, which a link has and which says what
// is walked (all tasks, the elements of that map), and walks over it, one for each descriptor. A new target is a file
// that defines both, a function that makes the subject, and a line in emu/abi/iter_targets.inc.
#pragma once

#include <linux/bpf.h>

#include <memory>
#include <span>
#include <string>

#include "emu/bpf/iter_targets.h"
#include "emu/iter/world.h"

namespace bpfemu {

// One walk over objects, in which the reader may pause anywhere and go on with the next read (kernel: seq_operations
// and the private data that they work on).
class IterWalk {
 public:
  virtual ~IterWalk() = default;
  // Goes to the object where the last read ended, or what comes instead of it; false: there is no more.
  virtual Result<bool> start() = 0;
  // Goes to the next one.
  virtual bool next() = 0;
  // The reader pauses; the program has not yet seen the object, so the next start() is to find it again.
  virtual void pause() {}
  // Puts the object into the program's context behind the bpf_iter_meta, or nulls when there is no more. `run` is the
  // program's. The words are zero before.
  virtual void show(std::span<u64> words, Run& run) = 0;
  // What the program has returned for an object. EAGAIN: it wants to see it again (kernel: the target's show()).
  virtual Result<void> returned(u64 value) { return value ? fail(EAGAIN) : Result<void>(); }
  // The kernel's walk begins with a heading that no program sees, and that a walk without objects never gets beyond
  // (kernel: SEQ_START_TOKEN).
  virtual bool begins_with_heading() const { return false; }
  // Bytes of arena that it wants to have for as long as it lasts, and where they are.
  virtual u64 memory_size() const { return 0; }
  virtual void take_memory(u64 /*address*/) {}
};

class IterSubject {
 public:
  virtual ~IterSubject() = default;
  // `reader` opens the iterator.
  virtual Result<std::unique_ptr<IterWalk>> walk(Task& reader) = 0;
  // The target's own part of bpf_link_info.iter, and lines of fdinfo.
  virtual void fill_info(bpf_link_info&) const {}
  virtual std::string fdinfo() const { return {}; }
};

// What BPF_LINK_CREATE gives.
struct IterRequest {
  IterWorld& world;
  Task& task;
  const Program& program;
  bpf_iter_link_info info;
};
using MakeSubject = Result<std::unique_ptr<IterSubject>> (*)(const IterRequest& request);

// How a subject of the target is made; null: it is not modelled.
MakeSubject subject_of(const IterTarget& target);

}  // namespace bpfemu
