// SPDX-License-Identifier: Apache-2.0
// bpf_timer (kernel: struct bpf_hrtimer). The first word of the struct bpf_timer in a map's value names a timer here;
// when the value goes, so does the name, and what is left here is dropped when its time comes.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "emu/bpf/map_object.h"
#include "emu/bpf/program.h"
#include "emu/ports/host.h"
#include "emu/runtime/run.h"

namespace bpfemu {

class Runner;

class BpfTimers {
 public:
  using MapOf = std::function<Result<std::shared_ptr<MapObject>>(u32 id)>;
  using ProgramOf = std::function<Result<std::shared_ptr<Program>>(u32 id)>;
  BpfTimers(Runner& runner, Host& host, MapOf map_of, ProgramOf program_of)
      : runner_(runner), host_(host), map_of_(std::move(map_of)), program_of_(std::move(program_of)) {}
  ~BpfTimers();

  // The helpers, after their checks of flags. What a program arms has its callback run when run_due() is called next,
  // at the latest when the host's timer rings: as the idle task's, for it comes by an interrupt.
  s64 init(const Map& map, u64 timer);
  s64 set_callback(const ProgramText& program, u64 timer, u64 callback);
  s64 start(u64 timer, u64 nsecs, u32 cpu);
  s64 cancel(u64 timer);

  // Runs the callbacks whose time has come, also those that they arm meanwhile, but none for longer than a slice.
  void run_due();
  bool any_armed() const { return !armed_.empty(); }

 private:
  struct Timer {
    u32 map_id;
    u64 address;                       // of the struct bpf_timer
    std::shared_ptr<Program> program;  // whose function the callback is; null: none is set
    u64 callback = 0;
    u64 due = 0;  // CLOCK_MONOTONIC; 0: it is not armed
    u32 cpu = 0;
  };
  Timer* find(u64 timer);
  // The map, as long as the timer is in it and user space holds it (kernel: map->usercnt); else null.
  std::shared_ptr<MapObject> home_of(u64 id, const Timer& timer) const;
  void disarm(u64 id, Timer& timer);
  void fire(u64 id);
  void sweep();
  void set_alarm();

  Runner& runner_;
  Host& host_;
  MapOf map_of_;
  ProgramOf program_of_;
  std::map<u64, Timer> timers_;    // by name
  std::multimap<u64, u64> armed_;  // names by due time
  size_t sweep_at_ = 64;           // so many timers, and those whose value is gone are looked for
  u64 last_ = 0;                   // name given out
  u64 running_ = 0;                // whose callback runs
  u64 alarm_at_ = 0;               // 0: the host has no timer of ours
  Host::TimerId alarm_ = 0;
};

}  // namespace bpfemu
