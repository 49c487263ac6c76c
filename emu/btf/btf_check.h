// SPDX-License-Identifier: Apache-2.0
// The checks of BPF_BTF_LOAD (kernel: btf_parse): header and sections, every type on its own ("meta"), then what types
// refer to ("resolution"), with the kernel's errno and log text. What differs between kinds is one row of a table.
#pragma once

#include <initializer_list>
#include <optional>

#include "emu/btf/btf.h"
#include "emu/btf/kinds.h"
#include "emu/btf/verifier_log.h"

namespace bpfemu {

inline constexpr u32 kMaxResolveDepth = 32;  // kernel: MAX_RESOLVE_DEPTH

class BtfCheck {
 public:
  // `breathe` is called again and again: it may take a second.
  BtfCheck(Btf& btf, VerifierLog& log, const std::function<void()>& breathe)
      : btf_(btf), log_(log), breathe_(breathe) {}
  Result<void> run();

  // Why a type is refused on its own.
  struct Fault {
    std::string text;
    int error = EINVAL;
    bool brief = false;  // the log shows the type without its details
  };
  using Rule = std::optional<Fault> (*)(const BtfCheck& check, const btf_type& type);

  // A type that is being resolved; `next` is the member where it goes on.
  struct Vertex {
    u32 id;
    u32 next;
  };
  // A struct member about to be placed. `offset` in bits; `bits` is 0 but for bit-fields.
  struct Placed {
    const btf_type& outer;
    btf_member member;
    u32 offset, bits;
  };

  // What is particular to a kind.
  struct KindChecks {
    std::initializer_list<Rule> rules;                                            // in the kernel's order
    Result<void> (BtfCheck::*elements)(const btf_type& type);                     // each of its vlen elements
    Result<void> (BtfCheck::*resolve)(Vertex vertex);                             // null: needs no resolution
    Result<void> (BtfCheck::*place)(const Placed& placed, const btf_type& type);  // as a member; null: cannot be one
    void (BtfCheck::*details)(const btf_type& type);                              // its part of a log line
  };

  const char* name(u32 offset) const { return btf_.string(offset); }
  // kernel: btf_name_offset_valid, __btf_name_valid.
  bool name_offset_valid(u32 offset) const;
  bool is_identifier(u32 offset) const;

 private:
  enum class Mode : u8 { kUndecided, kPointer, kStructOrArray };  // what ends a chain (kernel: resolve_mode)
  enum class Visit : u8 { kNot, kOpen, kResolved };
  static const KindChecks& checks(const btf_type& type);

  // Header and sections.
  Result<void> header();
  Result<void> sections(const btf_header& header);
  Result<void> string_section(const btf_header& header);
  Result<void> type_section(const btf_header& header);
  Result<void> type_tags();

  // Types on their own.
  Result<u32> meta(u32 at);
  Result<void> no_elements(const btf_type& type);
  Result<void> member_elements(const btf_type& type);
  Result<void> enum_elements(const btf_type& type);
  Result<void> enum64_elements(const btf_type& type);
  Result<void> variable_elements(const btf_type& type);
  template <class Value, class Print>
  Result<void> enumerators(const btf_type& type, Print print);

  // Resolution.
  Result<void> all_types();
  Result<void> resolve(u32 id);
  Result<void> push(u32 id);
  void pop(u32 resolved_id, u32 resolved_size);
  bool is_sink(const btf_type& type) const;
  bool is_resolved(u32 id) const { return visits_[id] == Visit::kResolved; }
  // Must `id` be resolved before what refers to it?
  bool must_resolve(u32 id) const { return !is_sink(*btf_.type(id)) && !is_resolved(id); }
  const btf_type* sized(u32& id, u32* size = nullptr) const;  // kernel: btf_type_id_size
  Result<void> resolve_modifier(Vertex vertex);
  Result<void> resolve_pointer(Vertex vertex);
  Result<void> resolve_variable(Vertex vertex);
  Result<void> resolve_array(Vertex vertex);
  Result<void> resolve_struct(Vertex vertex);
  Result<void> resolve_datasec(Vertex vertex);
  Result<void> resolve_function(Vertex vertex);
  Result<void> resolve_decl_tag(Vertex vertex);
  Result<bool> continue_pointer(u32 id);
  Result<void> end_of_chain(const btf_type& type, u32 next);
  Result<void> prototype(u32 id);
  Result<void> prototype_part(const btf_type& type, u32 part, const std::string& fault);

  // Members of structs.
  Result<void> place(const btf_type& outer, const btf_member& member, u32 id);
  Result<void> place_int(const Placed& placed, const btf_type& type);
  Result<void> place_enum(const Placed& placed, const btf_type& type);
  Result<void> place_pointer(const Placed& placed, const btf_type& type);
  Result<void> place_struct(const Placed& placed, const btf_type& type);
  Result<void> place_array(const Placed& placed, const btf_type& type);
  Result<void> place_float(const Placed& placed, const btf_type& type);
  Result<void> place_modifier(const Placed& placed, const btf_type& type);
  Result<void> place_bytes(const Placed& placed, u32 size);

  // The log. Each refusal is logged and then given.
  void describe(const btf_type& type, std::string_view note = {}, bool brief = false);
  void describe_member(const btf_type& outer, const btf_member& member, std::string_view note = {});
  void describe_variable(const btf_type& section, const btf_var_secinfo& variable, std::string_view note = {});
  std::unexpected<Errno> refuse(std::string_view text, int error = EINVAL);
  std::unexpected<Errno> refuse(const btf_type& type, std::string_view note, int error = EINVAL);
  std::unexpected<Errno> refuse_member(const btf_type& outer, const btf_member& member, std::string_view note);
  const char* shown_name(u32 offset) const;
  void no_details(const btf_type&) {}
  void int_details(const btf_type& type);
  void reference_details(const btf_type& type);
  void array_details(const btf_type& type);
  void sized_details(const btf_type& type);
  void forward_details(const btf_type& type);
  void prototype_details(const btf_type& type);
  void variable_details(const btf_type& type);
  void float_details(const btf_type& type);
  void decl_tag_details(const btf_type& type);

  Btf& btf_;
  VerifierLog& log_;
  const std::function<void()>& breathe_;
  u32 shown_id_ = 0;        // the id that log lines begin with
  bool resolving_ = false;  // second phase: a member's line comes with its struct's
  Mode mode_ = Mode::kUndecided;
  std::vector<Vertex> stack_;
  std::vector<Visit> visits_;
  std::vector<u32> resolved_ids_, resolved_sizes_;
};

// The integer word of a BTF_KIND_INT, and whether it is a whole number of 1, 2, 4, 8 or 16 bytes.
inline u32 btf_int_data(const btf_type& type) {
  return *reinterpret_cast<const u32*>(&type + 1);
}
bool btf_int_is_regular(const btf_type& type);

inline bool btf_is_struct(const btf_type& type) {
  return Btf::kind(type) == BTF_KIND_STRUCT || Btf::kind(type) == BTF_KIND_UNION;
}
bool btf_is_modifier(const btf_type& type);

}  // namespace bpfemu
