// SPDX-License-Identifier: Apache-2.0
// sockmap: the elements of a map of sockets. Of an array those without a socket are walked, too.
#include <cstring>
#include <vector>

#include "emu/base/bytes.h"
#include "emu/iter/map_subject.h"
#include "emu/kernel/socket_maps.h"

namespace bpfemu {

namespace {

class SocketMapWalk : public IterWalk {
 public:
  SocketMapWalk(IterWorld& world, std::shared_ptr<MapObject> map) : world_(world), map_(std::move(map)) {}

  // Where the element has gone meanwhile, a hash's walk goes on from its beginning, as its keys do.
  Result<bool> start() override {
    world_.socket_maps.drop_closed(*map_);
    if (is_array()) return found_ = index_ < map_->map().max_entries;
    if (!key_.empty() && map_->ops().lookup(nullptr, map_->map(), key_.data())) return found_ = true;
    return next();
  }
  bool next() override {
    if (is_array()) return found_ = ++index_ < map_->map().max_entries;
    std::vector<u8> next(map_->map().key_size);
    found_ = map_->ops().get_next_key(map_->map(), key_.empty() ? nullptr : key_.data(), next.data()) == 0;
    if (found_) key_ = std::move(next);
    return found_;
  }
  void show(std::span<u64> words, Run&) override {
    words[0] = world_.bpf.map(*map_).address();
    if (!found_) return;
    std::memcpy(shown_key_, key(), map_->map().key_size);
    words[1] = reinterpret_cast<u64>(shown_key_);
    const u64 address = reinterpret_cast<u64>(map_->ops().lookup(nullptr, map_->map(), key()));
    const auto held = address ? SocketMaps::at(*map_, address) : nullptr;
    if (!held) return;
    world_.sockets.socket(*held->socket());
    words[2] = world_.sockets.sock(*held->socket()).address();
  }
  // The key lies in the arena.
  u64 memory_size() const override { return round_up(map_->map().key_size, 8); }
  void take_memory(u64 address) override { shown_key_ = reinterpret_cast<void*>(address); }

 private:
  bool is_array() const { return map_->map().type == BPF_MAP_TYPE_SOCKMAP; }
  const void* key() const { return is_array() ? static_cast<const void*>(&index_) : key_.data(); }

  IterWorld& world_;
  std::shared_ptr<MapObject> map_;
  u32 index_ = 0;        // of an array
  std::vector<u8> key_;  // of a hash; empty: before the first
  void* shown_key_ = nullptr;
  bool found_ = false;
};

}  // namespace

// Kernel: sock_map_iter_attach_target.
Result<std::unique_ptr<IterSubject>> socket_map_subject(const IterRequest& request) {
  if (!request.info.map.map_fd) return fail(EBADF);
  auto map = TRY(request.world.map_of(request.task, request.info.map.map_fd));
  if (!has_trait(map->map(), kSockets)) return fail(EINVAL);
  if (request.program.verified.max_key_access > map->map().key_size) return fail(EACCES);
  return std::make_unique<MapSubject<SocketMapWalk>>(request.world, std::move(map));
}

}  // namespace bpfemu
