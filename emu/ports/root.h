// SPDX-License-Identifier: Apache-2.0
// In which way the supervised processes are root.
#pragma once

#include "emu/base/types.h"

namespace bpfemu {

enum class RootWay : u8 {
  kBare,       // --as-user: not at all
  kReal,       // the host's own root runs us
  kNamespace,  // in a user namespace: ids and capabilities are the host kernel's own answers there
  kAnswered,   // the host allows no such namespace, so we answer what one would
};

struct Root {
  static constexpr u32 kOverflowId = 65534;  // what is shown of an id that has no place in a namespace
  static constexpr u64 kAllCapabilities = (u64{1} << 41) - 1;  // those of 6.1, up to CAP_CHECKPOINT_RESTORE

  RootWay way = RootWay::kAnswered;
  u32 uid = 0, gid = 0;  // kNamespace, kAnswered: the host's ids that are shown as 0
  u64 lacking = 0;       // kReal: capabilities of the claimed kernel's root that this one has not, as in a container
  int refused = 0;       // kAnswered: the errno of the namespace

  // Are not all ids and capabilities the host's to tell?
  bool answered() const { return way == RootWay::kAnswered; }
  // Is the host's root one of a container, which is told that it has all capabilities?
  bool lacks() const { return way == RootWay::kReal && lacking != 0; }
  bool pretended() const { return way == RootWay::kAnswered || way == RootWay::kNamespace; }
  // The host's id, as seen from the first supervised process.
  u32 shown_uid(u32 id) const { return pretended() ? shown(id, uid) : id; }
  u32 shown_gid(u32 id) const { return pretended() ? shown(id, gid) : id; }
  // The capabilities of a thread that the host gives `effective`. What root never had here it has until it drops others.
  u64 granted(u64 effective) const {
    return (effective | lacking) == kAllCapabilities ? kAllCapabilities : effective;
  }

 private:
  static u32 shown(u32 id, u32 own) { return id == own ? 0 : kOverflowId; }
};

}  // namespace bpfemu
