// SPDX-License-Identifier: Apache-2.0
#include "emu/hook/exec_mappings.h"

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "emu/base/bytes.h"
#include "emu/base/fd.h"
#include "emu/base/proc_files.h"
#include "emu/hook/areas.h"
#include "emu/hook/lookup.h"

namespace bpfemu {

namespace {

constexpr u64 kExecutable = 4;  // VM_EXEC

u64 page_start(u64 address) { return address & ~(kPageBytes - 1); }
u64 page_offset(u64 address) { return address & (kPageBytes - 1); }

// An ELF file in memory.
struct Image {
  std::vector<Elf64_Phdr> segments;  // those that are loaded
  bool moves = false;                // ET_DYN
  bool interpreted = false;
  u64 bias = 0;
  std::function<u64()> file;  // its struct
};

std::optional<Image> parse_image(const Elf64_Ehdr& head, const std::function<bool(void*, size_t, u64)>& read) {
  constexpr u32 kMostSegments = 1024;
  if (head.e_phentsize != sizeof(Elf64_Phdr) || head.e_phnum == 0 || head.e_phnum > kMostSegments) return std::nullopt;
  std::vector<Elf64_Phdr> all(head.e_phnum);
  if (!read(all.data(), all.size() * sizeof(Elf64_Phdr), head.e_phoff)) return std::nullopt;
  Image image;
  image.moves = head.e_type == ET_DYN;
  for (const Elf64_Phdr& segment : all) {
    if (segment.p_type == PT_INTERP) image.interpreted = true;
    if (segment.p_type == PT_LOAD) image.segments.push_back(segment);
  }
  return image.segments.empty() ? std::nullopt : std::optional(std::move(image));
}

// The program, from its file; where it lies, its table of segments in memory says.
std::optional<Image> program(Occasion& on, u64 table) {
  const UniqueFd fd(::open(fmt::format("/proc/{}/exe", on.task().tgid()).c_str(), O_RDONLY | O_CLOEXEC));
  const auto read = [&](void* to, size_t size, u64 at) {
    return ::pread(fd.get(), to, size, static_cast<off_t>(at)) == static_cast<ssize_t>(size);
  };
  Elf64_Ehdr head;
  if (!fd || !read(&head, sizeof head, 0)) return std::nullopt;
  auto image = parse_image(head, read);
  if (!image) return std::nullopt;
  const auto holds = [&](const Elf64_Phdr& s) { return s.p_offset <= head.e_phoff && head.e_phoff < s.p_offset + s.p_filesz; };
  const auto with_table = std::ranges::find_if(image->segments, holds);
  if (image->moves && with_table == image->segments.end()) return std::nullopt;
  if (image->moves) image->bias = table - (head.e_phoff - with_table->p_offset + with_table->p_vaddr);
  image->file = [&on] {
    const auto facts = on.services().mounts.describe_link(on.task().tgid(), "exe");
    return facts ? on.services().files.file(*facts).address() : 0;
  };
  return image;
}

// The interpreter, from its memory.
std::optional<Image> interpreter(Occasion& on, u64 base) {
  Elf64_Ehdr head;
  if (!on.task().read(base, &head, sizeof head)) return std::nullopt;
  auto image = parse_image(
      head, [&](void* to, size_t size, u64 at) { return on.task().read(base + at, to, size).has_value(); });
  if (!image) return std::nullopt;
  image->bias = image->moves ? base : 0;
  image->file = [&on, base] {
    const auto areas = areas_in(on.task().tid(), base, base + 1);
    Lookup at(on, areas.empty() ? "" : areas.front().path);
    const FileFacts* facts = at.target();
    return facts ? on.services().files.file(*facts).address() : 0;
  };
  return image;
}

// A mapping of `size` bytes that came to lie at `at`; `wanted`: where it was asked for.
void pass_mapping(Occasion& on, const Image& image, const Elf64_Phdr& segment, u64 wanted, u64 size, u64 flags, u64 at) {
  const u64 prot = (segment.p_flags & PF_R ? PROT_READ : 0) | (segment.p_flags & PF_W ? PROT_WRITE : 0) |
                   (segment.p_flags & PF_X ? PROT_EXEC : 0);
  const auto fill = [&](Arguments& a) {
    a.lazily(0, image.file);
    a[1] = wanted;
    a[2] = size;
    a[3] = prot;
    a[4] = flags;
    a[5] = page_start(segment.p_offset) / kPageBytes;
  };
  const Passing vm_mmap = on.enter(Hook::vm_mmap, [&](Arguments& a) {
    fill(a);
    a[5] = page_start(segment.p_offset);
  });
  const Passing vm_mmap_pgoff = on.enter(Hook::vm_mmap_pgoff, fill);
  pass_mmap_file(on, image.file, prot, flags);
  const Passing do_mmap = on.enter(Hook::do_mmap, fill);
  on.ask(Hook::security_mmap_addr, [at](Arguments& a) { a[0] = at; });
  do_mmap.leave(static_cast<s64>(at));
  vm_mmap_pgoff.leave(static_cast<s64>(at));
  vm_mmap.leave(static_cast<s64>(at));
}

// What lies behind the file's part of a segment (kernel: vm_brk_flags).
void pass_zeros(Occasion& on, u64 from, u64 to, bool executable) {
  from = whole_pages(from), to = whole_pages(to);
  if (to <= from) return;
  on.ask(Hook::security_mmap_addr, [from](Arguments& a) { a[0] = from; });
  on.enter(Hook::do_brk_flags,
           [&](Arguments& a) {
             a.lazily(0, [&] { return local(on, "ma_state").address(); });
             a.lazily(1, [&] { return local(on, "vm_area_struct").address(); });
             a[2] = from;
             a[3] = to - from;
             a[4] = executable ? kExecutable : 0;
           })
      .leave(0);
}

u64 whole_size(const Image& image) {
  u64 from = ~u64{0}, to = 0;
  for (const Elf64_Phdr& segment : image.segments) {
    from = std::min(from, page_start(segment.p_vaddr));
    to = std::max(to, segment.p_vaddr + segment.p_memsz);
  }
  return whole_pages(to - from);
}

// How the first segment is mapped, with room for all: the place is chosen here, by the kernel's randomness, or by mmap.
struct First {
  bool whole;
  u64 flags, wanted;
};

void pass_image(Occasion& on, const Image& image, const First& how, bool zeros_last) {
  bool first = true;
  u64 filled = 0, end = 0;
  bool executable = false;
  for (const Elf64_Phdr& segment : image.segments) {
    const u64 at = page_start(image.bias + segment.p_vaddr);
    if (segment.p_filesz) {
      const u64 size = whole_pages(segment.p_filesz + page_offset(segment.p_vaddr));
      if (first)
        pass_mapping(on, image, segment, how.wanted, how.whole ? whole_size(image) : size, how.flags, at);
      else
        pass_mapping(on, image, segment, at, size, MAP_PRIVATE | MAP_FIXED, at);
    }
    first = false;
    const u64 file_end = image.bias + segment.p_vaddr + segment.p_filesz;
    const u64 memory_end = image.bias + segment.p_vaddr + segment.p_memsz;
    if (!zeros_last && memory_end > file_end)
      pass_zeros(on, segment.p_filesz ? file_end : at, memory_end, segment.p_flags & PF_X);
    filled = std::max(filled, file_end);
    if (memory_end > end) executable = segment.p_flags & PF_X;
    end = std::max(end, memory_end);
  }
  if (zeros_last) pass_zeros(on, filled, end, executable);
}

First first_of_program(const Image& image) {
  const u64 at = page_start(image.bias + image.segments.front().p_vaddr);
  if (!image.moves) return {false, MAP_PRIVATE | MAP_FIXED_NOREPLACE, at};
  if (image.interpreted) return {true, MAP_PRIVATE | MAP_FIXED_NOREPLACE, at};
  return {true, MAP_PRIVATE, 0};
}

First first_of_interpreter(const Image& image, bool program_moves) {
  const u64 at = page_start(image.segments.front().p_vaddr);
  if (!image.moves) return {true, MAP_PRIVATE | MAP_FIXED, at};
  return {true, MAP_PRIVATE, program_moves ? 0 : at};
}

struct Vectors {
  u64 table = 0, base = 0, vdso = 0;
};

Vectors vectors_of(pid_t tgid) {
  const std::string bytes = read_proc(tgid, "auxv").value_or("");
  Vectors found;
  for (size_t at = 0; at + sizeof(Elf64_auxv_t) <= bytes.size(); at += sizeof(Elf64_auxv_t)) {
    const auto each = load<Elf64_auxv_t>(bytes.data() + at);
    if (each.a_type == AT_PHDR) found.table = each.a_un.a_val;
    if (each.a_type == AT_BASE) found.base = each.a_un.a_val;
    if (each.a_type == AT_SYSINFO_EHDR) found.vdso = each.a_un.a_val;
  }
  return found;
}

// The data of the vDSO lies in front of it, and both are placed at once.
void pass_vdso(Occasion& on, u64 vdso) {
  constexpr u64 kMostData = 16 * kPageBytes;
  u64 from = vdso;
  for (u64 at = vdso - kPageBytes; at >= vdso - kMostData; at -= kPageBytes) {
    const auto areas = areas_in(on.task().tid(), at, at + 1);
    if (areas.empty() || !areas.front().path.starts_with("[vvar")) break;
    from = at;
  }
  on.ask(Hook::security_mmap_addr, [from](Arguments& a) { a[0] = from; });
}

}  // namespace

void pass_exec_mappings(Occasion& occasion) {
  constexpr auto kHere = std::to_array({Hook::vm_mmap, Hook::vm_mmap_pgoff, Hook::security_mmap_file, Hook::do_mmap,
                                        Hook::security_mmap_addr, Hook::do_brk_flags});
  if (std::ranges::none_of(kHere, [&](Hook hook) { return occasion.awaited(hook) || occasion.decided(hook); })) return;
  Occasion here(occasion, occasion.event());
  const Vectors vectors = vectors_of(here.task().tgid());
  const auto image = program(here, vectors.table);
  const auto linker = image && vectors.base ? interpreter(here, vectors.base) : std::nullopt;
  const bool aligned_itself = image && image->moves && !image->interpreted &&
                              std::ranges::any_of(image->segments, [](const Elf64_Phdr& s) { return s.p_align > kPageBytes; });
  if (!image || (vectors.base && !linker) || aligned_itself)
    return occasion.services().unmodelled.note("what this execve maps");
  pass_image(here, *image, first_of_program(*image), false);
  if (linker) pass_image(here, *linker, first_of_interpreter(*linker, image->bias != 0), true);
  if (vectors.vdso) pass_vdso(here, vectors.vdso);
  // The kernel ends who may not map his own program.
  if (here.denial()) occasion.services().unmodelled.note("execve that is denied what it maps");
}

}  // namespace bpfemu
