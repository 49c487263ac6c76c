// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/quiet_maps.h"

#include <linux/bpf.h>

#include "emu/bpf/shared_values.h"
#include "emu/syscalls/system.h"

namespace bpfemu {

namespace {

constexpr u32 kOften = 16;  // changes, after which the values are shared with processes

bool is_read_command(u64 command) {
  return command == BPF_MAP_LOOKUP_ELEM || command == BPF_MAP_GET_NEXT_KEY;
}

// Kernel: the same commands of __sys_bpf. Values of all CPUs at once are the supervisor's to change.
bool is_changed_inside(const Map& map, u64 command) {
  const bool in_hash = map.type == BPF_MAP_TYPE_HASH || (map.type == BPF_MAP_TYPE_PERCPU_HASH && command == BPF_MAP_DELETE_ELEM);
  if (command == BPF_MAP_DELETE_ELEM) return in_hash;
  return command == BPF_MAP_UPDATE_ELEM && (in_hash || map.type == BPF_MAP_TYPE_ARRAY);
}

// Its values are bytes and nothing else.
MapObject* read_inside(const File& file) {
  const std::shared_ptr<Object> object = file.object();
  if (!object || object->kind() != ObjectKind::kMap || !(file.mode & kModeRead)) return nullptr;
  MapObject& map = static_cast<MapObject&>(*object);
  return has_trait(map.map(), kReadInside) && map.map().hole_count == 0 ? &map : nullptr;
}

}  // namespace

QuietMaps::QuietMaps(System& system) : system_(system) {
  const u64* const shares = system.arena->shares_told();
  const Result<Extent> memory = shares ? system.arena->allocate(sizeof(MapIndex)) : Result<Extent>(fail(ENOMEM));
  if (!memory) return;
  memory_ = *memory;
  index_ = reinterpret_cast<MapIndex*>(memory_.address);
  index_->shares = shares;
  index_->cpus = system_.arena->cpus();
}

QuietMaps::~QuietMaps() {
  if (index_) system_.arena->release(memory_);
}

void QuietMaps::opened(FileId id, const File& file) {
  MapObject* const map = index_ ? read_inside(file) : nullptr;
  if (!map || (index_->device != 0 && index_->device != id.dev)) return;
  index_->device = id.dev;
  (void)index_->add(id.ino, &map->map(), (file.mode & kModeWrite) && is_shareable(map->map()));  // no room: it is asked about
}

void QuietMaps::closed(FileId id) {
  if (index_ && index_->device == id.dev) index_->remove(id.ino);
}

bool QuietMaps::unseen() const {
  return !system_.options.trace && !system_.probes->runner().listened;
}

bool QuietMaps::is_answered_inside(Call& call) const {
  const u32 command = static_cast<u32>(call.args[0]);
  u32 fd = 0;
  if (!index_ || !call.task.read(call.args[1], &fd, sizeof fd)) return false;
  const Result<FileId> id = call.task.file_id(static_cast<int>(fd));
  const MapIndex::Place* const place = id && id->dev == index_->device ? index_->place_of(id->ino) : nullptr;
  if (!place) return false;
  return is_read_command(command) || (place->writes && place->map->seats && is_changed_inside(*place->map, command));
}

void QuietMaps::changed(MapObject& object) {
  Map& map = object.map();
  if (!index_ || map.seats || !is_shareable(map) || ++object.changes != kOften) return;
  if (share_values(*system_.arena, map)) index_->seats = map.seats;
}

}  // namespace bpfemu
