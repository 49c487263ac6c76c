// SPDX-License-Identifier: Apache-2.0
// Keeps true what the index (emu/runtime/inside/map_index.h) tells processes that read and change maps by themselves.
#pragma once

#include "emu/arena/arena.h"
#include "emu/runtime/inside/map_index.h"
#include "emu/syscalls/files.h"

namespace bpfemu {

class QuietMaps {
 public:
  explicit QuietMaps(System& system);
  ~QuietMaps();
  QuietMaps(const QuietMaps&) = delete;
  QuietMaps& operator=(const QuietMaps&) = delete;

  // Null: there is no memory for it.
  const MapIndex* index() const { return index_; }
  void opened(FileId id, const File& file);
  void closed(FileId id);
  // May calls go unseen?
  bool unseen() const;
  // Would a process have answered this call of bpf() by itself?
  bool is_answered_inside(Call& call) const;
  // The supervisor was asked to change an element. Where that happens often, processes do it by themselves from then on.
  void changed(MapObject& map);

 private:
  System& system_;
  Extent memory_;
  MapIndex* index_ = nullptr;
};

}  // namespace bpfemu
