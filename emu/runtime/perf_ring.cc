// SPDX-License-Identifier: Apache-2.0
#include "emu/runtime/perf_ring.h"

#include <cerrno>
#include <ctime>

#include "emu/base/bytes.h"
#include "emu/runtime/held_lock.h"

namespace bpfemu {

namespace {

// The fields of a sample in the order of the record, from one list for sizes and for writing
// (kernel: perf_event__header_size, perf_output_sample).
struct Fields {
  u64 words[32];
  u32 count = 0;
  void add(bool wanted, u64 word) {
    if (wanted) words[count++] = word;
  }
};

constexpr u64 kNoDataSource =
    PERF_MEM_S(OP, NA) | PERF_MEM_S(LVL, NA) | PERF_MEM_S(SNOOP, NA) | PERF_MEM_S(LOCK, NA) | PERF_MEM_S(TLB, NA);

u64 pair(u32 low, u32 high) {
  return low | u64{high} << 32;
}

Fields head_fields(const PerfEventState& event, const PerfSample& s) {
  u64 type = event.sample_type;
  Fields f;
  f.add(type & PERF_SAMPLE_IDENTIFIER, event.id);
  f.add(type & PERF_SAMPLE_IP, s.ip);
  f.add(type & PERF_SAMPLE_TID, pair(s.pid, s.tid));
  f.add(type & PERF_SAMPLE_TIME, s.time);
  f.add(type & PERF_SAMPLE_ADDR, s.addr);
  f.add(type & PERF_SAMPLE_ID, event.id);
  f.add(type & PERF_SAMPLE_STREAM_ID, s.stream_id ? s.stream_id : event.stream_id);
  f.add(type & PERF_SAMPLE_CPU, s.cpu);
  f.add(type & PERF_SAMPLE_PERIOD, s.period);
  return f;
}

// PERF_SAMPLE_READ, begun: what comes before the members' own words. `members`: of the group, with its leader (kernel:
// perf_output_read_group, perf_output_read_one).
struct ReadFields {
  Fields head;  // the only member's count among them when the format is no group's
  const PerfEventState* first = nullptr;
  u64 members = 0;
};

void add_member(Fields& f, u64 format, const PerfEventState& member) {
  f.add(format & PERF_FORMAT_ID, member.id);
  f.add(format & PERF_FORMAT_LOST, member.lost_samples);
}

ReadFields read_fields(Run* run, const PerfEventState& event) {
  ReadFields read;
  if (!(event.sample_type & PERF_SAMPLE_READ)) return read;
  u64 format = event.read_format, time = event.time;
  if (event.since) time += run->env->clock(run->env->self, CLOCK_MONOTONIC) - event.since;
  bool group = format & PERF_FORMAT_GROUP;
  read.first = event.leader ? event.leader : &event;
  if (group) read.members = 1 + read.first->siblings;
  read.head.add(true, group ? read.members : event.count);
  read.head.add(format & PERF_FORMAT_TOTAL_TIME_ENABLED, time);
  read.head.add(format & PERF_FORMAT_TOTAL_TIME_RUNNING, time);
  if (!group) add_member(read.head, format, event);
  return read;
}

u64 read_words(const ReadFields& read, u64 format) {
  return read.head.count + read.members * (1 + !!(format & PERF_FORMAT_ID) + !!(format & PERF_FORMAT_LOST));
}

// The registers in the order of their bits (arch/x86/include/uapi/asm/perf_regs.h); r8 to r15 follow the segments.
constexpr u32 kRegisters = 24;
u64 register_value(const PtRegs& r, u32 bit) {
  const u64 values[kRegisters] = {r.rax, r.rbx,    r.rcx, r.rdx, r.rsi, r.rdi, r.rbp, r.rsp,
                                  r.rip, r.eflags, r.cs,  r.ss,  0,     0,     0,     0,
                                  r.r8,  r.r9,     r.r10, r.r11, r.r12, r.r13, r.r14, r.r15};
  return values[bit];
}

// What follows the raw data: the user's registers, and things that are "none" here.
Fields register_fields(const PerfEventState& event, const PerfSample& s) {
  Fields f;
  f.add(event.sample_type & PERF_SAMPLE_BRANCH_STACK, 0);
  if (!(event.sample_type & PERF_SAMPLE_REGS_USER)) return f;
  f.add(true, s.user_regs ? PERF_SAMPLE_REGS_ABI_64 : PERF_SAMPLE_REGS_ABI_NONE);
  for (u32 bit = 0; s.user_regs && bit < kRegisters; ++bit) {
    f.add(event.regs_user >> bit & 1, register_value(*s.user_regs, bit));
  }
  return f;
}

// How much of the user's stack fits (kernel: perf_sample_ustack_size); `size`: of the record without it.
u64 stack_size(const PerfEventState& event, const PerfSample& s, u64 size) {
  constexpr u64 task_size = 0x7ffffffff000, largest = 0xffff;
  if (!(event.sample_type & PERF_SAMPLE_STACK_USER) || !s.user_regs || s.user_regs->rsp >= task_size) return 0;
  u64 wanted = task_size - s.user_regs->rsp;
  if (wanted > event.stack_user) wanted = event.stack_user;
  if (size + wanted + 2 * sizeof(u64) > largest) wanted = size + 16 < largest ? largest - size - 16 : 0;
  return wanted & ~u64{7};
}

// Each is "none" here: no weight or data source.
Fields tail_fields(const PerfEventState& event, const PerfSample& s) {
  u64 type = event.sample_type;
  Fields f;
  f.add(type & PERF_SAMPLE_WEIGHT_TYPE, 0);
  f.add(type & PERF_SAMPLE_DATA_SRC, kNoDataSource);
  f.add(type & PERF_SAMPLE_TRANSACTION, 0);
  f.add(type & PERF_SAMPLE_REGS_INTR, PERF_SAMPLE_REGS_ABI_NONE);
  f.add(type & PERF_SAMPLE_PHYS_ADDR, 0);
  f.add(type & PERF_SAMPLE_CGROUP, s.cgroup);
  f.add(type & PERF_SAMPLE_DATA_PAGE_SIZE, 0);
  f.add(type & PERF_SAMPLE_CODE_PAGE_SIZE, 0);
  f.add(type & PERF_SAMPLE_AUX, 0);
  return f;
}

// At the end of records that are no samples (kernel: __perf_event__output_id_sample).
Fields id_fields(const PerfEventState& event, const PerfSample& s) {
  u64 type = event.sample_id_all ? event.sample_type : 0;
  Fields f;
  f.add(type & PERF_SAMPLE_TID, pair(s.pid, s.tid));
  f.add(type & PERF_SAMPLE_TIME, s.time);
  f.add(type & PERF_SAMPLE_ID, event.id);
  f.add(type & PERF_SAMPLE_STREAM_ID, s.stream_id ? s.stream_id : event.stream_id);
  f.add(type & PERF_SAMPLE_CPU, s.cpu);
  f.add(type & PERF_SAMPLE_IDENTIFIER, event.id);
  return f;
}

// One record being written: reserved under the lock, published and announced at the end.
class Output {
 public:
  Output(Run* run, PerfEventState& event) : run_(run), event_(event), ring_(*event.ring), lock_(run, ring_.lock) {}

  // Reserves `size` bytes, preceded by a PERF_RECORD_LOST when records were dropped (kernel: __perf_output_begin).
  s64 begin(u64 size, const PerfSample& sample) {
    if (ring_.pages == 0) return -ENOSPC;
    if (ring_.paused) return drop();
    Fields id = id_fields(event_, sample);
    u64 lost_size = sizeof(perf_event_header) + 16 + id.count * 8;
    u64 total = size + (ring_.lost ? lost_size : 0);
    u64 tail = __atomic_load_n(&ring_.page()->data_tail, __ATOMIC_ACQUIRE);
    if (!ring_.overwrite && room(tail) < total) return drop();
    if (ring_.overwrite && total > ring_.data_size()) return drop();
    position_ = event_.write_backward ? ring_.head - total : ring_.head;
    ring_.head += event_.write_backward ? -total : total;
    u64 written = event_.write_backward ? -ring_.head : ring_.head;
    if (written - ring_.wakeup > ring_.watermark) {
      ring_.wakeup += ring_.watermark;
      wake_ = true;
    }
    if (ring_.lost) {
      put_header(PERF_RECORD_LOST, 0, lost_size);
      put_word(event_.id);
      put_word(ring_.lost);
      put(id);
      ring_.lost = 0;
    }
    return 0;
  }

  void put_header(u32 type, u16 misc, u64 size) {
    perf_event_header header{type, misc, static_cast<u16>(size)};
    put_bytes(&header, sizeof header);
  }
  void put_word(u64 word) { put_bytes(&word, sizeof word); }
  void put(const Fields& fields) { put_bytes(fields.words, fields.count * 8); }
  void put_bytes(const void* from, u64 size) {
    if (size == 0) return;
    u64 at = position_ & (ring_.data_size() - 1);
    u64 first = size < ring_.data_size() - at ? size : ring_.data_size() - at;
    __builtin_memcpy(ring_.data() + at, from, first);
    __builtin_memcpy(ring_.data(), static_cast<const u8*>(from) + first, size - first);
    position_ += size;
  }

  void put_members(const PerfEventState& first, u64 format) {
    for (const PerfEventState* member = &first; member; member = member->next) {
      Fields f;
      f.add(true, member->count);
      add_member(f, format, *member);
      put(f);
    }
  }

  // The user's stack: what the record has room for, and how much of that could be read (kernel:
  // perf_output_sample_ustack).
  void put_stack(u64 address, u64 size) {
    u8 part[512];
    u64 got = 0;
    bool readable = true;
    for (u64 done = 0, count; done < size; done += count) {
      count = size - done < sizeof part ? size - done : sizeof part;
      u64 to_page = kPageSize - (address + done) % kPageSize;  // the stack may end there
      if (count > to_page) count = to_page;
      __builtin_memset(part, 0, sizeof part);
      readable = readable && run_->env->read_user(run_->env->self, part, address + done, count) == 0;
      if (readable) got += count;
      put_bytes(part, count);
    }
    put_word(got);
  }

  void count_event() {
    if (event_.watermark || event_.wakeup_events == 0) return;
    if (++ring_.events < event_.wakeup_events) return;
    ring_.events -= event_.wakeup_events;
    ++ring_.wakeup;
    wake_ = true;
  }

  void publish() {
    __atomic_store_n(&ring_.page()->data_head, ring_.head, __ATOMIC_RELEASE);
    if (!wake_) return;
    __atomic_store_n(&ring_.poll, 1, __ATOMIC_RELEASE);
    if (run_->env->wake) run_->env->wake(run_->env->self, &ring_);
  }

 private:
  // One byte always stays free (kernel: CIRC_SPACE).
  u64 room(u64 tail) const {
    u64 space = event_.write_backward ? ring_.head - (tail + 1) : tail - (ring_.head + 1);
    return space & (ring_.data_size() - 1);
  }
  s64 drop() {
    ++ring_.lost;
    ++event_.lost_samples;
    return -ENOSPC;
  }

  Run* run_;
  PerfEventState& event_;
  PerfRing& ring_;
  HeldLock lock_;
  u64 position_ = 0;
  bool wake_ = false;
};

constexpr u64 kRecordLimit = 0xffff;  // perf_event_header::size is 16 bits wide

}  // namespace

u64 perf_ring_footprint(u32 pages) {
  return (2 + u64{pages}) * kPageSize;
}

void perf_ring_init(PerfRing& ring, u32 pages, u64 wakeup_watermark, bool writable) {
  ring.pages = pages;
  ring.overwrite = !writable;
  ring.paused = pages == 0;
  u64 size = ring.data_size();
  ring.watermark = wakeup_watermark == 0 ? size / 2 : wakeup_watermark < size ? wakeup_watermark : size;
  perf_event_mmap_page& page = *ring.page();
  page.version = 0;
  page.compat_version = 0;
  page.cap_bit0_is_deprecated = 1;
  page.size = offsetof(perf_event_mmap_page, __reserved);
  page.data_offset = kPageSize;
  page.data_size = size;
}

s64 perf_event_sample(Run* run, PerfEventState& event, const PerfSample& sample) {
  if (!event.ring) return -ENOSPC;
  Fields head = head_fields(event, sample), tail = tail_fields(event, sample);
  ReadFields read = read_fields(run, event);
  Fields registers = register_fields(event, sample);
  bool chain = event.sample_type & PERF_SAMPLE_CALLCHAIN, raw = event.sample_type & PERF_SAMPLE_RAW;
  u64 raw_bytes = u64{sample.raw_head_size} + sample.raw_size + sample.raw_tail_size;
  u64 raw_total = round_up(4 + raw_bytes, 8);  // the size word and the data together fill whole words
  u64 size = sizeof(perf_event_header) +
             8 * (u64{head.count} + registers.count + tail.count + read_words(read, event.read_format));
  if (chain) size += 8 * (1 + u64{sample.callchain_size});
  if (raw) size += raw_total;
  bool stack = event.sample_type & PERF_SAMPLE_STACK_USER;
  u64 stack_bytes = stack_size(event, sample, size);
  if (stack) size += 8 + (stack_bytes ? 8 + stack_bytes : 0);
  if (size > kRecordLimit) return -E2BIG;

  Output output(run, event);
  if (s64 error = output.begin(size, sample)) return error;
  output.put_header(PERF_RECORD_SAMPLE, sample.misc, size);
  output.put(head);
  output.put(read.head);
  if (read.members) output.put_members(*read.first, event.read_format);
  if (chain) {
    output.put_word(sample.callchain_size);
    output.put_bytes(sample.callchain, 8 * u64{sample.callchain_size});
  }
  if (raw) {
    u32 raw_size = static_cast<u32>(raw_total - 4);
    const u64 padding = 0;
    output.put_bytes(&raw_size, 4);
    output.put_bytes(sample.raw_head, sample.raw_head_size);
    output.put_bytes(sample.raw, sample.raw_size);
    output.put_bytes(sample.raw_tail, sample.raw_tail_size);
    output.put_bytes(&padding, raw_total - 4 - raw_bytes);
  }
  output.put(registers);
  if (stack) output.put_word(stack_bytes);
  if (stack_bytes) output.put_stack(sample.user_regs->rsp, stack_bytes);
  output.put(tail);
  output.count_event();
  output.publish();
  return 0;
}

s64 perf_event_record(Run* run, PerfEventState& event, u32 type, const void* body, u32 size, const PerfSample& sample) {
  if (!event.ring) return -ENOSPC;
  Fields id = id_fields(event, sample);
  u64 total = sizeof(perf_event_header) + u64{size} + 8 * id.count;
  if (total > kRecordLimit) return -E2BIG;
  Output output(run, event);
  if (s64 error = output.begin(total, sample)) return error;
  output.put_header(type, sample.misc, total);
  output.put_bytes(body, size);
  output.put(id);
  output.publish();
  return 0;
}

}  // namespace bpfemu
