// SPDX-License-Identifier: Apache-2.0
// BPF_MAP_TYPE_LPM_TRIE: a binary trie of prefixes. A key is a prefix length in bits and big-endian data. Nodes where
// two prefixes part are intermediate: they hold no value and always have two children.
#include "emu/runtime/held_lock.h"
#include "emu/runtime/maps/types.h"
#include "emu/runtime/maps/value.h"

namespace bpfemu {

namespace {

constexpr u64 kPrefixSize = sizeof(u32);
constexpr u64 kMaxData = 256;
constexpr u64 kNodeHead = 40;            // sizeof(struct lpm_trie_node)
constexpr u64 kMaxNodes = u64{1} << 26;  // of the arena's address space, whatever max_entries says

using NodeLink = u32;  // index + 1, 0: none

struct TrieNode {
  NodeLink child[2];
  u32 prefix;  // length in bits
  bool intermediate;
  u8 data[];  // then the value
};

struct TrieMap : Map {
  NodeLink root, free;
  u32 fresh;  // nodes ever used
  u32 entries;
  u32 capacity, stride;
  u32 data_size;

  TrieNode* node(NodeLink link) {
    return reinterpret_cast<TrieNode*>(reinterpret_cast<u8*>(this) + round_up(sizeof(TrieMap), 8) +
                                       u64{link - 1} * stride);
  }
  u32 max_prefix() const { return data_size * 8; }
  u8* value(TrieNode* n) const { return n->data + round_up(data_size, 8); }
};

struct TrieKey {
  u32 prefix;
  const u8* data;
  explicit TrieKey(const void* key) : prefix(load<u32>(key)), data(static_cast<const u8*>(key) + kPrefixSize) {}
};

u64 data_size(const MapAttr& attr) {
  return attr.key_size - kPrefixSize;
}
u64 node_stride(u64 data, u64 value) {
  return round_up(round_up(sizeof(TrieNode), 8) + round_up(data, 8) + value, 8);
}
// Each entry may need an intermediate node, and a replaced one is there twice for a moment.
u64 node_count(u32 max_entries) {
  u64 wanted = 2 * u64{max_entries} + 1;
  return wanted < kMaxNodes ? wanted : kMaxNodes;
}

s64 alloc_check(const MapAttr& attr) {
  if (!attr.privileged) return -EPERM;
  if (attr.max_entries == 0 || !(attr.flags & BPF_F_NO_PREALLOC) ||
      (attr.flags & ~(BPF_F_NO_PREALLOC | BPF_F_NUMA_NODE | kAccessMask)) || !access_ok(attr.flags) ||
      attr.key_size < kPrefixSize + 1 || attr.key_size > kPrefixSize + kMaxData || attr.value_size < 1 ||
      attr.value_size > kKmallocMax - kMaxData - kNodeHead) {
    return -EINVAL;
  }
  return 0;
}

u64 footprint(const MapAttr& attr) {
  return round_up(sizeof(TrieMap), 8) + node_count(attr.max_entries) * node_stride(data_size(attr), attr.value_size);
}

u64 committed(const MapAttr&) {
  return sizeof(TrieMap);
}

void init(Map& base) {
  TrieMap& map = static_cast<TrieMap&>(base);
  map.data_size = static_cast<u32>(map.key_size - kPrefixSize);
  map.stride = static_cast<u32>(node_stride(map.data_size, map.value_size));
  map.capacity = static_cast<u32>(node_count(map.max_entries));
}

bool bit_at(const u8* data, u32 index) {
  return data[index / 8] >> (7 - index % 8) & 1;
}

// How many leading bits agree, at most what both prefixes have.
u32 common_prefix(const TrieMap& map, const TrieNode* n, const TrieKey& key) {
  u32 limit = n->prefix < key.prefix ? n->prefix : key.prefix;
  for (u32 byte = 0; byte < map.data_size && byte * 8 < limit; ++byte) {
    if (u32 differs = n->data[byte] ^ key.data[byte]) {
      u32 bits = byte * 8 + static_cast<u32>(__builtin_clz(differs)) - 24;
      return bits < limit ? bits : limit;
    }
  }
  return limit;
}

// Null when there is no memory for a node. The map's lock is held.
TrieNode* take(Run* run, TrieMap& map, NodeLink& link, u32 prefix, const u8* data) {
  if (map.free) {
    link = map.free;
    map.free = map.node(link)->child[0];
  } else {
    if (map.fresh == map.capacity || exhausted(run)) return nullptr;
    link = ++map.fresh;
  }
  TrieNode* n = map.node(link);
  n->child[0] = n->child[1] = 0;
  n->prefix = prefix;
  n->intermediate = false;
  __builtin_memcpy(n->data, data, map.data_size);
  return n;
}

void give_back(TrieMap& map, NodeLink link) {
  map.node(link)->child[0] = map.free;
  map.free = link;
}

void set(NodeLink& slot, NodeLink link) {
  __atomic_store_n(&slot, link, __ATOMIC_RELEASE);
}
NodeLink get(const NodeLink& slot) {
  return __atomic_load_n(&slot, __ATOMIC_ACQUIRE);
}

void* lookup(Run*, Map& base, const void* raw) {
  TrieMap& map = static_cast<TrieMap&>(base);
  TrieKey key(raw);
  if (key.prefix > map.max_prefix()) return nullptr;
  TrieNode* found = nullptr;
  for (NodeLink link = get(map.root); link;) {
    TrieNode* n = map.node(link);
    u32 common = common_prefix(map, n, key);
    if (common == map.max_prefix()) return map.value(n);
    if (common < n->prefix) break;
    if (!n->intermediate) found = n;
    link = get(n->child[bit_at(key.data, n->prefix)]);
  }
  return found ? map.value(found) : nullptr;
}

s64 check_add(TrieMap& map, u64 flags) {
  if (flags == BPF_EXIST) return -ENOENT;
  if (map.entries == map.max_entries) return -ENOSPC;
  ++map.entries;
  return 0;
}

// Hangs the new node at `slot`, where the walk for its key ended in the node `there` (0: nothing) with `common` bits
// alike. `unused` gets the node that is no longer needed.
s64 attach(Run* run, TrieMap& map, NodeLink& slot, NodeLink fresh, NodeLink there, u32 common, u64 flags, NodeLink& unused) {
  TrieNode *n = map.node(fresh), *old = there ? map.node(there) : nullptr;
  if (old && old->prefix == common && !old->intermediate) {
    if (flags == BPF_NOEXIST) return -EEXIST;
  } else if (s64 error = check_add(map, flags)) {
    return error;
  }
  if (!old) {
    set(slot, fresh);
  } else if (old->prefix == common) {
    n->child[0] = old->child[0];
    n->child[1] = old->child[1];
    set(slot, fresh);
    unused = there;
  } else if (common == n->prefix) {
    n->child[bit_at(old->data, common)] = there;
    set(slot, fresh);
  } else {
    NodeLink fork_link;
    TrieNode* fork = take(run, map, fork_link, common, old->data);
    if (!fork) {
      --map.entries;
      return -ENOMEM;
    }
    fork->intermediate = true;
    bool side = bit_at(n->data, common);
    fork->child[side] = fresh;
    fork->child[!side] = there;
    set(slot, fork_link);
  }
  return 0;
}

s64 update(Run* run, Map& base, const void* raw, const void* value, u64 flags) {
  TrieMap& map = static_cast<TrieMap&>(base);
  TrieKey key(raw);
  if (flags > BPF_EXIST || key.prefix > map.max_prefix()) return -EINVAL;
  HeldLock lock(run, map.lock);
  NodeLink fresh;
  TrieNode* n = take(run, map, fresh, key.prefix, key.data);
  if (!n) return -ENOMEM;
  __builtin_memcpy(map.value(n), value, map.value_size);

  NodeLink* slot = &map.root;
  u32 common = 0;
  while (*slot) {
    TrieNode* here = map.node(*slot);
    common = common_prefix(map, here, key);
    if (here->prefix != common || here->prefix == key.prefix || here->prefix == map.max_prefix()) break;
    slot = &here->child[bit_at(key.data, here->prefix)];
  }
  NodeLink unused = 0;
  s64 error = attach(run, map, *slot, fresh, *slot, common, flags, unused);
  if (error) unused = fresh;
  if (unused) give_back(map, unused);
  return error;
}

s64 erase(Run* run, Map& base, const void* raw) {
  TrieMap& map = static_cast<TrieMap&>(base);
  TrieKey key(raw);
  if (key.prefix > map.max_prefix()) return -EINVAL;
  HeldLock lock(run, map.lock);
  NodeLink *slot = &map.root, *parent_slot = nullptr;
  u32 common = 0;
  while (*slot) {
    TrieNode* here = map.node(*slot);
    common = common_prefix(map, here, key);
    if (here->prefix != common || here->prefix == key.prefix) break;
    parent_slot = slot;
    slot = &here->child[bit_at(key.data, here->prefix)];
  }
  TrieNode* n = *slot ? map.node(*slot) : nullptr;
  if (!n || n->prefix != key.prefix || n->prefix != common || n->intermediate) return -ENOENT;
  --map.entries;
  if (n->child[0] && n->child[1]) {
    n->intermediate = true;
    return 0;
  }
  NodeLink gone = *slot;
  TrieNode* parent = parent_slot ? map.node(*parent_slot) : nullptr;
  if (parent && parent->intermediate && !n->child[0] && !n->child[1]) {
    // The parent has one child left, which takes its place.
    NodeLink fork = *parent_slot;
    set(*parent_slot, parent->child[parent->child[0] == gone]);
    give_back(map, fork);
  } else {
    set(*slot, n->child[0] ? n->child[0] : n->child[1]);
  }
  give_back(map, gone);
  return 0;
}

// The first node in postorder at or below `link`: longer prefixes come before the shorter ones that contain them.
TrieNode* leftmost(TrieMap& map, NodeLink link) {
  TrieNode* n;
  do {
    n = map.node(link);
    link = n->child[0] ? n->child[0] : n->child[1];
  } while (link);
  return n;
}

// The node after the one with this key; the first one when the key is not there; null after the last.
TrieNode* next_node(TrieMap& map, const TrieKey& key) {
  NodeLink path[kMaxData * 8 + 1];
  u32 depth = 0, common = 0;
  NodeLink link = map.root;
  for (; link; link = map.node(link)->child[bit_at(key.data, map.node(link)->prefix)]) {
    path[depth++] = link;
    common = common_prefix(map, map.node(link), key);
    if (map.node(link)->prefix != common || map.node(link)->prefix == key.prefix) break;
  }
  if (!link || map.node(link)->prefix != common || map.node(link)->intermediate) return leftmost(map, map.root);
  for (; depth > 1; --depth) {
    TrieNode* parent = map.node(path[depth - 2]);
    if (parent->child[0] == path[depth - 1] && parent->child[1]) return leftmost(map, parent->child[1]);
    if (!parent->intermediate) return parent;
  }
  return nullptr;
}

s64 get_next_key(Map& base, const void* raw, void* next) {
  TrieMap& map = static_cast<TrieMap&>(base);
  HeldLock lock(nullptr, map.lock);
  if (!map.root) return -ENOENT;
  bool valid = raw && TrieKey(raw).prefix <= map.max_prefix();
  TrieNode* n = valid ? next_node(map, TrieKey(raw)) : leftmost(map, map.root);
  if (!n) return -ENOENT;
  store(next, n->prefix);
  __builtin_memcpy(static_cast<u8*>(next) + kPrefixSize, n->data, map.data_size);
  return 0;
}

s64 copy_value(Run* run, Map& map, const void* key, void* value) {
  const void* from = lookup(run, map, key);
  if (!from) return -ENOENT;
  __builtin_memcpy(value, from, map.value_size);
  return 0;
}

}  // namespace

const MapOps lpm_trie_ops = {.alloc_check = alloc_check,
                             .footprint = footprint,
                             .committed = committed,
                             .init = init,
                             .lookup = lookup,
                             .update = update,
                             .erase = erase,
                             .get_next_key = get_next_key,
                             .copy_value = copy_value,
                             .update_value = update,
                             .btf = BtfRule::kStruct,
                             .batches = kBatchLookup | kBatchUpdate | kBatchDelete};

}  // namespace bpfemu
