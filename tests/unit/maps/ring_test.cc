// SPDX-License-Identifier: Apache-2.0
// Ring buffers and perf buffers, seen from producer and consumer.
#include <deque>

#include "emu/base/bytes.h"
#include "emu/runtime/maps/ringbuf.h"
#include "emu/runtime/perf_ring.h"
#include "tests/unit/maps/fixture.h"

namespace bpfemu::test {
namespace {

struct RingWorld : World {
  std::shared_ptr<MapObject> map;
  explicit RingWorld(u32 size = 4096) : map(create(BPF_MAP_TYPE_RINGBUF, 0, 0, size)) {}
  RingMap& ring() { return static_cast<RingMap&>(map->map()); }

  // The next record as libbpf reads it: false when there is none or it is not committed.
  bool consume(std::string& record, bool& discarded) {
    u64 at = ring().consumer();
    if (at == ring().producer()) return false;
    auto* header = reinterpret_cast<RingHeader*>(ring().data() + (at & ring().mask()));
    if (header->length & BPF_RINGBUF_BUSY_BIT) return false;
    u32 length = header->length & ~BPF_RINGBUF_DISCARD_BIT;
    discarded = header->length & BPF_RINGBUF_DISCARD_BIT;
    record.assign(reinterpret_cast<char*>(header + 1), length);
    ring().consumer() = at + round_up(length + 8, 8);
    return true;
  }
};

TEST_CASE("ring buffer creation is checked as in the kernel") {
  auto check = [](auto... args) { return World::check(args...); };
  CHECK(check(BPF_MAP_TYPE_RINGBUF, 0, 0, 4096) == 0);
  CHECK(check(BPF_MAP_TYPE_RINGBUF, 0, 0, 0) == -EINVAL);
  CHECK(check(BPF_MAP_TYPE_RINGBUF, 0, 0, 2048) == -EINVAL);
  CHECK(check(BPF_MAP_TYPE_RINGBUF, 0, 0, 12288) == -EINVAL);
  CHECK(check(BPF_MAP_TYPE_RINGBUF, 4, 0, 4096) == -EINVAL);
  CHECK(check(BPF_MAP_TYPE_RINGBUF, 0, 4, 4096) == -EINVAL);
  CHECK(check(BPF_MAP_TYPE_RINGBUF, 0, 0, 4096, BPF_F_MMAPABLE) == -EINVAL);
}

TEST_CASE("ring buffer records arrive in order, wrap and fill up") {
  RingWorld w;
  std::mt19937 rng(5);
  std::deque<std::string> model;
  u64 used = 0;
  for (u32 i = 0; i < operations(); ++i) {
    if (rng() % 5 < 3) {
      std::string data(rng() % 300, static_cast<char>(rng()));
      u64 space = round_up(data.size() + 8, 8);
      bool fits = used + space <= 4095;
      REQUIRE(ring_output(&w.run, w.ring(), data.data(), data.size(), 0) == (fits ? 0 : -EAGAIN));
      if (fits) {
        model.push_back(data);
        used += space;
      }
    } else {
      std::string record;
      bool discarded = false;
      REQUIRE(w.consume(record, discarded) == !model.empty());
      if (model.empty()) continue;
      REQUIRE(record == model.front());
      used -= round_up(record.size() + 8, 8);
      model.pop_front();
    }
    REQUIRE(ring_available(w.ring()) == used);
  }
}

TEST_CASE("a record in the making holds back the ones after it") {
  RingWorld w;
  void* first = ring_reserve(&w.run, w.ring(), 16);
  void* second = ring_reserve(&w.run, w.ring(), 16);
  REQUIRE(first);
  REQUIRE(second);
  auto* header = static_cast<RingHeader*>(first) - 1;
  CHECK(header->length == (16 | BPF_RINGBUF_BUSY_BIT));
  CHECK(header->page_offset == 3);
  ring_commit(&w.run, second, 0, false);
  std::string record;
  bool discarded = false;
  CHECK_FALSE(w.consume(record, discarded));
  ring_commit(&w.run, first, 0, true);
  REQUIRE(w.consume(record, discarded));
  CHECK(discarded);
  REQUIRE(w.consume(record, discarded));
  CHECK_FALSE(discarded);
}

TEST_CASE("an uncommitted record keeps its space even when the consumer lies") {
  RingWorld w;
  REQUIRE(ring_reserve(&w.run, w.ring(), 2000));
  REQUIRE(ring_reserve(&w.run, w.ring(), 2000));
  w.ring().consumer() = w.ring().producer();
  CHECK(ring_reserve(&w.run, w.ring(), 200) == nullptr);
  w.ring().consumer() = ~u64{0} / 2;
  CHECK(ring_reserve(&w.run, w.ring(), 8) == nullptr);
}

TEST_CASE("consumers are woken as the kernel wakes them") {
  RingWorld w;
  u64 data = 1;
  auto wakeups = [&](u64 flags) {
    w.woken.clear();
    REQUIRE(ring_output(&w.run, w.ring(), &data, 8, flags) == 0);
    return w.woken.size();
  };
  CHECK(wakeups(0) == 1);  // the consumer has caught up
  CHECK(wakeups(0) == 0);  // it is behind and will see the record
  CHECK(wakeups(BPF_RB_FORCE_WAKEUP) == 1);
  w.ring().consumer() = w.ring().producer();
  CHECK(wakeups(BPF_RB_NO_WAKEUP) == 0);
  CHECK(ring_output(&w.run, w.ring(), &data, 8, 4) == -EINVAL);
}

TEST_CASE("ring buffer positions can be asked for") {
  RingWorld w;
  u64 data = 1;
  REQUIRE(ring_output(&w.run, w.ring(), &data, 8, 0) == 0);
  CHECK(ring_query(w.ring(), BPF_RB_AVAIL_DATA) == 16);
  CHECK(ring_query(w.ring(), BPF_RB_RING_SIZE) == 4096);
  CHECK(ring_query(w.ring(), BPF_RB_CONS_POS) == 0);
  CHECK(ring_query(w.ring(), BPF_RB_PROD_POS) == 16);
  CHECK(ring_query(w.ring(), 4) == 0);
  CHECK(ring_reserve(&w.run, w.ring(), 4096) == nullptr);
  CHECK(ring_reserve(&w.run, w.ring(), u64{1} << 32) == nullptr);
}

TEST_CASE("the data area is there twice, in memory and for mmap") {
  RingWorld w(8192);
  w.ring().data()[5] = 0x42;
  CHECK(w.ring().data()[8192 + 5] == 0x42);
  u64 offset, length;
  REQUIRE(w.map->ops().mmap_area(w.map->map(), &offset, &length) == 0);
  CHECK(offset == kPageSize);
  CHECK(length == 2 * kPageSize + 2 * 8192);
  auto ranges = w.arena->file_ranges(w.map->extent().address + offset, length);
  REQUIRE(ranges.size() == 2);
  CHECK(ranges[0].size == 2 * kPageSize + 8192);
  CHECK(ranges[1].size == 8192);
  CHECK(ranges[1].offset == ranges[0].offset + 2 * kPageSize);
}

TEST_CASE("a released ring's memory is ordinary again") {
  World w;
  u64 address, size;
  {
    auto ring = w.create(BPF_MAP_TYPE_RINGBUF, 0, 0, 4096);
    address = ring->extent().address;
    size = ring->extent().size;
  }
  auto extent = w.arena->allocate(size);
  REQUIRE(extent);
  REQUIRE(extent->address == address);
  auto* bytes = reinterpret_cast<u8*>(address);
  bytes[size - 2 * kPageSize] = 1;
  CHECK(bytes[size - kPageSize] == 0);
  w.arena->release(*extent);
}

struct PerfWorld : World {
  PerfEventState event{};
  PerfRing* ring = nullptr;
  explicit PerfWorld(u32 pages, u64 sample_type = PERF_SAMPLE_RAW) {
    auto extent = arena->allocate(perf_ring_footprint(pages));
    REQUIRE(extent);
    ring = reinterpret_cast<PerfRing*>(extent->address);
    perf_ring_init(*ring, pages, 0, true);
    event.type = PERF_TYPE_SOFTWARE;
    event.config = PERF_COUNT_SW_BPF_OUTPUT;
    event.sample_type = sample_type;
    event.wakeup_events = 1;
    event.id = 77;
    event.ring = ring;
  }
  s64 sample(std::string_view raw) {
    PerfSample s;
    s.pid = 5, s.tid = 7, s.cpu = 2, s.time = 1234;
    s.raw = raw.data();
    s.raw_size = static_cast<u32>(raw.size());
    return perf_event_sample(&run, event, s);
  }
  // The next record, header included; empty when there is none.
  std::string consume() {
    perf_event_mmap_page& page = *ring->page();
    if (page.data_tail == page.data_head) return {};
    auto byte = [&](u64 at) { return static_cast<char>(ring->data()[at % ring->data_size()]); };
    perf_event_header header;
    for (u64 i = 0; i < sizeof header; ++i) reinterpret_cast<char*>(&header)[i] = byte(page.data_tail + i);
    std::string record;
    for (u64 i = 0; i < header.size; ++i) record += byte(page.data_tail + i);
    page.data_tail += header.size;
    return record;
  }
};

perf_event_header header_of(const std::string& record) {
  return load<perf_event_header>(record.data());
}

TEST_CASE("perf samples have the fields that were asked for") {
  PerfWorld w(1, PERF_SAMPLE_RAW | PERF_SAMPLE_TIME | PERF_SAMPLE_TID | PERF_SAMPLE_CPU | PERF_SAMPLE_IDENTIFIER);
  REQUIRE(w.sample("hello") == 0);
  std::string record = w.consume();
  CHECK(header_of(record).type == PERF_RECORD_SAMPLE);
  REQUIRE(record.size() == 8 + 4 * 8 + 16);
  CHECK(load<u64>(record.data() + 8) == 77);
  CHECK(load<u32>(record.data() + 16) == 5);
  CHECK(load<u32>(record.data() + 20) == 7);
  CHECK(load<u64>(record.data() + 24) == 1234);
  CHECK(load<u64>(record.data() + 32) == 2);
  CHECK(load<u32>(record.data() + 40) == 12);
  CHECK(record.substr(44, 5) == "hello");
  CHECK(record.substr(49) == std::string(7, 0));
  CHECK(w.ring->page()->data_offset == 4096);
  CHECK(w.ring->page()->data_size == 4096);
}

TEST_CASE("perf records wrap, and a full buffer says what it lost") {
  PerfWorld w(2);
  std::mt19937 rng(9);
  std::deque<std::string> model;
  u64 used = 0, lost = 0, total_lost = 0;
  for (u32 i = 0; i < operations(); ++i) {
    if (rng() % 5 < 3) {
      std::string data(rng() % 500, static_cast<char>('a' + rng() % 26));
      u64 size = 8 + round_up(4 + data.size(), 8), needed = size + (lost ? 24 : 0);
      bool fits = used + needed < 8192;
      REQUIRE(w.sample(data) == (fits ? 0 : -ENOSPC));
      if (!fits) {
        ++lost, ++total_lost;
        continue;
      }
      if (lost) model.push_back("lost " + std::to_string(lost));
      lost = 0;
      used += needed;
      model.push_back(data);
    } else {
      std::string record = w.consume();
      REQUIRE(record.empty() == model.empty());
      if (record.empty()) continue;
      used -= record.size();
      if (header_of(record).type == PERF_RECORD_LOST) {
        REQUIRE(load<u64>(record.data() + 8) == 77);
        REQUIRE("lost " + std::to_string(load<u64>(record.data() + 16)) == model.front());
      } else {
        REQUIRE(record.substr(12, model.front().size()) == model.front());
      }
      model.pop_front();
    }
  }
  CHECK(w.event.lost_samples == total_lost);
}

TEST_CASE("perf wakeups follow wakeup_events") {
  PerfWorld w(1);
  w.event.wakeup_events = 3;
  for (u32 i = 1; i <= 9; ++i) {
    REQUIRE(w.sample("x") == 0);
    CHECK(w.woken.size() == i / 3);
  }
  CHECK(perf_ring_take_poll(*w.ring));
  CHECK_FALSE(perf_ring_take_poll(*w.ring));
  CHECK(perf_ring_has_data(*w.ring));
}

TEST_CASE("perf wakeups follow the watermark") {
  PerfWorld by_size(1);
  by_size.event.watermark = true;
  by_size.event.wakeup_events = 0;
  perf_ring_init(*by_size.ring, 1, 100, true);
  u32 samples = 0;
  while (by_size.woken.empty()) {
    REQUIRE(by_size.sample("12345678") == 0);  // 24 bytes each
    ++samples;
  }
  CHECK(samples == 5);
}

TEST_CASE("perf records that are written backward lie newest first") {
  PerfWorld w(1);
  w.event.write_backward = true;
  perf_ring_init(*w.ring, 1, 0, false);
  perf_event_mmap_page& page = *w.ring->page();
  for (u64 i = 1; i <= 400; ++i) {
    std::string data(8, static_cast<char>('a' + i % 26));
    REQUIRE(w.sample(data) == 0);
    REQUIRE(page.data_head == -(24 * i));
    u64 at = page.data_head & 4095;
    REQUIRE(load<perf_event_header>(w.ring->data() + at).size == 24);
    if (at + 24 <= 4096) REQUIRE(std::string(reinterpret_cast<char*>(w.ring->data()) + at + 12, 8) == data);
  }
  CHECK(w.woken.size() == 400);
  CHECK(w.event.lost_samples == 0);
}

TEST_CASE("perf records that are written backward stop at data_tail") {
  PerfWorld full(1);
  full.event.write_backward = true;
  u64 fitted = 0;
  while (full.sample("12345678") == 0) ++fitted;
  CHECK(fitted == 4095 / 24);
  full.ring->page()->data_tail = full.ring->page()->data_head;
  CHECK(full.sample("12345678") == 0);
}

TEST_CASE("a sample reads the members of its event's group") {
  PerfWorld w(1, PERF_SAMPLE_READ);
  PerfEventState sibling{}, another{};
  w.event.count = 1, sibling.count = 2, another.count = 3;
  sibling.id = 78, another.id = 79;
  w.event.next = &sibling, sibling.next = &another;
  sibling.leader = another.leader = &w.event;
  w.event.siblings = 2;
  w.event.time = 500;
  w.event.read_format = PERF_FORMAT_GROUP | PERF_FORMAT_ID | PERF_FORMAT_TOTAL_TIME_ENABLED;
  REQUIRE(w.sample("") == 0);
  std::string record = w.consume();
  REQUIRE(record.size() == 8 * 9);
  for (u64 expected : {u64{3}, u64{500}, u64{1}, u64{77}, u64{2}, u64{78}, u64{3}, u64{79}}) {
    record.erase(0, 8);
    CHECK(load<u64>(record.data()) == expected);
  }
  w.event.read_format = PERF_FORMAT_ID;
  REQUIRE(w.sample("") == 0);
  record = w.consume();
  REQUIRE(record.size() == 8 * 3);
  CHECK(load<u64>(record.data() + 8) == 1);
  CHECK(load<u64>(record.data() + 16) == 77);
}

TEST_CASE("the user's registers and stack in a sample") {
  PerfWorld w(1, PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER);
  Env env = *w.run.env;
  env.read_user = [](void*, void* to, u64 address, u64 size) -> s64 {
    if (address + size > 0x7000'0000'1000) return -EFAULT;  // the stack ends there
    __builtin_memset(to, 0x5a, size);
    return 0;
  };
  w.run.env = &env;
  w.event.regs_user = 1 << 7 | 1 << 8 | 1 << 16;  // sp, ip, r8
  w.event.stack_user = 1024;
  PtRegs regs{};
  regs.rsp = 0x7000'0000'0d00;
  regs.rip = 0x1234;
  regs.r8 = 8;
  PerfSample s;
  s.user_regs = &regs;
  REQUIRE(perf_event_sample(&w.run, w.event, s) == 0);
  std::string record = w.consume();
  REQUIRE(record.size() == 8 + 4 * 8 + 8 + 1024 + 8);
  CHECK(load<u64>(record.data() + 8) == PERF_SAMPLE_REGS_ABI_64);
  CHECK(load<u64>(record.data() + 16) == regs.rsp);
  CHECK(load<u64>(record.data() + 24) == 0x1234);
  CHECK(load<u64>(record.data() + 32) == 8);
  CHECK(load<u64>(record.data() + 40) == 1024);
  CHECK(record[48] == 0x5a);
  CHECK(load<u64>(record.data() + 48 + 1024) == 0x300);  // what could be read

  s.user_regs = nullptr;
  REQUIRE(perf_event_sample(&w.run, w.event, s) == 0);
  record = w.consume();
  REQUIRE(record.size() == 8 + 8 + 8);
  CHECK(load<u64>(record.data() + 8) == PERF_SAMPLE_REGS_ABI_NONE);
  CHECK(load<u64>(record.data() + 16) == 0);
}

TEST_CASE("a paused or missing buffer drops samples") {
  PerfWorld w(1);
  w.ring->paused = 1;
  CHECK(w.sample("x") == -ENOSPC);
  CHECK(w.event.lost_samples == 1);
  w.ring->paused = 0;
  CHECK(w.sample("x") == 0);
  CHECK(header_of(w.consume()).type == PERF_RECORD_LOST);
  w.event.ring = nullptr;
  CHECK(w.sample("x") == -ENOSPC);
  w.event.ring = w.ring;
  CHECK(w.sample(std::string(70000, 'x')) == -E2BIG);
}

TEST_CASE("other records carry the sample's identity when asked") {
  PerfWorld w(1, PERF_SAMPLE_TID | PERF_SAMPLE_TIME);
  w.event.sample_id_all = true;
  PerfSample s;
  s.pid = 1, s.tid = 2, s.time = 3;
  u64 body[2] = {10, 20};
  REQUIRE(perf_event_record(&w.run, w.event, PERF_RECORD_COMM, body, sizeof body, s) == 0);
  std::string record = w.consume();
  REQUIRE(record.size() == 8 + 16 + 16);
  CHECK(header_of(record).type == PERF_RECORD_COMM);
  CHECK(load<u64>(record.data() + 32) == 3);
}

}  // namespace
}  // namespace bpfemu::test
