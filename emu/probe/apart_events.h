// SPDX-License-Identifier: Apache-2.0
// Which programs traced processes run by themselves as they make calls (emu/runtime/inside/events.h): those at trace events
// and raw tracepoints of a call's beginning, where all that listen to it are such, and nobody wants to see its end.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "emu/arena/arena.h"
#include "emu/probe/point.h"
#include "emu/runtime/inside/events.h"

namespace bpfemu {

class ApartEvents {
 public:
  // `points`: all there are.
  ApartEvents(Arena& arena, const std::set<const Point*>& points) : arena_(arena), points_(points) {}
  ~ApartEvents();
  ApartEvents(const ApartEvents&) = delete;
  ApartEvents& operator=(const ApartEvents&) = delete;

  // Null: there are none.
  const InsideEvents* events() const { return events_; }
  // Who listens has changed. `entered`: to each call's beginning; `stops`: calls that are to stop whoever listens.
  void changed(const std::array<std::vector<Point*>, kSyscallLimit>& entered, const SyscallSet& wanted,
               const SyscallSet& stops);
  // What has passed the point until now its perf events have counted.
  void settle(const Point& point);
  // The map at an address that one of the programs has. Null: none has.
  Map* map_at(u64 address) const;

 private:
  using Points = std::vector<Point*>;
  struct Row {
    Extent memory;
    std::set<const Point*> points;
    std::vector<std::shared_ptr<const ApartCode>> code;
  };
  // What passes a point that has perf events.
  struct Counter {
    Extent memory;          // PassedEvents, by CPU
    std::vector<u64> seen;  // of these, the events have counted so many
  };
  using Codes = std::map<const Program*, std::shared_ptr<const ApartCode>>;

  bool begin();
  bool runs_apart(const Point& point) const;
  bool share_maps(const Program& program);
  std::shared_ptr<const ApartCode> code_of(const Program& program);
  PassedEvents* counter_of(const Point& point);
  void drop_unused();
  bool add(const Point& point, InsideCall& call, Row& row);
  std::unique_ptr<Row> row_of(const Points& points);

  Arena& arena_;
  const std::set<const Point*>& points_;
  Extent memory_;
  InsideEvents* events_ = nullptr;
  std::map<size_t, std::unique_ptr<Row>> rows_;  // by number
  Codes codes_;
  std::map<const Point*, Counter> counters_;
};

}  // namespace bpfemu
