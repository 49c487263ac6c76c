// SPDX-License-Identifier: Apache-2.0
// Arguments of perf_event_open() and of an event's ioctls, valid but for what chance makes of them.
#pragma once

#include <linux/perf_event.h>

#include "tests/fuzz/bpf_attrs.h"

namespace bpfemu::fuzz {

perf_event_attr plausible_event(Source& source);

struct Control {
  u64 request, argument;
};
Control plausible_control(Source& source);

}  // namespace bpfemu::fuzz
