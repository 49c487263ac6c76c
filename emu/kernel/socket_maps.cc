// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/socket_maps.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <set>

#include "emu/base/bytes.h"

namespace bpfemu {

namespace {

bool is_array(const Map& map) {
  return map.type != BPF_MAP_TYPE_SOCKHASH;
}

bool is_udp(const SocketFacts& facts) {
  return facts.internet() && facts.type == SOCK_DGRAM && facts.protocol == IPPROTO_UDP;
}

// Kernel: sock_map_sk_is_suitable, sock_map_sk_state_allowed.
bool is_allowed(const SocketFacts& facts) {
  if (facts.is_tcp()) return facts.state == kTcpEstablished || facts.state == kTcpListen;
  if (is_udp(facts)) return facts.local.port != 0;
  if (facts.family != AF_UNIX) return false;
  return facts.type != SOCK_STREAM || facts.state == kTcpEstablished;
}

// Kernel: reuseport_array_update_check, the part that is about the socket.
Result<void> check_reuseport(const SocketFacts& facts) {
  if (!facts.is_tcp() && !is_udp(facts)) return fail(ENOTSUPP);
  const bool hashed = facts.is_tcp() ? facts.state == kTcpListen : facts.local.port != 0;
  return hashed && facts.reuse_port ? Result<void>() : fail(EINVAL);
}

// Does a program that the map would give the socket stand against one that it has (kernel: sock_map_link)?
bool conflicts(const MapObject& map, const HeldSocket& socket) {
  const auto gives = [&](u32 type) { return map.socket_programs.contains(type); };
  const auto has = [&](u32 type) { return socket.programs.contains(type); };
  const bool verdict = gives(BPF_SK_SKB_VERDICT) || gives(BPF_SK_SKB_STREAM_VERDICT);
  return (gives(BPF_SK_MSG_VERDICT) && has(BPF_SK_MSG_VERDICT)) ||
         (gives(BPF_SK_SKB_STREAM_PARSER) && has(BPF_SK_SKB_STREAM_PARSER)) ||
         (verdict && (has(BPF_SK_SKB_VERDICT) || has(BPF_SK_SKB_STREAM_VERDICT)));
}

// Kernel: bpf_skc_to_tcp_sock and its like. No socket is MPTCP's.
bool is_kind(const SocketFacts& facts, u8 state, SockKind kind) {
  const bool full = state != kTcpTimeWait && state != kTcpNewSynRecv;
  switch (kind) {
    case SockKind::kTcp: return facts.is_tcp() && full;
    case SockKind::kTcp6: return facts.is_tcp() && full && facts.family == AF_INET6;
    case SockKind::kTcpTimeWait: return facts.is_tcp() && state == kTcpTimeWait;
    case SockKind::kTcpRequest: return facts.is_tcp() && state == kTcpNewSynRecv;
    case SockKind::kUdp6: return is_udp(facts) && facts.family == AF_INET6;
    case SockKind::kUnix: return facts.family == AF_UNIX;
    case SockKind::kMptcp: return false;
  }
  return false;
}

// Of all elements.
std::vector<std::vector<u8>> keys_of(const MapObject& map) {
  std::vector<std::vector<u8>> keys;
  if (is_array(map.map())) {
    for (const auto& [index, element] : map.elements) {
      const auto* bytes = reinterpret_cast<const u8*>(&index);
      keys.emplace_back(bytes, bytes + sizeof index);
    }
    return keys;
  }
  std::vector<u8> next(map.map().key_size);
  while (map.ops().get_next_key(map.map(), keys.empty() ? nullptr : keys.back().data(), next.data()) == 0)
    keys.push_back(next);
  return keys;
}

}  // namespace

SocketMaps::SocketMaps(Arena& arena, Host& host, Sockets& sockets, IdSpace<MapObject>& maps)
    : arena_(arena),
      host_(host),
      sockets_(sockets),
      maps_(maps),
      services_{.self = this, .as_kind = as_kind, .put = put_of_program,
                .put_anyhow = put_anyhow_of_program, .erase = erase_of_program, .of_file = of_file} {}

Result<std::shared_ptr<HeldSocket>> SocketMaps::hold(const SocketRef& socket) {
  std::erase_if(held_, [](const auto& entry) { return entry.second.expired(); });
  auto& known = held_[socket->facts.cookie];
  auto held = known.lock();
  if (held) {
    held->show();
    return held;
  }
  held = TRY(HeldSocket::create(arena_, socket));
  known = held;
  return held;
}

Result<SocketRef> SocketMaps::behind(Task& task, u64 fd) {
  if (fd > 0x7fffffff) return fail(EINVAL);
  TRY(task.file_id(static_cast<int>(fd)));
  SocketRef socket = sockets_.behind(task, static_cast<int>(fd));
  if (!socket) return fail(ENOTSOCK);
  return socket;
}

Result<void> SocketMaps::put(Task& task, MapObject& map, const void* key, u64 fd, u64 flags) {
  if (map.map().type == BPF_MAP_TYPE_REUSEPORT_SOCKARRAY) return put_reuseport(task, map, key, fd, flags);
  if (map.map().type == BPF_MAP_TYPE_XSKMAP) return refuse_xsk(task, map, key, fd, flags);
  return put(map, key, TRY(behind(task, fd)), flags);
}

Result<void> SocketMaps::put(MapObject& map, const void* key, const SocketRef& socket, u64 flags) {
  if (!is_allowed(socket->facts)) return fail(EOPNOTSUPP);
  return put_anyhow(map, key, socket, flags);
}

Result<void> SocketMaps::put_anyhow(MapObject& map, const void* key, const SocketRef& socket, u64 flags) {
  if (flags > BPF_EXIST) return fail(EINVAL);
  if (is_array(map.map()) && load<u32>(key) >= map.map().max_entries) return fail(E2BIG);
  drop_closed(map);
  auto held = TRY(hold(socket));
  if (is_in_array(*held) || conflicts(map, *held)) return fail(EBUSY);
  for (const auto& [type, program] : map.socket_programs) held->programs[type] = program;
  return store(map, key, std::move(held), flags);
}

// Sockets of AF_XDP are not modelled: all others are refused (kernel: xsk_map_update_elem).
Result<void> SocketMaps::refuse_xsk(Task& task, const MapObject& map, const void* key, u64 fd, u64 flags) {
  if (flags > BPF_EXIST) return fail(EINVAL);
  if (load<u32>(key) >= map.map().max_entries) return fail(E2BIG);
  if (fd > 0x7fffffff) return fail(EBADF);
  TRY(behind(task, fd));
  return fail(EOPNOTSUPP);
}

// Kernel: bpf_fd_reuseport_array_update_elem.
Result<void> SocketMaps::put_reuseport(Task& task, MapObject& map, const void* key, u64 fd, u64 flags) {
  const u32 index = load<u32>(key);
  if (flags > BPF_EXIST) return fail(EINVAL);
  if (index >= map.map().max_entries) return fail(E2BIG);
  if (map.map().value_size == sizeof(u32) && fd > 0x7fffffff) return fail(EBADF);
  const SocketRef socket = TRY(behind(task, fd));
  drop_closed(map);
  const bool there = map.elements.contains(index);
  if (there && flags == BPF_NOEXIST) return fail(EEXIST);
  if (!there && flags == BPF_EXIST) return fail(ENOENT);
  TRY(check_reuseport(socket->facts));
  auto held = TRY(hold(socket));
  if (is_in_array(*held) || is_linked(*held)) return fail(EBUSY);
  TRY(store(map, key, held, flags));
  held->reuseport_array = map.id();
  return {};
}

// Is it in a SOCKMAP or SOCKHASH (kernel: sk_psock)?
bool SocketMaps::is_linked(const HeldSocket& socket) {
  for (auto id = maps_.next(0); id; id = maps_.next(*id)) {
    const auto map = maps_.find(*id);
    if (map && has_trait((*map)->map(), kSockets) && at(**map, socket.runtime_address())) return true;
  }
  return false;
}

Result<void> SocketMaps::store(MapObject& map, const void* key, std::shared_ptr<HeldSocket> socket, u64 flags) {
  u64 old = 0;
  TRY(from_return(map.ops().exchange(map.map(), key, socket->runtime_address(), flags, &old)));
  if (old) let_go(map, key, old);
  if (is_array(map.map())) {
    map.elements[load<u32>(key)] = std::move(socket);
  } else {
    const u64 address = socket->runtime_address();
    map.hashed_elements.emplace(address, std::move(socket));
  }
  return {};
}

void SocketMaps::let_go(MapObject& map, const void* key, u64 address) {
  if (map.map().type == BPF_MAP_TYPE_REUSEPORT_SOCKARRAY) at(map, address)->reuseport_array = 0;
  if (is_array(map.map())) {
    map.elements.erase(load<u32>(key));
  } else if (const auto found = map.hashed_elements.find(address); found != map.hashed_elements.end()) {
    map.hashed_elements.erase(found);
  }
}

Result<void> SocketMaps::erase(MapObject& map, const void* key) {
  drop_closed(map);
  u64 old = 0;
  TRY(from_return(map.ops().exchange(map.map(), key, 0, BPF_ANY, &old)));
  if (old) let_go(map, key, old);
  return {};
}

std::shared_ptr<HeldSocket> SocketMaps::at(const MapObject& map, u64 address) {
  const auto is_it = [&](const auto& entry) { return entry.second->runtime_address() == address; };
  if (!is_array(map.map())) {
    const auto found = map.hashed_elements.find(address);
    return found == map.hashed_elements.end() ? nullptr : std::static_pointer_cast<HeldSocket>(found->second);
  }
  const auto found = std::ranges::find_if(map.elements, is_it);
  return found == map.elements.end() ? nullptr : std::static_pointer_cast<HeldSocket>(found->second);
}

void SocketMaps::drop_closed(MapObject& map) {
  if (map.elements.empty() && map.hashed_elements.empty()) return;
  const std::set<u64> open = Sockets::inodes_of(host_.thread_groups());
  std::set<u64> closed;  // addresses
  const auto look = [&](const Object& element) {
    const auto& held = static_cast<const HeldSocket&>(element);
    const FollowedSocket& socket = *held.socket();
    const u64 holder = socket.facts.inode ? socket.facts.inode : socket.listener;
    if (!open.contains(holder)) closed.insert(held.runtime_address());
  };
  for (const auto& [index, element] : map.elements) look(*element);
  for (const auto& [address, element] : map.hashed_elements) look(*element);
  if (closed.empty()) return;
  for (const std::vector<u8>& key : keys_of(map)) {
    const u64 address = reinterpret_cast<u64>(map.ops().lookup(nullptr, map.map(), key.data()));
    u64 old = 0;
    if (!closed.contains(address) || map.ops().exchange(map.map(), key.data(), 0, BPF_ANY, &old) != 0) continue;
    let_go(map, key.data(), old);
  }
}

void SocketMaps::drop_closed() {
  for (auto id = maps_.next(0); id; id = maps_.next(*id)) {
    const auto map = maps_.find(*id);
    if (map && (*map)->ops().elements == ElementKind::kSocket) drop_closed(**map);
  }
}

Result<void> SocketMaps::set_program(MapObject& map, u32 type, std::shared_ptr<Program> program, const Program* old) {
  const auto there = TRY(this->program(map, type));
  if (old && there.get() != old) return fail(ENOENT);
  if (program) {
    map.socket_programs[type] = std::move(program);
  } else {
    map.socket_programs.erase(type);
  }
  return {};
}

// Kernel: sock_map_prog_lookup.
Result<std::shared_ptr<Object>> SocketMaps::program(const MapObject& map, u32 type) const {
  if (!has_trait(map.map(), kSockets)) return fail(EOPNOTSUPP);
  const auto& programs = map.socket_programs;
  if (type == BPF_SK_SKB_STREAM_VERDICT && programs.contains(BPF_SK_SKB_VERDICT)) return fail(EBUSY);
  if (type == BPF_SK_SKB_VERDICT && programs.contains(BPF_SK_SKB_STREAM_VERDICT)) return fail(EBUSY);
  const auto found = programs.find(type);
  return found == programs.end() ? nullptr : found->second;
}

// A socket that a program holds. Null: nobody knows of it.
SocketRef SocketMaps::seen_at(u64 address) {
  for (const auto& [cookie, weak] : held_) {
    const auto held = weak.lock();
    if (held && held->runtime_address() == address) return held->socket();
  }
  return sockets_.at(address);
}

u64 SocketMaps::of_file(void* self, u64 file) {
  return static_cast<SocketMaps*>(self)->sockets_.objects().of_file(file);
}

u64 SocketMaps::as_kind(void* self, u64 sock, SockKind kind) {
  auto& maps = *static_cast<SocketMaps*>(self);
  const SocketRef socket = maps.seen_at(sock);
  if (!socket || !is_kind(socket->facts, socket->told, kind)) return 0;
  return maps.sockets_.sock(*socket).address();
}

s64 SocketMaps::put_of_program(void* self, Map* map, const void* key, u64 sock, u64 flags) {
  auto& maps = *static_cast<SocketMaps*>(self);
  const auto object = maps.maps_.find(map->id);
  const SocketRef socket = object ? maps.seen_at(sock) : nullptr;
  if (!socket) return -EOPNOTSUPP;  // no socket of the tree
  return as_return(maps.put(**object, key, socket, flags));
}

s64 SocketMaps::put_anyhow_of_program(void* self, Map* map, const void* key, u64 sock, u64 flags) {
  auto& maps = *static_cast<SocketMaps*>(self);
  const auto object = maps.maps_.find(map->id);
  const SocketRef socket = object ? maps.seen_at(sock) : nullptr;
  return socket ? as_return(maps.put_anyhow(**object, key, socket, flags)) : -EOPNOTSUPP;
}

s64 SocketMaps::erase_of_program(void* self, Map* map, const void* key) {
  auto& maps = *static_cast<SocketMaps*>(self);
  const auto object = maps.maps_.find(map->id);
  return object ? as_return(maps.erase(**object, key)) : -EOPNOTSUPP;
}

}  // namespace bpfemu
