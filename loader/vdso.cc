// SPDX-License-Identifier: Apache-2.0
#include "loader/vdso.h"

#include <elf.h>
#include <sys/auxv.h>

#include <cstring>

#include "emu/base/bytes.h"

namespace bpfemu {

size_t version_offset(const u8* image) {
  const auto header = load<Elf64_Ehdr>(image);
  for (int i = 0; i < header.e_phnum; ++i) {
    const auto segment = load<Elf64_Phdr>(image + header.e_phoff + i * sizeof(Elf64_Phdr));
    if (segment.p_type != PT_NOTE) continue;
    for (size_t at = segment.p_offset; at + sizeof(Elf64_Nhdr) <= segment.p_offset + segment.p_filesz;) {
      const auto note = load<Elf64_Nhdr>(image + at);
      const size_t description = at + sizeof note + round_up(note.n_namesz, 4);
      const bool linux = note.n_namesz == 6 && std::memcmp(image + at + sizeof note, "Linux", 6) == 0;
      if (linux && note.n_type == 0 && note.n_descsz == sizeof(u32)) return description;
      at = description + round_up(note.n_descsz, 4);
    }
  }
  return 0;
}

void claim_version(TracedTask& task, u32 code) {
  // One kernel gives every 64-bit program the same image, so what stands beside the version is known.
  static const auto* const own = reinterpret_cast<const u8*>(::getauxval(AT_SYSINFO_EHDR));
  static const size_t offset = own ? version_offset(own) : 0;
  if (offset == 0) return;
  const size_t beside = offset % sizeof(u64);
  u64 word = load<u64>(own + offset - beside);
  std::memcpy(reinterpret_cast<u8*>(&word) + beside, &code, sizeof code);
  (void)task.force_word(task.memory().vdso + offset - beside, word);
}

}  // namespace bpfemu
