// SPDX-License-Identifier: Apache-2.0
#include "emu/syscalls/quiet_maps.h"

#include <linux/bpf.h>

#include "emu/syscalls/system.h"

namespace bpfemu {

namespace {

bool is_read_command(u64 command) {
  return command == BPF_MAP_LOOKUP_ELEM || command == BPF_MAP_GET_NEXT_KEY;
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
  const Result<Extent> memory = system.arena->allocate(sizeof(MapIndex));
  if (!memory) return;
  memory_ = *memory;
  index_ = reinterpret_cast<MapIndex*>(memory_.address);
}

QuietMaps::~QuietMaps() {
  if (index_) system_.arena->release(memory_);
}

void QuietMaps::opened(FileId id, const File& file) {
  MapObject* const map = index_ ? read_inside(file) : nullptr;
  if (!map || (index_->device != 0 && index_->device != id.dev)) return;
  index_->device = id.dev;
  (void)index_->add(id.ino, &map->map());  // no room: it is asked about
}

void QuietMaps::closed(FileId id) {
  if (index_ && index_->device == id.dev) index_->remove(id.ino);
}

void QuietMaps::publish() {
  if (index_) __atomic_store_n(&index_->shares, system_.arena->shares(), __ATOMIC_SEQ_CST);
}

bool QuietMaps::unseen() const {
  return !system_.options.trace && !system_.probes->runner().listened;
}

bool QuietMaps::is_read_inside(Call& call) const {
  u32 fd = 0;
  if (!is_read_command(static_cast<u32>(call.args[0])) || !call.task.read(call.args[1], &fd, sizeof fd)) return false;
  const Result<FileId> id = call.task.file_id(static_cast<int>(fd));
  return id && index_ && id->dev == index_->device && index_->find(id->ino);
}

}  // namespace bpfemu
