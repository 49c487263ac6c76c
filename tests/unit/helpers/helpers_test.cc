// SPDX-License-Identifier: Apache-2.0
#include <ctime>

#include "emu/base/bytes.h"
#include "emu/runtime/contexts.h"
#include "emu/runtime/maps/object_array.h"
#include "emu/runtime/perf_ring.h"
#include "emu/runtime/seq_file.h"
#include "tests/unit/helpers/fixture.h"

namespace bpfemu::test {
namespace {

TEST_CASE("reads of user memory are exact and zero the buffer on a fault") {
  HelperWorld w;
  u64 at = w.put_user(0, "hello");
  char buffer[8];
  CHECK(w.call(112, buffer, 6, at) == 0);
  CHECK(std::string(buffer) == "hello");
  std::memset(buffer, 1, sizeof buffer);
  CHECK(w.call(112, buffer, 8, kUserPage + kPageSize - 4) == -EFAULT);
  CHECK(std::string(buffer, 8) == std::string(8, 0));
  CHECK(w.call(112, buffer, 8, kArenaBase) == -EFAULT);
  CHECK(w.call(112, buffer, 8, ~u64{0} - 3) == -EFAULT);
  CHECK(w.call(112, buffer, 0, 0) == 0);
  CHECK(w.call(148, buffer, 6, at) == 0);
  CHECK(w.call(148, buffer, 6, 0) == -EFAULT);
}

TEST_CASE("strings of user memory come with their length") {
  HelperWorld w;
  u64 at = w.put_user(0, "hello");
  char buffer[8];
  CHECK(w.call(114, buffer, 8, at) == 6);
  CHECK(w.call(114, buffer, 6, at) == 6);
  CHECK(w.call(114, buffer, 4, at) == 4);
  CHECK(std::string(buffer) == "hel");
  CHECK(w.call(114, buffer, 0, at) == 0);
  std::memset(buffer, 1, sizeof buffer);
  CHECK(w.call(114, buffer, 8, 1) == -EFAULT);
  CHECK(std::string(buffer, 8) == std::string(8, 0));
}

// What a real 6.1 answers: see strncpy_from_user_nofault.
TEST_CASE("an empty string of the task has no length, one of the kernel has its NUL") {
  HelperWorld w;
  u64 user = w.put_user(0, ""), kernel = w.put_kernel("", 1);
  char buffer[8];
  CHECK(w.call(114, buffer, 8, user) == 0);
  CHECK(w.call(45, buffer, 8, user) == 0);
  CHECK(w.call(115, buffer, 8, kernel) == 1);
  CHECK(w.call(45, buffer, 8, kernel) == 1);
}

TEST_CASE("what follows a string of the kernel stays") {
  HelperWorld w;
  u64 at = w.put_kernel("abc\0junk junk", 14);
  char buffer[16];
  std::memset(buffer, 'U', sizeof buffer);
  CHECK(w.call(115, buffer, 16, at) == 4);
  CHECK(std::string(buffer, 16) == std::string("abc\0UUUUUUUUUUUU", 16));
}

// As a program whose frame lies below the Run's.
__attribute__((noinline)) s64 read_own_stack(Run& run) {
  volatile u64 on_stack = 0x1122334455667788;
  u64 copy = 0;
  s64 r = static_cast<s64>(
      helper_function(113)(reinterpret_cast<u64>(&copy), 8, reinterpret_cast<u64>(&on_stack), 0, 0, &run));
  if (r == 0) CHECK(copy == on_stack);
  return r;
}

TEST_CASE("kernel memory is the arena and the program's stack") {
  HelperWorld w;
  u64 at = w.put_kernel("kernel", 7);
  char buffer[16];
  CHECK(w.call(113, buffer, 7, at) == 0);
  CHECK(std::string(buffer) == "kernel");
  CHECK(w.call(115, buffer, 16, at) == 7);
  CHECK(w.call(115, buffer, 3, at) == 3);
  CHECK(std::string(buffer) == "ke");

  // Nothing of this may fault.
  CHECK(w.call(113, buffer, 8, w.arena->end() - 4) == -EFAULT);
  CHECK(w.call(113, buffer, 8, kArenaBase + kArenaSpan - 4) == -EFAULT);
  CHECK(w.call(113, buffer, 8, 0xffffffff81000000) == -EFAULT);
  CHECK(w.call(113, buffer, 8, 0xffffffffff600000) == -ERANGE);
  CHECK(w.call(113, buffer, 8, 0) == -ERANGE);
  CHECK(w.call(113, buffer, 8, 0x7fffffffffff) == -ERANGE);
  CHECK(w.call(113, buffer, 8, u64{1} << 60) == -ERANGE);
  CHECK(w.call(115, buffer, 8, u64{1} << 60) == -ERANGE);
  CHECK(w.call(115, buffer, 8, kArenaBase + kArenaSpan - 4) == -EFAULT);

  CHECK(read_own_stack(w.run) == 0);
  auto elsewhere = std::make_unique<Run>(w.run);
  CHECK(read_own_stack(*elsewhere) == -ERANGE);
}

TEST_CASE("bpf_probe_read goes by the address") {
  HelperWorld w;
  u64 kernel = w.put_kernel("kernel", 7), user = w.put_user(8, "user");
  char buffer[16];
  CHECK(w.call(4, buffer, 7, kernel) == 0);
  CHECK(w.call(4, buffer, 5, user) == 0);
  CHECK(std::string(buffer) == "user");
  CHECK(w.call(45, buffer, 16, kernel) == 7);
  CHECK(w.call(45, buffer, 16, user) == 5);
  CHECK(w.call(4, buffer, 5, 0xffffffff81000000) == -EFAULT);
}

TEST_CASE("bpf_probe_write_user writes") {
  HelperWorld w;
  CHECK(w.call(36, kUserPage + 3, "abc", 4) == 0);
  CHECK(w.user.substr(3, 3) == "abc");
  CHECK(w.call(36, 16, "abc", 4) == -EFAULT);
  CHECK(w.call(36, kArenaBase, "abc", 4) == -EFAULT);
}

TEST_CASE("who runs") {
  HelperWorld w;
  w.task.uid = 1000, w.task.gid = 100, w.task.cgroup_id = 55;
  std::strcpy(w.task.comm, "fifteen_letters");
  CHECK(w.call(14) == (s64{5} << 32 | 7));
  CHECK(w.call(15) == (s64{100} << 32 | 1000));
  CHECK(w.call(80) == 55);
  CHECK(w.call(42) == 0);
  w.on_cpu(3);
  CHECK(w.call(8) == 3);
  CHECK(w.call(35) == static_cast<s64>(kArenaBase + 0x1000));
  CHECK(w.call(158) == w.call(35));
  CHECK(w.call(123, 0) == 1);
  CHECK(w.call(123, 1) == 0);
  CHECK(w.unmodelled.empty());

  char comm[32];
  std::memset(comm, 'x', sizeof comm);
  CHECK(w.call(16, comm, 16) == 0);
  CHECK(std::string(comm) == "fifteen_letters");
  CHECK(w.call(16, comm, 4) == 0);
  CHECK(std::string(comm) == "fif");
  std::strcpy(w.task.comm, "sh");
  std::memset(comm, 'x', sizeof comm);
  CHECK(w.call(16, comm, 16) == 0);
  CHECK(std::string(comm, 9) == std::string("sh\0\0\0\0\0\0x", 9));
}

TEST_CASE("pids of a namespace are given to who knows it") {
  HelperWorld w;
  w.task.ns_dev = 4, w.task.ns_ino = 4026531836, w.task.ns_tid = 70, w.task.ns_tgid = 50;
  bpf_pidns_info info;
  CHECK(w.call(120, 4, 4026531836, &info, sizeof info) == 0);
  CHECK(info.pid == 70);
  CHECK(info.tgid == 50);
  CHECK(w.call(120, 5, 4026531836, &info, sizeof info) == -EINVAL);
  CHECK(info.pid == 0);
  CHECK(w.call(120, 4, 4026531836, &info, 4) == -EINVAL);
}

TEST_CASE("signals go to the group or the thread") {
  HelperWorld w;
  CHECK(w.call(109, 10) == 0);
  CHECK((w.signal == 10 && w.to_group));
  CHECK(w.call(117, 12) == 0);
  CHECK((w.signal == 12 && !w.to_group));
  CHECK(w.call(109, 65) == -EINVAL);
}

TEST_CASE("clocks") {
  HelperWorld w;
  w.now[CLOCK_MONOTONIC] = 3, w.now[CLOCK_BOOTTIME] = 2, w.now[CLOCK_MONOTONIC_COARSE] = 4'000'000;
  w.now[CLOCK_TAI] = 4;
  CHECK(w.call(5) == 3);
  CHECK(w.call(125) == 2);
  CHECK(w.call(160) == 4'000'000);
  CHECK(w.call(208) == 4);
  CHECK(w.call(118) == 4294892297);  // five minutes before 32 bits wrap, and one jiffy
  u64 first = static_cast<u64>(w.call(7)), second = static_cast<u64>(w.call(7));
  CHECK(first >> 32 == 0);
  CHECK(first != second);
}

TEST_CASE("map helpers reach the map") {
  HelperWorld w;
  auto hash = w.create(BPF_MAP_TYPE_HASH, 4, 8, 2);
  u64 map = reinterpret_cast<u64>(&hash->map()), value = 5;
  u32 key = 1;
  CHECK(w.call(1, map, &key) == 0);
  CHECK(w.call(2, map, &key, &value, BPF_NOEXIST) == 0);
  CHECK(w.call(2, map, &key, &value, BPF_NOEXIST) == -EEXIST);
  CHECK(*reinterpret_cast<u64*>(w.call(1, map, &key)) == 5);
  CHECK(w.call(3, map, &key) == 0);
  CHECK(w.call(3, map, &key) == -ENOENT);
  CHECK(w.call(87, map, &value, 0) == -EOPNOTSUPP);

  auto queue = w.create(BPF_MAP_TYPE_QUEUE, 0, 8, 2);
  map = reinterpret_cast<u64>(&queue->map());
  CHECK(w.call(87, map, &value, 0) == 0);
  u64 out = 0;
  CHECK(w.call(89, map, &out) == 0);
  CHECK(w.call(88, map, &out) == 0);
  CHECK(out == 5);
  CHECK(w.call(88, map, &out) == -ENOENT);

  auto percpu = w.create(BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 1);
  map = reinterpret_cast<u64>(&percpu->map());
  key = 0;
  CHECK(w.call(2, map, &key, &value, 0) == 0);
  CHECK(*reinterpret_cast<u64*>(w.call(195, map, &key, 0)) == 5);
  CHECK(*reinterpret_cast<u64*>(w.call(195, map, &key, 1)) == 0);
  CHECK(w.call(195, map, &key, kCpus) == 0);
}

u64 count_calls(u64, u64, u64 value, u64 context, u64, Run* run) {
  ++*reinterpret_cast<u64*>(context);
  return run && *reinterpret_cast<u64*>(value) == 2;
}

TEST_CASE("callbacks") {
  HelperWorld w;
  auto array = w.create(BPF_MAP_TYPE_ARRAY, 4, 8, 5);
  u64 map = reinterpret_cast<u64>(&array->map());
  for (u32 key = 0; key < 5; ++key) {
    u64 value = key;
    REQUIRE(w.call(2, map, &key, &value, 0) == 0);
  }
  u64 calls = 0;
  CHECK(w.call(164, map, reinterpret_cast<u64>(count_calls), &calls, 0) == 3);
  CHECK(calls == 3);
  CHECK(w.call(164, map, reinterpret_cast<u64>(count_calls), &calls, 1) == -EINVAL);

  auto* until_seven = +[](u64 i, u64 context, u64, u64, u64, Run*) -> u64 {
    *reinterpret_cast<u64*>(context) += i;
    return i == 7;
  };
  u64 sum = 0;
  CHECK(w.call(181, 100, reinterpret_cast<u64>(until_seven), &sum, 0) == 8);
  CHECK(sum == 28);
  CHECK(w.call(181, 4, reinterpret_cast<u64>(until_seven), &sum, 0) == 4);
  CHECK(w.call(181, (8 << 20) + 1, reinterpret_cast<u64>(until_seven), &sum, 0) == -E2BIG);
  CHECK(w.call(181, 4, reinterpret_cast<u64>(until_seven), &sum, 1) == -EINVAL);
}

TEST_CASE("spin locks are tagged with their holder") {
  HelperWorld w;
  ArenaLock lock{};
  CHECK(w.call(93, &lock) == 0);
  CHECK(lock.holder == 7);
  CHECK(w.run.cpu->held_count == 1);
  CHECK(w.call(94, &lock) == 0);
  CHECK(lock.holder == 0);
  CHECK(w.run.cpu->held_count == 0);
}

TEST_CASE("attachment") {
  HelperWorld w;
  w.run.cookie = 99;
  w.run.func_ip = 0x1234;
  CHECK(w.call(174) == 99);
  CHECK(w.call(173) == 0x1234);
  u64 buffer[3];
  CHECK(w.call(176, buffer, sizeof buffer, 0) == -ENOENT);
  CHECK(w.call(176, buffer, sizeof buffer, 1) == -EINVAL);
}

TEST_CASE("ring buffer helpers") {
  HelperWorld w;
  auto ring = w.create(BPF_MAP_TYPE_RINGBUF, 0, 0, 4096);
  u64 map = reinterpret_cast<u64>(&ring->map()), value = 5;
  CHECK(w.call(131, map, 8, 1) == 0);
  auto* record = reinterpret_cast<u64*>(w.call(131, map, 8, 0));
  REQUIRE(record);
  *record = 5;
  CHECK(w.call(132, record, 0) == 0);
  CHECK(w.woken == std::vector<void*>{&ring->map()});
  record = reinterpret_cast<u64*>(w.call(131, map, 8, 0));
  CHECK(w.call(133, record, BPF_RB_NO_WAKEUP) == 0);
  CHECK(w.call(130, map, &value, 8, 0) == 0);
  CHECK(w.call(130, map, &value, 8, 8) == -EINVAL);
  CHECK(w.call(134, map, BPF_RB_AVAIL_DATA) == 48);
}

TEST_CASE("perf event output finds the event of its CPU") {
  HelperWorld w;
  auto events = w.create(BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 2);
  u64 map = reinterpret_cast<u64>(&events->map()), data = 0x1122334455667788, old;
  auto extent = w.arena->allocate(perf_ring_footprint(1));
  auto& ring = *reinterpret_cast<PerfRing*>(extent->address);
  perf_ring_init(ring, 1, 0, true);
  PerfEventState event{};
  event.type = PERF_TYPE_SOFTWARE;
  event.config = PERF_COUNT_SW_BPF_OUTPUT;
  event.sample_type = PERF_SAMPLE_RAW | PERF_SAMPLE_TID;
  event.wakeup_events = 1;
  event.cpu = 0;
  event.active = 1;
  event.ring = &ring;
  auto output = [&](u64 flags) { return w.call(25, 0, map, flags, &data, sizeof data); };
  CHECK(output(BPF_F_CURRENT_CPU) == -ENOENT);
  u32 index = 0;
  REQUIRE(events->ops().exchange(events->map(), &index, reinterpret_cast<u64>(&event), BPF_ANY, &old) == 0);
  CHECK(output(BPF_F_CURRENT_CPU) == 0);
  CHECK(w.woken == std::vector<void*>{&ring});
  CHECK(ring.page()->data_head == 8 + 8 + 16);
  CHECK(*reinterpret_cast<u32*>(ring.data() + 8) == 5);
  CHECK(*reinterpret_cast<u32*>(ring.data() + 12) == 7);
  CHECK(*reinterpret_cast<u32*>(ring.data() + 16) == 12);
  CHECK(output(1) == -ENOENT);
  CHECK(output(2) == -E2BIG);
  CHECK(output(u64{1} << 32) == -EINVAL);
  w.on_cpu(1);
  CHECK(output(0) == -EOPNOTSUPP);
  CHECK(output(BPF_F_CURRENT_CPU) == -ENOENT);
  event.cpu = -1;
  CHECK(output(0) == 0);
  event.active = 0;
  CHECK(output(0) == -EOPNOTSUPP);
  event.active = 1;

  // Of a network program, the packet's head follows.
  ProgramText program{};
  program.type = BPF_PROG_TYPE_XDP;
  u8 packet[20] = {0xaa, 0xbb};
  RunXdp xdp{};
  xdp.data = reinterpret_cast<u64>(packet);
  xdp.data_end = xdp.data + sizeof packet;
  auto with_packet = [&](u64 size) { return w.call(25, &xdp, map, size << 32, &data, sizeof data); };
  CHECK(with_packet(2) == -EINVAL);
  w.run.program = &program;
  u64 at = ring.page()->data_head;
  CHECK(with_packet(2) == 0);
  CHECK(*reinterpret_cast<u32*>(ring.data() + at + 16) == 12);
  CHECK(load<u64>(ring.data() + at + 20) == data);
  CHECK(ring.data()[at + 28] == 0xaa);
  CHECK(with_packet(21) == -EFAULT);
  event.config = 0;
  CHECK(output(0) == -EINVAL);
}

TEST_CASE("stacks") {
  HelperWorld w;
  w.user_ips = {0x10, 0x20, 0x30};
  w.kernel_ips = {0xffffffff81000000};
  u64 buffer[4];
  CHECK(w.call(67, 0, buffer, sizeof buffer, BPF_F_USER_STACK) == 24);
  CHECK(buffer[2] == 0x30);
  CHECK(buffer[3] == 0);
  CHECK(w.call(67, 0, buffer, sizeof buffer, BPF_F_USER_STACK | 2) == 8);
  CHECK(buffer[0] == 0x30);
  CHECK(w.call(67, 0, buffer, 16, BPF_F_USER_STACK) == 16);
  CHECK(w.call(67, 0, buffer, sizeof buffer, BPF_F_USER_STACK | 4) == -EFAULT);
  CHECK(buffer[0] == 0);
  CHECK(w.call(67, 0, buffer, sizeof buffer, 0) == 8);
  CHECK(w.call(67, 0, buffer, 12, BPF_F_USER_STACK) == -EINVAL);
  CHECK(w.call(67, 0, buffer, sizeof buffer, BPF_F_USER_BUILD_ID) == -EINVAL);
  CHECK(w.call(67, 0, buffer, sizeof buffer, 1 << 20) == -EINVAL);
  CHECK(w.call(67, 0, buffer, sizeof buffer, BPF_F_USER_STACK | BPF_F_USER_BUILD_ID) == 32);
  CHECK(reinterpret_cast<bpf_stack_build_id*>(buffer)->ip == 0x10);

  auto map = w.create(BPF_MAP_TYPE_STACK_TRACE, 4, 8 * 127, 16);
  u64 address = reinterpret_cast<u64>(&map->map());
  s64 id = w.call(27, 0, address, BPF_F_USER_STACK);
  REQUIRE(id >= 0);
  CHECK(w.call(27, 0, address, BPF_F_USER_STACK) == id);
  CHECK(w.call(27, 0, address, BPF_F_USER_STACK | 3) == -EFAULT);
  CHECK(w.call(27, 0, address, 1 << 20) == -EINVAL);
  u64 stack[127];
  u32 key = static_cast<u32>(id);
  REQUIRE(map->ops().copy_value(&w.run, map->map(), &key, stack) == 0);
  CHECK(stack[1] == 0x20);
}

s64 parse(HelperWorld& w, u32 id, const char* text, u64 flags, u64& value) {
  return w.call(id, text, std::strlen(text), flags, &value);
}

TEST_CASE("numbers in strings") {
  HelperWorld w;
  u64 value;
  CHECK(parse(w, 105, " -42x", 0, value) == 4);
  CHECK(static_cast<s64>(value) == -42);
  CHECK(parse(w, 105, "0x1F", 0, value) == 4);
  CHECK(value == 31);
  CHECK(parse(w, 105, "017", 0, value) == 3);
  CHECK(value == 15);
  CHECK(parse(w, 105, "ff", 16, value) == 2);
  CHECK(value == 255);
  CHECK(parse(w, 105, "9223372036854775807", 10, value) == 19);
  CHECK(parse(w, 105, "9223372036854775808", 10, value) == -ERANGE);
  CHECK(value == 0);
  CHECK(parse(w, 105, "-9223372036854775808", 10, value) == 20);
  CHECK(parse(w, 106, "18446744073709551615", 10, value) == 20);
  CHECK(value == ~u64{0});
  CHECK(parse(w, 106, "18446744073709551616", 10, value) == -ERANGE);
  CHECK(parse(w, 106, "-1", 10, value) == -EINVAL);
  CHECK(parse(w, 106, "", 10, value) == -EINVAL);
  CHECK(parse(w, 106, "-", 10, value) == -EINVAL);
  CHECK(parse(w, 106, "x", 10, value) == -EINVAL);
  CHECK(parse(w, 106, "1", 7, value) == -EINVAL);
  CHECK(parse(w, 106, "1", 32, value) == -EINVAL);
}

TEST_CASE("strings and checksums") {
  HelperWorld w;
  CHECK(w.call(182, "abc", 4, "abc") == 0);
  CHECK(w.call(182, "abc", 4, "abd") == -1);
  CHECK(w.call(182, "abd", 3, "abc") == 1);
  CHECK(w.call(182, "abx", 2, "aby") == 0);
  u32 from[] = {1}, to[] = {2, 3};
  CHECK(w.call(28, 0, 0, to, 8, 0) == 5);
  CHECK(w.call(28, from, 4, from, 4, 0) == 0xffffffff);
  CHECK(w.call(28, from, 3, to, 8, 0) == -EINVAL);
}

TEST_CASE("socket buffers are read and written within the packet") {
  HelperWorld w;
  u8 packet[32] = {1, 2, 3, 4}, out[8];
  RunSkb skb{};
  skb.data = skb.mac_header = reinterpret_cast<u64>(packet);
  skb.network_header = skb.data + 14;
  skb.data_end = skb.data + sizeof packet;
  skb.len = sizeof packet;
  CHECK(w.call(26, &skb, 1, out, 2) == 0);
  CHECK((out[0] == 2 && out[1] == 3));
  CHECK(w.call(26, &skb, 30, out, 3) == -EFAULT);
  CHECK(out[0] == 0);
  CHECK(w.call(26, &skb, -4, out, 2) == -EFAULT);
  packet[14] = 0x45;
  CHECK(w.call(68, &skb, 0, out, 1, BPF_HDR_START_NET) == 0);
  CHECK(out[0] == 0x45);
  CHECK(w.call(68, &skb, 0, out, 1, BPF_HDR_START_MAC) == 0);
  CHECK(out[0] == 1);
  CHECK(w.call(68, &skb, 0, out, 1, 2) == -EFAULT);
  CHECK(w.call(9, &skb, 31, "x", 1, BPF_F_INVALIDATE_HASH) == 0);
  CHECK(packet[31] == 'x');
  CHECK(w.call(9, &skb, 31, "xy", 2, 0) == -EFAULT);
  CHECK(w.call(9, &skb, 0, "x", 1, 4) == -EINVAL);
  CHECK(w.call(39, &skb, 32) == 0);
  CHECK(w.call(39, &skb, 33) == -ENOMEM);
}

TEST_CASE("XDP packets grow and shrink within their frame") {
  HelperWorld w;
  std::vector<u8> frame(512, 7), frags(64, 9);
  RunXdp xdp{};
  xdp.data_hard_start = reinterpret_cast<u64>(frame.data());
  xdp.data = xdp.data_meta = xdp.data_hard_start + 256;
  xdp.data_end = xdp.data + 64;
  xdp.frame_end = xdp.data_hard_start + 512;
  CHECK(w.call(188, &xdp) == 64);
  CHECK(w.call(44, &xdp, -216) == 0);
  CHECK(w.call(44, &xdp, -1) == -EINVAL);
  CHECK(w.call(44, &xdp, 216 + 50) == 0);
  CHECK(w.call(44, &xdp, 1) == -EINVAL);
  CHECK(w.call(44, &xdp, -50) == 0);
  CHECK(w.call(65, &xdp, 192) == 0);
  CHECK(frame[320] == 0);
  CHECK(w.call(65, &xdp, 1) == -EINVAL);
  CHECK(w.call(65, &xdp, -192) == 0);
  CHECK(w.call(54, &xdp, -4) == 0);
  CHECK(w.call(54, &xdp, -1) == -EACCES);
  CHECK(w.call(54, &xdp, 5) == -EINVAL);
  CHECK(w.call(54, &xdp, 4) == 0);
  xdp.frags = reinterpret_cast<u64>(frags.data());
  xdp.frags_size = 64;
  xdp.has_frags = 1;
  u8 out[8];
  CHECK(w.call(189, &xdp, 60, out, 8) == 0);
  CHECK((out[3] == 7 && out[4] == 9));
  CHECK(w.call(190, &xdp, 62, "abcd", 4) == 0);
  CHECK((frame[256 + 63] == 'b' && frags[0] == 'c'));
  CHECK(w.call(189, &xdp, 121, out, 8) == -EINVAL);
  CHECK(w.call(189, &xdp, 0x10000, out, 8) == -EFAULT);
}

// What the kernel's test functions hand out, as far as they look at it.
struct Counted {
  u32* count = &references;
  u64 object = 42;
  u32 references = 1;
};

TEST_CASE("kernel functions of tests count references") {
  HelperWorld w;
  CHECK(w.call("bpf_kfunc_call_test_acquire", 0) == 0);  // a kernel without the object
  static Counted counted;
  counted.references = 1;
  w.env.test_object = [](void*) { return reinterpret_cast<u64>(&counted.object); };
  const u64* kptr = &counted.object;
  CHECK(w.call("bpf_kfunc_call_test_acquire", 0) == w.call("bpf_kfunc_call_test_kptr_get", &kptr));
  CHECK(counted.references == 3);
  u64 none = 0;
  CHECK(w.call("bpf_kfunc_call_test_kptr_get", &none) == 0);
  w.call("bpf_kfunc_call_test_release", &counted.object);
  w.call("bpf_kfunc_call_test_release", none);
  CHECK(counted.references == 2);
  for (u32 wrong : {0u, 0x7fffffffu, 0x80000000u, 0xffffffffu}) {
    counted.references = wrong;
    w.call("bpf_kfunc_call_test_acquire", 0);
    CHECK(counted.references == 0xc0000000);
  }
  for (u32 wrong : {0u, 1u, 0xfffffff0u}) {
    counted.references = wrong;
    w.call("bpf_kfunc_call_test_release", &counted.object);
    CHECK(counted.references == 0xc0000000);
  }
}

TEST_CASE("kernel functions of tests take what their prototypes say") {
  HelperWorld w;
  constexpr u64 kHigh = u64{1} << 32;
  CHECK(w.call("bpf_kfunc_call_test1", 0, kHigh | 1, kHigh | 2, kHigh | 3, kHigh | 4) == (2 * kHigh | 10));
  CHECK(w.call("bpf_kfunc_call_test2", 0, kHigh | 0xffffffff, 3) == 2);
  CHECK(w.call("bpf_kfunc_call_test_get_rdwr_mem", 1234, kHigh | 8) == 1234);
  CHECK(w.call("bpf_kfunc_call_test_get_rdonly_mem", 1234, 9) == 0);
  CHECK(w.call("bpf_kfunc_call_test_get_rdonly_mem", 1234, -1) == 0);
  CHECK(w.call("bpf_kfunc_call_memb_acquire") == 0);
  static RunSock* shown;
  w.env.show_sock = [](void*, RunSock* sock) { shown = sock; };
  RunSock sock{};
  CHECK(w.call("bpf_kfunc_call_test3", 0) == 0);
  CHECK(shown == nullptr);
  CHECK(w.call("bpf_kfunc_call_test3", &sock) == static_cast<s64>(w.word(&sock)));
  CHECK(shown == &sock);
}

TEST_CASE("maps release the kptrs that they own") {
  const u32 type = GENERATE(u32{BPF_MAP_TYPE_HASH}, u32{BPF_MAP_TYPE_LRU_HASH}, u32{BPF_MAP_TYPE_ARRAY},
                            u32{BPF_MAP_TYPE_PERCPU_ARRAY});
  HelperWorld w;
  Counted counted;
  auto map = w.create(type, 4, 16, 2);
  const bool is_array = type == BPF_MAP_TYPE_ARRAY || type == BPF_MAP_TYPE_PERCPU_ARRAY;
  map->kptrs = {{.offset = 0, .referenced = true, .btf = nullptr, .btf_id = 0,
                 .destructor = kptr_destructor("prog_test_ref_kfunc")},
                {.offset = 8, .referenced = false, .btf = nullptr, .btf_id = 0}};
  REQUIRE(map->kptrs[0].destructor);
  map->set_value_fields();
  const MapOps& ops = map->ops();
  u64 value[2 * kCpus] = {};
  auto element = [&](u32 key) { return static_cast<u64*>(ops.lookup(&w.run, map->map(), &key)); };
  auto put = [&](u32 key) {
    if (!element(key)) REQUIRE(ops.update(&w.run, map->map(), &key, value, BPF_ANY) == 0);
    u64* kptrs = element(key);
    ++counted.references;
    kptrs[1] = w.word(&counted.object);
    return w.call(194, kptrs, &counted.object);
  };
  CHECK(put(0) == 0);
  CHECK(put(0) == static_cast<s64>(w.word(&counted.object)));  // now the program's to release
  CHECK(--counted.references == 2);
  const u32 zero = 0;

  SECTION("at an update") {
    CHECK(ops.update(&w.run, map->map(), &zero, value, BPF_ANY) == 0);
    CHECK(counted.references == 1);
    CHECK((element(0)[0] == 0 && element(0)[1] == 0));
  }
  SECTION("at an update of user space") {
    if (is_array) w.on_cpu(3);
    CHECK(put(0) == (type == BPF_MAP_TYPE_PERCPU_ARRAY ? 0 : static_cast<s64>(w.word(&counted.object))));
    CHECK(ops.update_value(nullptr, map->map(), &zero, value, BPF_ANY) == 0);
    CHECK(counted.references == (type == BPF_MAP_TYPE_PERCPU_ARRAY ? 1 : 2));
  }
  SECTION("at a delete") {
    CHECK(ops.erase(&w.run, map->map(), &zero) == (is_array ? -EINVAL : 0));
    CHECK(counted.references == (is_array ? 2 : 1));
  }
  SECTION("at an eviction") {
    CHECK(put(1) == 0);
    CHECK(counted.references == 3);
    if (type == BPF_MAP_TYPE_LRU_HASH) {
      const u32 two = 2;
      // The kernel evicts in batches: both elements go.
      CHECK(ops.update(&w.run, map->map(), &two, value, BPF_ANY) == 0);
      CHECK(counted.references == 1);
    }
  }
  SECTION("at the end, on all CPUs") {
    w.on_cpu(2);
    put(1);
    map.reset();
    CHECK(counted.references == 1);
  }
}

TEST_CASE("what is not modelled has no function") {
  CHECK(kfunc_function("cubictcp_init") == nullptr);
  CHECK(kfunc_function("no such function") == nullptr);
  CHECK(kptr_destructor("task_struct") == nullptr);
  CHECK(helper_function(0) == nullptr);
  CHECK(helper_function(12) == nullptr);
  CHECK(helper_function(100000) == nullptr);
}

TEST_CASE("what iterators print goes behind what is there, or not at all") {
  HelperWorld w;
  char buffer[16] = {};
  SeqFile file{.buffer = buffer, .size = sizeof buffer, .from = 0, .count = 0};
  const u64 number = 1234;
  CHECK(w.call(126, &file, "n=%d;", 6, &number, 8) == 0);
  CHECK(w.call(127, &file, "ab", 2) == 0);
  CHECK(std::string(buffer, file.count) == "n=1234;ab");
  CHECK(w.call(126, &file, "%d", 3, &number, 7) == -EINVAL);
  CHECK(w.call(126, &file, "%d", 3, u64{0}, 0) == -EINVAL);
  CHECK(file.count == 9);
  // A text needs one byte more, which its NUL takes; so do bytes.
  CHECK(w.call(126, &file, "123456", 7, u64{0}, 0) == 0);
  CHECK(file.count == 15);
  CHECK_FALSE(file.overflowed());
  CHECK(w.call(126, &file, "1", 2, u64{0}, 0) == -EOVERFLOW);
  CHECK(file.overflowed());
  CHECK(w.call(126, &file, "1", 2, u64{0}, 0) == -EOVERFLOW);
  file.count = 12;
  CHECK(w.call(127, &file, "1234", 4) == -EOVERFLOW);
  CHECK(file.overflowed());
  CHECK(w.call(127, &file, "", 0) == -EOVERFLOW);
}

}  // namespace
}  // namespace bpfemu::test
