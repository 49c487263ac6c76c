// SPDX-License-Identifier: Apache-2.0
// A perf event's buffer and its records, as lines that are the same on every machine.
#pragma once

#include <map>

#include "tests/oracle/events/perf.h"

namespace events {

// The mapped buffer of an event.
class PerfRing {
 public:
  PerfRing(const Perf& event, size_t pages, int protection = 3 /* read, write */);
  ~PerfRing();
  PerfRing(const PerfRing&) = delete;

  perf_event_mmap_page& page() const { return *static_cast<perf_event_mmap_page*>(memory_); }
  // The records since the last call; their room is the kernel's again.
  std::vector<std::vector<u8>> take();
  // Those of a buffer that is written downward, the newest first.
  std::vector<std::vector<u8>> downward() const;

 private:
  std::vector<u8> bytes(u64 at, size_t size) const;
  void* memory_;
  size_t data_;
};

// Who is who: ids of events by names that are given, tasks by names or in the order in which they show up.
struct Names {
  std::map<u64, std::string> ids;
  std::map<u32, std::string> tasks;
  std::string id(u64 value) const;
  std::string task(u32 value);
};
u64 id_of(const Perf& event);

// A record of an event of these attributes. `format`: of the tracepoint whose fields the raw data has, "" without.
std::string record_text(const std::vector<u8>& record, const perf_event_attr& attr, Names& names,
                        const std::string& format);

}  // namespace events
