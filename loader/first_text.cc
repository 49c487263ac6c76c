// SPDX-License-Identifier: Apache-2.0
#include "loader/first_text.h"

#include <elf.h>

#include <algorithm>
#include <cstring>

#include "emu/base/bytes.h"

namespace bpfemu {

namespace {

constexpr u64 kPage = 4096;
constexpr size_t kMostFiles = 256, kMostSites = 8, kMostSegments = 32;
constexpr size_t kBeginning = sizeof(Elf64_Ehdr) + kMostSegments * sizeof(Elf64_Phdr);

u64 page_of(u64 address) {
  return address & ~(kPage - 1);
}

// What a file begins with, as far as its segments are told there. Empty: they are not.
std::vector<Elf64_Phdr> loaded_segments(const std::string& beginning) {
  std::vector<Elf64_Phdr> segments;
  const auto header = load<Elf64_Ehdr>(beginning.data());
  const bool known = std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 && header.e_phoff == sizeof header &&
                     header.e_phentsize == sizeof(Elf64_Phdr) && header.e_phnum <= kMostSegments;
  for (size_t i = 0; known && i < header.e_phnum; ++i) {
    const auto segment = load<Elf64_Phdr>(beginning.data() + sizeof header + i * sizeof(Elf64_Phdr));
    if (segment.p_type == PT_LOAD) segments.push_back(segment);
  }
  return segments;
}

}  // namespace

Result<FirstText> find_first_text(SpaceMemory& memory, u64 image, u64 entry, FirstSites& known) {
  std::string beginning(kBeginning, 0);
  const MemoryPiece piece{image, beginning.data(), beginning.size()};
  if (image == 0) return fail(ENOENT);
  TRY(memory.read({&piece, 1}));
  const std::vector<Elf64_Phdr> segments = loaded_segments(beginning);
  if (segments.empty() || segments.front().p_offset != 0) return fail(ENOENT);
  const u64 bias = image - segments.front().p_vaddr;
  const auto text = std::ranges::find_if(segments, [&](const Elf64_Phdr& s) {
    return (s.p_flags & PF_X) && !(s.p_flags & PF_W) && entry - (bias + s.p_vaddr) < s.p_filesz;
  });
  if (text == segments.end()) return fail(ENOENT);
  FirstText first;
  first.spare = bias + text->p_vaddr + text->p_filesz;
  first.start = page_of(bias + text->p_vaddr);
  first.end = page_of(first.spare + kPage - 1);
  first.room = first.end - first.spare;
  const bool alone = std::ranges::all_of(segments, [&](const Elf64_Phdr& s) {
    const u64 at = bias + s.p_vaddr;
    return &s == &*text || page_of(at) >= first.end || at + s.p_memsz <= first.start;
  });
  if (!alone || text->p_memsz != text->p_filesz) return fail(ENOSPC);
  first.calls = known.of(beginning);
  return first;
}

FirstCalls* FirstSites::of(const std::string& beginning) {
  const auto found = files_.find(beginning);
  if (found != files_.end()) return &found->second;
  return files_.size() < kMostFiles ? &files_[beginning] : nullptr;
}

void FirstSites::learn(const FirstText& text, u64 address, u32 number) {
  if (text.calls && text.calls->size() < kMostSites) text.calls->emplace(address - text.start, number);
}

}  // namespace bpfemu
