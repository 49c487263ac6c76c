// SPDX-License-Identifier: Apache-2.0
#include "loader/first_text.h"

#include <elf.h>

#include <algorithm>

namespace bpfemu {

namespace {

constexpr size_t kMostFiles = 256, kMostSites = 8, kMostSegments = 32;

// Where the file's segment that is mapped by `text` ends, as its program header says; 0: it does not say so.
u64 end_of_segment(SpaceMemory& memory, const MapsLine& text, u64 headers) {
  Elf64_Ehdr header;
  const auto read = [&](u64 address, void* to, size_t size) { return memory.read(address, to, size) == size; };
  if (!read(headers, &header, sizeof header) || header.e_phentsize != sizeof(Elf64_Phdr)) return 0;
  for (u64 i = 0; i < std::min<u64>(header.e_phnum, kMostSegments); ++i) {
    Elf64_Phdr segment;
    if (!read(headers + header.e_phoff + i * sizeof segment, &segment, sizeof segment)) return 0;
    const u64 end = segment.p_offset + segment.p_filesz;
    if (segment.p_type == PT_LOAD && (segment.p_flags & PF_X) && segment.p_memsz == segment.p_filesz &&
        segment.p_offset >= text.offset && end > text.offset && end - text.offset <= text.end - text.start)
      return text.start + (end - text.offset);
  }
  return 0;
}

}  // namespace

Result<FirstText> find_first_text(SpaceMemory& memory, const std::vector<MapsLine>& lines, u64 entry) {
  const auto text = std::ranges::find_if(lines, [&](const MapsLine& m) {
    return m.execute && !m.write && !m.shared && m.file.ino != 0 && entry - m.start < m.end - m.start;
  });
  if (text == lines.end()) return fail(ENOENT);
  const auto first = std::ranges::find_if(
      lines, [&](const MapsLine& m) { return m.file == text->file && m.offset == 0 && m.start <= text->start; });
  const u64 spare = first == lines.end() ? 0 : end_of_segment(memory, *text, first->start);
  if (spare == 0) return fail(ENOSPC);
  std::vector<u8> bytes(text->end - spare);
  const size_t size = TRY(memory.read(spare, bytes.data(), bytes.size()));
  if (size != bytes.size() || std::ranges::any_of(bytes, [](u8 byte) { return byte != 0; })) return fail(ENOSPC);
  return FirstText{*text, spare, bytes.size()};
}

void FirstSites::learn(FileId file, u64 offset, u32 number) {
  if (files_.size() >= kMostFiles && !files_.contains(file)) return;
  FirstCalls& calls = files_[file];
  if (calls.size() < kMostSites) calls.emplace(offset, number);
}

FirstCalls FirstSites::of(FileId file) const {
  const auto found = files_.find(file);
  return found == files_.end() ? FirstCalls() : found->second;
}

}  // namespace bpfemu
