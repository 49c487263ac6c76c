// SPDX-License-Identifier: Apache-2.0
// A tracepoint's record, laid out as the claimed kernel's format file says.
#pragma once

#include <cstring>
#include <string_view>
#include <type_traits>
#include <vector>

#include "emu/kernel/events.h"
#include "emu/ports/host.h"

namespace bpfemu {

class RecordLayout {
 public:
  // `format` is static, as the profile's are.
  explicit RecordLayout(std::string_view format) : fields_(fields_of(format)) {
    for (const EventField& field : fields_) size_ = std::max(size_, field.offset + field.size);
  }
  // Bytes of the fixed part (kernel: trace_event_get_offsets).
  u32 size() const { return size_; }
  // The same as a C struct has them (kernel: sizeof(struct trace_event_raw_*)).
  u32 struct_size() const {
    u32 alignment = sizeof(s32);
    for (const EventField& field : fields_) {
      const bool wide = field.type.find("64") != field.type.npos || field.type.find("long") != field.type.npos;
      if (field.size >= sizeof(u64) && (wide || field.size == sizeof(u64) || field.type.ends_with('*'))) alignment = sizeof(u64);
    }
    return (size_ + alignment - 1) & ~(alignment - 1);
  }
  const EventField* find(std::string_view name) const {
    for (const EventField& field : fields_)
      if (field.name == name) return &field;
    return nullptr;
  }

 private:
  std::vector<EventField> fields_;
  u32 size_ = 0;
};

// Zeroed memory that is filled in by the fields' names. A field that this kernel's record does not have is left out.
class Record {
 public:
  Record(const RecordLayout& layout, void* memory, u32 room)
      : layout_(layout), memory_(static_cast<u8*>(memory)), end_(layout.size()), room_(room) {}

  // Numbers and pointers, in the field's own size.
  template <class T>
  void set(std::string_view name, T value) {
    static_assert(std::is_integral_v<T> || std::is_enum_v<T>);
    const EventField* field = layout_.find(name);
    const s64 wide = static_cast<s64>(value);
    if (field && field->size <= sizeof wide) memcpy(memory_ + field->offset, &wide, field->size);
  }
  // An array's bytes, cut off at its end.
  void bytes(std::string_view name, const void* from, size_t size) {
    const EventField* field = layout_.find(name);
    if (field) memcpy(memory_ + field->offset, from, std::min<size_t>(size, field->size));
  }
  // Text: into an array of characters, or, behind the fixed part, where a __data_loc field says.
  void text(std::string_view name, std::string_view text) {
    const EventField* field = layout_.find(name);
    if (!field) return;
    const bool dynamic = field->type.starts_with("__data_loc");
    const u32 room = dynamic ? room_ - end_ : field->size;
    if (room == 0) return;
    const u32 length = std::min(static_cast<u32>(text.size()), room - 1);
    memcpy(memory_ + (dynamic ? end_ : field->offset), text.data(), length);
    if (!dynamic) return;
    set(name, (length + 1) << 16 | end_);
    end_ += length + 1;
  }
  // Bytes so far, with the texts.
  u32 size() const { return end_; }
  // A task's name.
  void comm(std::string_view name, const TaskFacts& facts) {
    text(name, {facts.comm, strnlen(facts.comm, sizeof facts.comm)});
  }

 private:
  const RecordLayout& layout_;
  u8* memory_;
  u32 end_, room_;
};

}  // namespace bpfemu
