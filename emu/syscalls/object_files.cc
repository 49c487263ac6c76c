// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/object_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/epoll.h>

#include "emu/arena/layout.h"
#include "emu/base/bytes.h"
#include "emu/bpf/attach_types.h"
#include "emu/runtime/maps/ringbuf.h"
#include "emu/syscalls/map_mmap.h"

namespace bpfemu {

namespace {

constexpr u64 kProgHeader = 72;  // bytes of the kernel's struct bpf_prog before its instructions

// What descriptors and pins share. Dropped with the last of them.
struct MapHold {
  explicit MapHold(std::shared_ptr<MapObject> m) : map(std::move(m)) {}
  MapHold(const MapHold&) = delete;
  ~MapHold() {
    map->socket_programs.clear();
    if (map->map().type != BPF_MAP_TYPE_PROG_ARRAY) return;
    u64 old;
    for (auto& [index, program] : map->elements) map->ops().exchange(map->map(), &index, 0, BPF_ANY, &old);
    map->elements.clear();
  }
  std::shared_ptr<MapObject> map;
};

}  // namespace

std::shared_ptr<MapObject> hold_map(const std::shared_ptr<MapObject>& map) {
  auto hold = std::static_pointer_cast<MapHold>(map->user_hold.lock());
  if (!hold) {
    hold = std::make_shared<MapHold>(map);
    map->user_hold = hold;
  }
  return {hold, hold->map.get()};
}

u64 map_memlock(const Map& map) {
  return round_up(u64{map.max_entries} * round_up(map.key_size + user_value_size(map), 8), kPageSize);
}

u64 program_memlock(const Program& program) {
  return round_up(kProgHeader + program.verified.shown.insns.size() * sizeof(Insn), kPageSize);
}

std::string tag_text(const ProgTag& tag) {
  std::string text;
  for (u8 byte : tag) text += fmt::format("{:02x}", byte);
  return text;
}

MapFile::MapFile(std::shared_ptr<MapObject> map, u32 flags) : map_(hold_map(map)) {
  open_flags = flags;
  mode = flags == O_RDONLY ? kModeRead : flags == O_WRONLY ? kModeWrite : kModeRead | kModeWrite;
}

// A perf event array forgets what was put in through this descriptor (kernel: perf_event_fd_array_release).
MapFile::~MapFile() {
  Map& map = map_->map();
  if (map.type != BPF_MAP_TYPE_PERF_EVENT_ARRAY || (map.flags & BPF_F_PRESERVE_ELEMS)) return;
  for (auto& [index, event] : put_) {
    auto it = map_->elements.find(index);
    if (it == map_->elements.end() || it->second.get() != event) continue;
    u64 old;
    map_->ops().exchange(map, &index, 0, BPF_ANY, &old);
    map_->elements.erase(it);
  }
}

std::string MapFile::fdinfo() const {
  const Map& map = map_->map();
  std::string text = fmt::format(
      "map_type:\t{}\nkey_size:\t{}\nvalue_size:\t{}\nmax_entries:\t{}\nmap_flags:\t{:#x}\nmap_extra:\t{:#x}\n"
      "memlock:\t{}\nmap_id:\t{}\nfrozen:\t{}\n",
      map.type, map.key_size, map.value_size, map.max_entries, map.flags, map.extra, map_memlock(map), map_->id(),
      map_->frozen ? 1 : 0);
  if (map_->owner && map_->owner->type) {
    text += fmt::format("owner_prog_type:\t{}\nowner_jited:\t1\n", map_->owner->type);
  }
  return text;
}

const void* MapFile::ring() const { return pollable() ? &map_->map() : nullptr; }
bool MapFile::pollable() const { return map_->map().type == BPF_MAP_TYPE_RINGBUF; }
bool MapFile::readable() const { return pollable() && ring_available(static_cast<RingMap&>(map_->map())) != 0; }

// kernel: bpf_map_poll, ringbuf_map_poll_user.
u32 MapFile::condition() const {
  const Map& map = map_->map();
  if (map.type == BPF_MAP_TYPE_RINGBUF) return 0;
  if (map.type != BPF_MAP_TYPE_USER_RINGBUF) return EPOLLERR;
  bool room = ring_available(static_cast<RingMap&>(map_->map())) < map.max_entries;
  return room ? EPOLLOUT | EPOLLWRNORM : 0;
}

Result<u64> MapFile::mmap(System& system, Call& call) { return mmap_map(system, call, *map_, mode); }

std::string ProgramFile::fdinfo() const {
  const Program& program = *program_;
  return fmt::format(
      "prog_type:\t{}\nprog_jited:\t1\nprog_tag:\t{}\nmemlock:\t{}\nprog_id:\t{}\nrun_time_ns:\t{}\nrun_cnt:\t{}\n"
      "recursion_misses:\t{}\nverified_insns:\t{}\n",
      program.type, tag_text(program.tag), program_memlock(program), program.id(),
      program.text().stat_ns, program.text().stat_runs, program.text().stat_misses, program.verified.processed_insns);
}

BtfFile::BtfFile(std::shared_ptr<const Btf> btf) : btf_(std::move(btf)) {
  open_flags = O_RDONLY;
  mode = kModeRead;
}

std::string BtfFile::fdinfo() const { return fmt::format("btf_id:\t{}\n", btf_->id()); }

LinkFile::LinkFile(std::shared_ptr<Link> link, bool created) : link_(std::move(link)), created_(created) {
  open_flags = O_RDONLY;
  mode = kModeRead;
}

std::string LinkFile::fdinfo() const {
  std::string text = fmt::format("link_type:\t{}\nlink_id:\t{}\n", link_type_name(link_->type()), link_->id());
  if (auto& program = link_->program()) {
    text += fmt::format("prog_tag:\t{}\nprog_id:\t{}\n", tag_text(program->tag), program->id());
  }
  return text + link_->fdinfo();
}

}  // namespace bpfemu
