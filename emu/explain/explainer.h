// SPDX-License-Identifier: Apache-2.0
// Puts a report together: what all kinds of rejection share, and one function a kind that has more to say. Internal to
// the folder.
#pragma once

#include <fmt/format.h>

#include "emu/explain/report.h"
#include "emu/explain/trace.h"

namespace bpfemu {

class Explainer {
 public:
  explicit Explainer(const Rejection& rejection) : rejection_(rejection), cause_(cause_of(rejection)) {}
  Report run();

 private:
  // explain.cc
  void explain_kind();
  void explain_register();
  void explain_stale(RegType was);
  std::string verifier_words() const;
  void label(u32 insn, std::string text);
  // Labels where the value of a register comes from, where that is known; all that became of it on the way.
  std::vector<TraceEvent> label_origin(u32 reg, std::string_view name);
  // Where it was refused; comes last.
  void refused(std::string text);
  void note(std::string text) { report_.notes.push_back(std::move(text)); }
  const Reg* subject() const { return cause_.reg && rejection_.exploring ? &rejection_.regs[*cause_.reg] : nullptr; }
  std::optional<s64> number(std::string_view before) const {
    return cause_.message ? number_after(*cause_.message, before) : std::nullopt;
  }
  // The call that the refused instruction makes, "" when it is none.
  std::string refused_call() const;

  // explain_value.cc: pointers and numbers.
  void explain_null();
  void explain_bounds();
  void explain_number(u32 reg, std::string_view name);
  void explain_stack_bounds();
  void explain_zero_size();
  void explain_arithmetic();
  void explain_uninitialised();
  void explain_uninit_stack();
  void explain_packet();
  void explain_return();

  // explain_rule.cc: rules of program types, helpers, references, loops.
  void explain_context();
  void explain_unreleased();
  void explain_helper();
  std::string how_to_sleep() const;
  void explain_endless();
  void explain_complex();

  // explain_object.cc: kernel structures, locks, maps, attach targets, and what is none of all this.
  void explain_kernel_field();
  void explain_lock();
  void explain_map_use();
  void explain_target();
  // It was refused without a word, or with one that means nothing here.
  void explain_other();

  const Rejection& rejection_;
  Cause cause_;
  Report report_;
};

// "a pointer to a map value that may be NULL".
std::string describe(const Reg& reg);
// The member of a structure that holds the byte at an offset, null when none begins before it.
const btf_member* member_at(const Btf& btf, const btf_type& structure, s64 offset);

}  // namespace bpfemu
