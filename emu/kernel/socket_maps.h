// SPDX-License-Identifier: Apache-2.0
// Maps that hold sockets of the tree: SOCKMAP, SOCKHASH (kernel: net/core/sock_map.c) and REUSEPORT_SOCKARRAY. A socket
// leaves when its last descriptor is closed, which is looked for whenever somebody looks at a map.
#pragma once

#include <unordered_map>
#include <vector>

#include "emu/bpf/map_object.h"
#include "emu/kernel/held_socket.h"
#include "emu/ports/host.h"
#include "emu/runtime/run.h"

namespace bpfemu {

class SocketMaps {
 public:
  SocketMaps(Arena& arena, Host& host, Sockets& sockets, IdSpace<MapObject>& maps);

  // By a descriptor of the task's: EBADF, ENOTSOCK, EOPNOTSUPP: not such a socket, or not in such a state; EBUSY: a map that
  // it is in gives it programs already, or is of the other kind; EINVAL, E2BIG, EEXIST, ENOENT.
  Result<void> put(Task& task, MapObject& map, const void* key, u64 fd, u64 flags);
  Result<void> erase(MapObject& map, const void* key);
  // Those that the tree has no descriptor of leave.
  void drop_closed(MapObject& map);
  void drop_closed();  // of all maps
  // The socket at an arena address that a map gave; null: none of them.
  static std::shared_ptr<HeldSocket> at(const MapObject& map, u64 address);

  // Attaches a program to a map, or takes one away, `old` being what must be there; EBUSY: one of the other kind is there,
  // EOPNOTSUPP: not such a map, ENOENT (kernel: sock_map_prog_update).
  Result<void> set_program(MapObject& map, u32 type, std::shared_ptr<Program> program, const Program* old);
  // Null: there is none.
  Result<std::shared_ptr<Object>> program(const MapObject& map, u32 type) const;

  // The socket as programs hold it, up to date: ENOMEM.
  Result<std::shared_ptr<HeldSocket>> hold(const SocketRef& socket);
  const TreeSocketServices& services() const { return services_; }

 private:
  Result<void> put(MapObject& map, const void* key, const SocketRef& socket, u64 flags);
  Result<void> put_anyhow(MapObject& map, const void* key, const SocketRef& socket, u64 flags);
  Result<void> put_reuseport(Task& task, MapObject& map, const void* key, u64 fd, u64 flags);
  Result<void> refuse_xsk(Task& task, const MapObject& map, const void* key, u64 fd, u64 flags);
  Result<SocketRef> behind(Task& task, u64 fd);
  bool is_linked(const HeldSocket& socket);
  bool is_in_array(const HeldSocket& socket) { return socket.reuseport_array && maps_.find(socket.reuseport_array); }
  Result<void> store(MapObject& map, const void* key, std::shared_ptr<HeldSocket> socket, u64 flags);
  void let_go(MapObject& map, const void* key, u64 address);
  static u64 as_kind(void* self, u64 sock, SockKind kind);
  static u64 of_file(void* self, u64 file);
  static s64 put_of_program(void* self, Map* map, const void* key, u64 sock, u64 flags);
  static s64 put_anyhow_of_program(void* self, Map* map, const void* key, u64 sock, u64 flags);
  static s64 erase_of_program(void* self, Map* map, const void* key);
  SocketRef seen_at(u64 address);

  Arena& arena_;
  Host& host_;
  Sockets& sockets_;
  IdSpace<MapObject>& maps_;
  TreeSocketServices services_;
  std::unordered_map<u64, std::weak_ptr<HeldSocket>> held_;  // by cookie
};

}  // namespace bpfemu
