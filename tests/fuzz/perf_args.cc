// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/perf_args.h"

#include <sys/ioctl.h>

#include <cstring>

namespace bpfemu::fuzz {

namespace {

// Types of the dynamic event sources, as the model numbers them: kprobe, uprobe, and two that are not there.
constexpr u32 kKprobe = 6, kUprobe = 7;

}  // namespace

perf_event_attr plausible_event(Source& source) {
  static constexpr u32 types[] = {PERF_TYPE_TRACEPOINT, PERF_TYPE_SOFTWARE, PERF_TYPE_SOFTWARE, kKprobe, kUprobe, 8, 9};
  static constexpr const char* functions[] = {"do_sys_openat2", "vfs_read", "nothing", ""};
  Random& random = source.random;
  perf_event_attr attr{};
  attr.size = sizeof attr;
  attr.type = random.pick(types);
  attr.config = attr.type == PERF_TYPE_SOFTWARE     ? random.pick({u64{PERF_COUNT_SW_BPF_OUTPUT}, u64{0}})
                : attr.type == PERF_TYPE_TRACEPOINT ? random.below(1200)
                                                    : random.below(2);
  attr.sample_period = random.below(3);
  if (attr.config == PERF_COUNT_SW_BPF_OUTPUT) attr.sample_type = PERF_SAMPLE_RAW;
  attr.wakeup_events = static_cast<u32>(random.below(3));
  if (attr.type == kKprobe) attr.kprobe_func = source.text(random.pick(functions));
  if (attr.type == kUprobe) {
    attr.uprobe_path = source.text("/bin/true");  // which nobody runs: an int3 anywhere kills
    attr.probe_offset = random.below(1 << 14);
  }
  if (random.one_in(5)) {
    const u32 value = static_cast<u32>(random.odd());
    std::memcpy(reinterpret_cast<u8*>(&attr) + random.below(sizeof attr / 4) * 4, &value, sizeof value);
  }
  return attr;
}

Control plausible_control(Source& source) {
  static constexpr u64 requests[] = {PERF_EVENT_IOC_ENABLE,       PERF_EVENT_IOC_DISABLE,   PERF_EVENT_IOC_REFRESH,
                                     PERF_EVENT_IOC_RESET,        PERF_EVENT_IOC_PERIOD,    PERF_EVENT_IOC_SET_OUTPUT,
                                     PERF_EVENT_IOC_SET_FILTER,   PERF_EVENT_IOC_ID,        PERF_EVENT_IOC_SET_BPF,
                                     PERF_EVENT_IOC_PAUSE_OUTPUT, PERF_EVENT_IOC_QUERY_BPF, 0x5401};
  Random& random = source.random;
  const u64 request = random.pick(requests);
  switch (request) {
    case PERF_EVENT_IOC_SET_BPF: return {request, source.pool.fd(random, Kind::kProgram)};
    case PERF_EVENT_IOC_SET_OUTPUT:
      return {request, random.one_in(4) ? ~u64{0} : u64{source.pool.fd(random, Kind::kPerf)}};
    case PERF_EVENT_IOC_PERIOD:
    case PERF_EVENT_IOC_ID: return {request, source.buffer(8)};
    case PERF_EVENT_IOC_QUERY_BPF: {
      u32 ids[10] = {static_cast<u32>(random.below(9))};
      return {request, source.memory.copy(ids, 8 + ids[0] * 4)};
    }
    default: return {request, random.odd()};
  }
}

}  // namespace bpfemu::fuzz
