// SPDX-License-Identifier: Apache-2.0
// A loaded program: its verified instructions, its code in the arena and what it keeps alive.
#pragma once

#include <linux/bpf.h>

#include <array>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "emu/arena/arena.h"
#include "emu/base/object.h"
#include "emu/bpf/map_object.h"
#include "emu/btf/btf.h"
#include "emu/btf/field_read.h"
#include "emu/isa/insn.h"
#include "emu/runtime/function_hooks.h"

namespace bpfemu {

// A verified program as the claimed kernel has it after its own rewriting, which dumps show. The n-th line is the n-th of
// the program that runs.
struct ShownProgram {
  Insns insns;  // calls of maps' functions have a number in off (emu/verifier/fixup_phases.h)
  std::vector<u32> subprogram_starts;
  std::vector<bpf_func_info> func_info;
  std::vector<bpf_line_info> line_info;
};

// The result of verification: everything that later stages (JIT, info, dump) need.
struct VerifiedProgram {
  Insns insns;                                       // after fix-up: what runs, map loads resolved
  std::vector<u32> subprogram_starts;                // instruction index of each, the first is 0
  std::vector<u16> stack_depths;                     // per subprogram, bytes
  std::vector<std::shared_ptr<MapObject>> used_maps; // in the order of first use
  std::vector<std::shared_ptr<const Btf>> used_btfs;
  std::vector<const Map*> called_maps;               // per instruction: the one map of a helper call, null for several
  std::map<u32, std::string> kfuncs;                 // kernel functions that it calls, by BTF id
  std::map<u32, const char*> helper_symbols;         // those that its calls of helpers reach, by the helpers' ids
  std::set<std::string_view> untold_fields;          // of sockets, that it reads and nobody can tell
  std::set<FieldRead> field_reads;                   // what else it may read of objects
  std::vector<bpf_func_info> func_info;              // offsets after fix-up
  std::vector<bool> unreliable_funcs;                // per func_info: arguments did not fit BTF (kernel: func_info_aux)
  std::vector<bpf_line_info> line_info;
  ShownProgram shown;
  u32 processed_insns = 0;
  bool needs_ctx_rewrite = false;
  bool sleepable = false;
  u32 attach_func_ret_type = 0;
  u32 max_ctx_offset = 0;                            // one past the highest byte of context that it reads
  u32 max_tp_access = 0;                             // the same of a tracepoint's arguments that can be written
  u32 max_key_access = 0, max_value_access = 0;      // the same of the element that an iterator is at
  bool looks_into_maps = false;                      // it may read members of struct bpf_map
  u64 ctx_words = ~u64{0};                           // bit n: it may read the n-th eight bytes of context; 63: all behind
};

using ProgTag = std::array<u8, BPF_TAG_SIZE>;  // SHA-1 based

// Code of a program that runs in traced processes.
class ApartCode {
 public:
  ApartCode(Arena& arena, Extent extent, u64 entry) : arena_(arena), extent_(extent), entry_(entry) {}
  ~ApartCode() { arena_.release_code(extent_); }
  ApartCode(const ApartCode&) = delete;
  ApartCode& operator=(const ApartCode&) = delete;

  ProgramEntry entry() const { return reinterpret_cast<ProgramEntry>(entry_); }
  u64 end() const { return extent_.address + extent_.size; }

 private:
  Arena& arena_;
  Extent extent_;
  u64 entry_;
};

class Program : public Object {
 public:
  Program() : Object(ObjectKind::kProgram) {}
  ~Program() override;

  u32 type = 0;
  u32 expected_attach_type = 0;
  std::string name;
  bool gpl_compatible = false;
  bool xdp_has_frags = false;
  bool random_halves = false;  // BPF_F_TEST_RND_HI32
  u32 created_by_uid = 0;
  u64 load_time_ns = 0;                              // CLOCK_BOOTTIME
  ProgTag tag{};                                     // of the instructions as loaded
  std::vector<ProgTag> function_tags;                // of each function as assembled; none: the program is but one
  VerifiedProgram verified;
  std::shared_ptr<const Btf> btf;
  std::shared_ptr<const Btf> attach_btf;
  u32 attach_btf_id = 0;
  std::shared_ptr<Program> attach_program;            // freplace and fentry on programs, until it is attached
  u32 target_type = 0, target_attach_type = 0;        // of that program (kernel: saved_dst_prog_type)
  std::vector<std::shared_ptr<MapObject>> bound_maps; // BPF_PROG_BIND_MAP

  // Assembles into the arena: ENOMEM. What it calls need not be modelled, but then it must not be run.
  Result<void> install(Arena& arena);
  // The hooks of its n-th subprogram. When they are first asked for, it is assembled anew, with code that looks at
  // them: ENOMEM. What runs at the time goes on as it is.
  Result<FunctionHooks*> hooks_of(size_t function);
  // Its calls of helpers are told of from now on, where one is among the `listened` (by RuntimeFunction): ENOMEM.
  Result<void> tell_of_helpers(const u8* listened);
  // Its code for traced processes; null: it needs what they have not got, or there is no memory.
  std::shared_ptr<const ApartCode> code_apart() const;
  // Helpers and kernel functions that it calls and that are not modelled.
  std::set<u32> missing_helpers() const;
  std::set<std::string> missing_functions() const;
  u64 runtime_address() const override { return reinterpret_cast<u64>(text_); }
  ProgramText& text() const { return *text_; }
  Extent code() const { return code_; }
  bool is_hooked() const { return hooks_extent_.size != 0; }
  // Does another program run in the place of one of its functions?
  bool is_extended() const;
  const std::vector<u32>& insn_offsets() const { return insn_offsets_; }
  u32 code_size() const { return code_size_; }

 private:
  HelperFn kernel_function(u32 btf_id) const;
  s32 told_helper(u32 id) const;
  Result<void> assemble();
  Result<void> assemble_anew();

  Arena* arena_ = nullptr;
  Extent text_extent_, hooks_extent_, code_;
  std::vector<Extent> old_code_;  // from before it was assembled anew: callbacks may lead there
  bool tells_ = false;
  ProgramText* text_ = nullptr;
  std::vector<u32> insn_offsets_;
  u32 code_size_ = 0;
};

}  // namespace bpfemu
