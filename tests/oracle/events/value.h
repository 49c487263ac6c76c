// SPDX-License-Identifier: Apache-2.0
// Values that a row asks for, found in the running kernel's BTF.
#pragma once

#include "tests/oracle/events/events.h"

#include <bpf/btf.h>

namespace events {

// Where a value stands: a base, the pointers to follow from there, and an offset behind the last of them.
struct Value {
  enum class Base { kArgument, kReturn, kCurrent, kField };
  enum class Kind { kNumber, kPointer, kKernelText, kUserText };

  std::string name, format;
  Base base = Base::kArgument;
  u32 argument = 0;
  // Offsets, each added to a pointer; all but the last then give the next pointer. None: the base itself.
  std::vector<u32> offsets;
  // From this step on the verifier does not know the pointer's type (it was cast): helpers must read.
  u32 known_steps = 0;
  Kind kind = Kind::kNumber;
  u32 size = 8;
  bool is_signed = false;
  // A text that is no array, but what a pointer leads to.
  bool through_pointer = false;
  // A text of a tracepoint's record, by a word with offset and size.
  bool data_loc = false;

  u32 slot() const { return kind == Kind::kNumber || kind == Kind::kPointer ? 8 : kTextSize; }
  static constexpr u32 kTextSize = 64;
};

// The kernel's types.
class Types {
 public:
  Types();
  ~Types();
  Types(const Types&) = delete;
  Types& operator=(const Types&) = delete;

  // "NAME=PATH[:FORMAT] ...". A path is arg0, ret, current or field, then members: arg0->f_path.dentry->d_iname. A cast
  // stands behind what it casts, arg0(inet_sock)->inet_num, an index in brackets. In tracepoints, a field of the record.
  // Formats: str (of the kernel), ustr (of the user), x, o, port, pid. nullopt when a type or member is not there.
  std::optional<std::vector<Value>> values(const std::string& list, const std::string& target, Way way) const;

  // The BTF id to attach to, 0: none.
  u32 attach_id(const std::string& target, Way way) const;
  // How many arguments programs of a trampoline see before the result.
  u32 arguments(const std::string& target, Way way) const;
  // Of a member of task_struct and the like.
  u32 offset(const char* type, const char* member) const;

 private:
  struct Cursor;
  bool begin(Value& value, const std::string& base, const std::string& target, Way way, Cursor& at) const;
  bool begin_argument(Value& value, const std::string& target, Way way, Cursor& at) const;
  bool walk(Value& value, const std::string& path, Cursor& at) const;
  bool step(Value& value, const std::string& word, char kind, Cursor& at) const;
  bool end(Value& value, const Cursor& at) const;
  bool field(Value& value, const std::string& name, const std::string& event) const;
  const btf_type* prototype(const std::string& target, Way way, u32* first) const;
  u32 plain(u32 type) const;
  bool member(u32 type, const std::string& name, u32* offset, u32* member_type) const;
  const char* name(u32 offset) const { return btf__name_by_offset(btf_, offset); }

  btf* btf_;
};

// The whole of a file, "" when there is none.
std::string contents(const std::string& path);

}  // namespace events
