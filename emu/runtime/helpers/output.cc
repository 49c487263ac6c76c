// SPDX-License-Identifier: Apache-2.0
// Records to user space: perf buffers and ring buffers.
#include <linux/bpf.h>

#include <ctime>

#include "emu/runtime/contexts.h"
#include "emu/runtime/helpers/call.h"
#include "emu/runtime/maps/object_array.h"
#include "emu/runtime/maps/ringbuf.h"
#include "emu/runtime/packet_programs.h"
#include "emu/runtime/perf_ring.h"

namespace bpfemu {

namespace {

constexpr u32 kMaxSampledStack = 127;    // sysctl_perf_event_max_stack
constexpr u64 kMaxSampledData = 0xffff;  // more never fits into a record

RingMap& ring_at(u64 map) {
  return static_cast<RingMap&>(map_at(map));
}

bool has_registers(const ProgramText* program) {
  return program && (program->type == BPF_PROG_TYPE_KPROBE || program->type == BPF_PROG_TYPE_PERF_EVENT);
}

// The registers of where the event happened, as far as the context says it; null: somewhere in the kernel.
const PtRegs* registers_of(const Run* run, u64 context) {
  if (has_registers(run->program)) return pointer_to<const PtRegs>(context);
  bool tracepoint = run->program && run->program->type == BPF_PROG_TYPE_TRACEPOINT;
  return tracepoint && *pointer_to<const u8>(context) ? run->regs : nullptr;
}

// kernel: perf_instruction_pointer, perf_misc_flags.
void set_place(PerfSample& sample, const Run* run, u64 context) {
  const PtRegs* regs = registers_of(run, context);
  if (!regs) return;
  sample.ip = regs->rip;
  if (regs->cs & 3) sample.misc = PERF_RECORD_MISC_USER;
}

// The first bytes of a packet, which follow the program's own data when the flags ask for them (kernel:
// bpf_skb_event_output, bpf_xdp_event_output). Other programs may not ask.
s64 add_packet(PerfSample& sample, const Run* run, u64 context, u64 flags) {
  u64 wanted = (flags & BPF_F_CTXLEN_MASK) >> 32;
  if (flags & ~u64{BPF_F_CTXLEN_MASK | BPF_F_INDEX_MASK}) return -EINVAL;
  if (!wanted) return 0;
  u32 type = run->program ? run->program->type : 0;
  u64 data, end;
  if (type == BPF_PROG_TYPE_XDP) {
    const auto* xdp = pointer_to<const RunXdp>(context);
    data = xdp->data, end = xdp->data_end;
  } else if (is_packet_program(type)) {
    const auto* skb = pointer_to<const RunSkb>(context);
    data = skb->data, end = skb->data_end;
  } else {
    return -EINVAL;
  }
  if (wanted > end - data) return -EFAULT;
  sample.raw = pointer_to(data);
  sample.raw_size = static_cast<u32>(wanted);
  return 0;
}

// The same of a struct sk_buff or xdp_buff that a program was handed.
s64 add_object(PerfSample& sample, Run* run, u64 object, u64 flags, bool is_xdp) {
  const u64 wanted = (flags & BPF_F_CTXLEN_MASK) >> 32;
  if (flags & ~u64{BPF_F_CTXLEN_MASK | BPF_F_INDEX_MASK}) return -EINVAL;
  if (!object) return -EFAULT;
  if (!wanted) return 0;
  const u64 context = run->env->packet_of ? run->env->packet_of(run->env->self, object) : 0;
  if (!context) {
    missing(run, "bytes of a packet that no test run made");
    return -EFAULT;
  }
  const auto* xdp = pointer_to<const RunXdp>(context);
  const auto* skb = pointer_to<const RunSkb>(context);
  const u64 data = is_xdp ? xdp->data : skb->data, end = is_xdp ? xdp->data_end : skb->data_end, linear = end - data;
  const u64 frags = is_xdp && xdp->has_frags ? xdp->frags_size : 0;
  if (wanted > linear + frags) return -EFAULT;
  sample.raw = pointer_to(data);
  sample.raw_size = static_cast<u32>(wanted < linear ? wanted : linear);
  if (frags) sample.raw_tail = pointer_to(xdp->frags);
  sample.raw_tail_size = static_cast<u32>(wanted - sample.raw_size);
  return 0;
}

// kernel: __bpf_perf_event_output, bpf_event_output.
s64 emit(Run* run, PerfSample& sample, u64 context, u64 array, u64 flags, u64 data, u64 size) {
  u32 cpu = run->cpu->id;
  u64 index = (flags & BPF_F_INDEX_MASK) == BPF_F_CURRENT_CPU ? cpu : flags & BPF_F_INDEX_MASK;
  Map& map = map_at(array);
  if (index >= map.max_entries) return -E2BIG;
  auto* event = pointer_to<PerfEventState>(object_at(map, static_cast<u32>(index)));
  if (!event) return -ENOENT;
  if (event->type != PERF_TYPE_SOFTWARE || event->config != PERF_COUNT_SW_BPF_OUTPUT) return -EINVAL;
  if (!event->active || (event->cpu >= 0 && static_cast<u32>(event->cpu) != cpu)) return -EOPNOTSUPP;
  if (size > kMaxSampledData) return -E2BIG;

  set_place(sample, run, context);
  sample.pid = run->task->tgid;
  sample.tid = run->task->tid;
  sample.cpu = cpu;
  if (event->sample_type & PERF_SAMPLE_TIME) sample.time = run->env->clock(run->env->self, event->clock);
  sample.cgroup = run->task->cgroup_id;
  u64 chain[1 + kMaxSampledStack] = {PERF_CONTEXT_USER};
  if ((event->sample_type & PERF_SAMPLE_CALLCHAIN) && run->env->user_stack) {
    s64 depth = run->env->user_stack(run->env->self, run, chain + 1, kMaxSampledStack);
    sample.callchain = chain;
    sample.callchain_size = depth > 0 ? 1 + static_cast<u32>(depth) : 0;
  }
  if (!sample.ip && (event->sample_type & (PERF_SAMPLE_IP | PERF_SAMPLE_CALLCHAIN))) {
    missing(run, "kernel addresses in records of programs");
  }
  if (!run->regs && (event->sample_type & (PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER))) {
    missing(run, "registers in records of test runs");
  }
  sample.user_regs = run->regs;
  sample.raw_head = pointer_to(data);
  sample.raw_head_size = low32(size);
  return perf_event_sample(run, *event, sample);
}

}  // namespace

HELPER(help_perf_event_output) {
  PerfSample sample;
  sample.period = 0;
  if (s64 error = add_packet(sample, run, r1, r3)) return result(error);
  return result(emit(run, sample, r1, r2, r3, r4, r5));
}
HELPER(help_skb_output) {
  PerfSample sample;
  sample.period = 0;
  if (s64 error = add_object(sample, run, r1, r3, false)) return result(error);
  return result(emit(run, sample, r1, r2, r3, r4, r5));
}
HELPER(help_xdp_output) {
  PerfSample sample;
  sample.period = 0;
  if (s64 error = add_object(sample, run, r1, r3, true)) return result(error);
  return result(emit(run, sample, r1, r2, r3, r4, r5));
}

HELPER(help_ringbuf_output) {
  return result(ring_output(run, ring_at(r1), pointer_to(r2), r3, r4));
}
HELPER(help_ringbuf_reserve) {
  return r3 ? 0 : address_of(ring_reserve(run, ring_at(r1), r2));
}
HELPER(help_ringbuf_submit) {
  ring_commit(run, pointer_to(r1), r2, false);
  return 0;
}
HELPER(help_ringbuf_discard) {
  ring_commit(run, pointer_to(r1), r2, true);
  return 0;
}
HELPER(help_ringbuf_query) {
  return ring_query(ring_at(r1), r2);
}

}  // namespace bpfemu
