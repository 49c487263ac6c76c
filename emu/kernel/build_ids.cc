// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/build_ids.h"

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <vector>

#include "emu/base/bytes.h"
#include "emu/base/fd.h"
#include "emu/kernel/memory_objects.h"

namespace bpfemu {

namespace {

using BuildId = std::array<u8, BPF_BUILD_ID_SIZE>;

// kernel: parse_build_id_buf.
std::optional<BuildId> id_in_notes(std::span<const u8> notes) {
  constexpr char kOwner[] = "GNU";
  for (size_t at = 0; at + sizeof(Elf64_Nhdr) < notes.size();) {
    const auto head = load<Elf64_Nhdr>(notes.data() + at);
    const u64 name = at + sizeof head, described = name + round_up(u64{head.n_namesz}, 4),
              end = described + round_up(u64{head.n_descsz}, 4);
    if (end > notes.size()) break;
    const bool is_id = head.n_type == NT_GNU_BUILD_ID && head.n_namesz == sizeof kOwner &&
                       std::memcmp(notes.data() + name, kOwner, sizeof kOwner) == 0 && head.n_descsz > 0 &&
                       head.n_descsz <= BPF_BUILD_ID_SIZE;
    if (is_id) {
      BuildId id{};
      std::copy_n(notes.data() + described, head.n_descsz, id.begin());
      return id;
    }
    at = end;
  }
  return std::nullopt;
}

// kernel: get_build_id_64, get_build_id_32. Program headers are taken to follow the file's head.
template <class Head, class Segment>
std::optional<BuildId> id_in_segments(std::span<const u8> page) {
  const u32 count = load<Head>(page.data()).e_phnum;
  if (count > (page.size() - sizeof(Head)) / sizeof(Segment)) return std::nullopt;
  for (u32 n = 0; n < count; ++n) {
    const auto segment = load<Segment>(page.data() + sizeof(Head) + n * sizeof(Segment));
    if (segment.p_type != PT_NOTE || segment.p_offset > page.size() || segment.p_filesz > page.size() - segment.p_offset)
      continue;
    if (auto id = id_in_notes(page.subspan(segment.p_offset, segment.p_filesz))) return id;
  }
  return std::nullopt;
}

// The first page of the file that is mapped there: where the process has it in memory, else from the file itself.
std::vector<u8> first_page(Task& task, const std::vector<AreaFacts>& areas, const AreaFacts& area) {
  std::vector<u8> page(kPageSize);
  for (const AreaFacts& each : areas) {
    const bool begins = each.inode == area.inode && each.path == area.path && each.offset == 0;
    if (begins && task.peek(each.start, page.data(), page.size())) return page;
  }
  const UniqueFd file(::open(fmt::format("/proc/{}/root{}", task.tgid(), area.path).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat found;
  if (!file || ::fstat(file.get(), &found) != 0 || found.st_ino != area.inode || !S_ISREG(found.st_mode)) return {};
  const ssize_t size = ::pread(file.get(), page.data(), page.size(), 0);
  return size > 0 ? page : std::vector<u8>();
}

}  // namespace

std::optional<BuildId> build_id_in(std::span<const u8> page) {
  if (page.size() < kPageSize || std::memcmp(page.data(), ELFMAG, SELFMAG) != 0) return std::nullopt;
  const u16 type = load<Elf64_Ehdr>(page.data()).e_type;
  if (type != ET_EXEC && type != ET_DYN) return std::nullopt;
  switch (page[EI_CLASS]) {
    case ELFCLASS64: return id_in_segments<Elf64_Ehdr, Elf64_Phdr>(page);
    case ELFCLASS32: return id_in_segments<Elf32_Ehdr, Elf32_Phdr>(page);
    default: return std::nullopt;
  }
}

void show_build_ids(Task& task, std::span<const u64> addresses, bpf_stack_build_id* to) {
  const std::vector<AreaFacts> areas = MemoryObjects::areas(task.tgid());
  std::map<u64, std::optional<BuildId>> known;  // by the start of the mapping
  for (u64 address : addresses) {
    bpf_stack_build_id& entry = *to++;
    entry = {};
    entry.status = BPF_STACK_BUILD_ID_IP;
    entry.ip = address;
    // kernel: find_vma, which finds the next one where nothing is mapped.
    const auto area = std::ranges::find_if(areas, [=](const AreaFacts& each) { return address < each.end; });
    if (area == areas.end() || !area->inode) continue;
    const auto [id, first] = known.try_emplace(area->start);
    if (first) id->second = build_id_in(first_page(task, areas, *area));
    if (!id->second) continue;
    std::ranges::copy(*id->second, entry.build_id);
    entry.offset = area->offset + address - area->start;
    entry.status = BPF_STACK_BUILD_ID_VALID;
  }
}

}  // namespace bpfemu
