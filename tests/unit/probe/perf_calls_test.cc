// SPDX-License-Identifier: Apache-2.0
// perf_event_open, its ioctls and mmap, and waiting, through the whole model: every errno is the real kernel's.
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>

#include "emu/arena/layout.h"
#include "emu/syscalls/map_mmap.h"
#include "emu/syscalls/perf_file.h"
#include "tests/unit/syscalls/fixture.h"

using namespace bpfemu;
using namespace bpfemu::test;

namespace {

template <class T>
u64 ptr(const T* p) {
  return reinterpret_cast<u64>(p);
}

perf_event_attr attr_of(u32 type, u64 config) {
  perf_event_attr attr{};
  attr.type = type;
  attr.config = config;
  attr.size = sizeof attr;
  return attr;
}

perf_event_attr output_attr() {
  perf_event_attr attr = attr_of(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_BPF_OUTPUT);
  attr.sample_type = PERF_SAMPLE_RAW;
  attr.sample_period = 1;
  attr.wakeup_events = 1;
  return attr;
}

u32 event_id(const char* system, const char* name) {
  auto* event = kernel().system->kernel.events().find(system, name);
  REQUIRE(event);
  return event->id;
}

s64 open_event(const perf_event_attr& attr, int pid = -1, int cpu = 0, int group = -1, u64 flags = 0) {
  auto word = [](int n) { return static_cast<u64>(s64{n}); };
  return kernel().call(SYS_perf_event_open, {ptr(&attr), word(pid), word(cpu), word(group), flags, 0});
}

s64 ioctl_event(s64 fd, u64 command, u64 arg = 0) {
  return kernel().call(SYS_ioctl, {static_cast<u64>(fd), command, arg, 0, 0, 0});
}

s64 map_event(s64 fd, u64 size, u64 prot = PROT_READ | PROT_WRITE, u64 flags = MAP_SHARED, u64 offset = 0) {
  return kernel().call(SYS_mmap, {0, size, prot, flags, static_cast<u64>(fd), offset});
}

s64 load_program(u32 type) {
  return kernel().bpf(BPF_PROG_LOAD, program_attr(type, return_zero()));
}

TEST_CASE("what perf_event_open refuses") {
  perf_event_attr attr = output_attr();
  CHECK(open_event(attr, -1, 0, -1, 1 << 10) == -EINVAL);
  CHECK(kernel().call(SYS_perf_event_open, {8, ~u64{0}, 0, ~u64{0}, 0, 0}) == -EFAULT);
  CHECK(open_event(attr, -1, -1) == -EINVAL);
  CHECK(open_event(attr, -1, 5000) == -EINVAL);
  CHECK(open_event(attr, 0x3fffffff, 0) == -ESRCH);
  CHECK(open_event(attr, -1, 0, 1 << 20) == -EBADF);
  CHECK(open_event(attr, -1, 0, 0) == -EBADF);  // open, but no perf event
  attr.sample_type |= u64{1} << 63;
  CHECK(open_event(attr) == -EINVAL);
  attr = output_attr();
  attr.read_format = 1 << 20;
  CHECK(open_event(attr) == -EINVAL);
  attr = output_attr();
  attr.sample_period = u64{1} << 63;
  CHECK(open_event(attr) == -EINVAL);
  attr = output_attr();
  attr.freq = 1;
  attr.sample_freq = 1'000'000;
  CHECK(open_event(attr) == -EINVAL);
  attr = output_attr();
  attr.sample_type = PERF_SAMPLE_BRANCH_STACK;
  attr.branch_sample_type = PERF_SAMPLE_BRANCH_ANY;
  CHECK(open_event(attr) == -EOPNOTSUPP);
}

TEST_CASE("the size of an attr") {
  struct {
    perf_event_attr attr;
    u64 tail;
  } larger{output_attr(), 0};
  larger.attr.size = sizeof larger;
  s64 fd = open_event(larger.attr);
  CHECK(fd >= 0);
  close(static_cast<int>(fd));
  larger.tail = 1;
  CHECK(open_event(larger.attr) == -E2BIG);
  CHECK(larger.attr.size == sizeof larger.attr);
  perf_event_attr attr = output_attr();
  attr.size = 10;
  CHECK(open_event(attr) == -E2BIG);
  CHECK(attr.size == sizeof attr);
  attr.size = 5000;
  CHECK(open_event(attr) == -E2BIG);
  attr.size = 0;
  fd = open_event(attr);
  CHECK(fd >= 0);
  close(static_cast<int>(fd));
}

TEST_CASE("tracepoints, kprobes and uprobes are opened by what names them") {
  CHECK(open_event(attr_of(PERF_TYPE_TRACEPOINT, 0x7fffffff)) == -EINVAL);
  CHECK(open_event(attr_of(PERF_TYPE_TRACEPOINT, u64{1} << 40)) == -EINVAL);
  CHECK(open_event(attr_of(PERF_TYPE_TRACEPOINT, event_id("syscalls", "sys_enter_read"))) >= 0);

  perf_event_attr probe = attr_of(kKprobePmu, 0);
  CHECK(open_event(probe) == -EINVAL);
  char symbol[1024] = "do_sys_openat2";
  probe.kprobe_func = ptr(symbol);
  CHECK(open_event(probe) >= 0);
  probe.config = 1;
  CHECK(open_event(probe) >= 0);
  strcpy(symbol, "no_such_symbol");
  CHECK(open_event(probe) == -ENOENT);
  memset(symbol, 'x', sizeof symbol);
  CHECK(open_event(probe) == -E2BIG);
  probe.kprobe_func = 8;
  CHECK(open_event(probe) == -EFAULT);

  perf_event_attr user = attr_of(kUprobePmu, u64{6} << 32);
  CHECK(open_event(user) == -EINVAL);
  user.uprobe_path = ptr("");
  CHECK(open_event(user) == -EINVAL);
  user.uprobe_path = ptr("/no/such/file");
  CHECK(open_event(user) == -ENOENT);
  user.uprobe_path = ptr("/tmp");
  CHECK(open_event(user) == -EINVAL);
  user.uprobe_path = ptr("/proc/self/exe");
  user.probe_offset = 0x100;
  s64 fd = open_event(user);
  REQUIRE(fd >= 0);
  CHECK(kernel().sites.sites.size() == 1);
  user.config = u64{8} << 32;  // another reference counter
  CHECK(open_event(user) == -EINVAL);
  user.config = 0;
  user.uprobe_path = ptr("/proc/self/status");
  CHECK(open_event(user) == -EIO);
  close(static_cast<int>(fd));
  kernel().system->files.reap();
  CHECK(kernel().sites.sites.empty());
}

TEST_CASE("breakpoints are debug registers of threads") {
  const pid_t own = kernel().task.tid();
  auto open_breakpoint = [&](u64 address, u32 type = HW_BREAKPOINT_W, u64 length = 8, bool exclude_kernel = true) {
    perf_event_attr attr = attr_of(PERF_TYPE_BREAKPOINT, 0);
    attr.bp_addr = address;
    attr.bp_type = type;
    attr.bp_len = length;
    attr.exclude_kernel = exclude_kernel;
    return open_event(attr, own, -1);
  };
  auto drop = [](s64 fd) {
    close(static_cast<int>(fd));
    kernel().system->files.reap();
  };
  auto watched = [&] { return kernel().host.watched[own]; };
  CHECK(open_breakpoint(0x1000, HW_BREAKPOINT_EMPTY) == -EINVAL);
  CHECK(open_breakpoint(0x1000, HW_BREAKPOINT_R) == -EINVAL);
  CHECK(open_breakpoint(0x1000, HW_BREAKPOINT_X, 4) == -EINVAL);
  CHECK(open_breakpoint(0x1004) == -EINVAL);
  CHECK(open_breakpoint(0x1000, HW_BREAKPOINT_W, 16) == -EOPNOTSUPP);
  CHECK(open_breakpoint(0xffffffff81000000) == -EINVAL);
  CHECK(open_breakpoint(0xffffffff81000000, HW_BREAKPOINT_W, 8, false) == -ENOENT);
  CHECK(kernel().system->unmodelled.counts().contains("perf event breakpoint on the kernel's own memory"));
  CHECK(watched().empty());

  const s64 one = open_breakpoint(0x1000), same = open_breakpoint(0x1000), two = open_breakpoint(0x2000, HW_BREAKPOINT_X);
  CHECK(watched() == Watches{{0x1000, HW_BREAKPOINT_W, 8}, {0x2000, HW_BREAKPOINT_X, 8}});
  kernel().system->probes->watch_hit(kernel().task, 2);
  kernel().system->probes->watch_hit(kernel().task, 3);
  auto count = [](s64 fd) {
    u64 value = 0;
    kernel().call(SYS_read, {static_cast<u64>(fd), ptr(&value), sizeof value, 0, 0, 0});
    return value;
  };
  CHECK(count(one) == 1);
  CHECK(count(same) == 1);
  CHECK(count(two) == 2);
  CHECK(ioctl_event(two, PERF_EVENT_IOC_DISABLE) == 0);
  CHECK(watched() == Watches{{0x1000, HW_BREAKPOINT_W, 8}});
  const s64 four = open_breakpoint(0x3000);
  CHECK(open_breakpoint(0x4000) == -ENOSPC);
  perf_event_attr moved = attr_of(PERF_TYPE_BREAKPOINT, 0);
  moved.bp_addr = 0x5000;
  moved.bp_type = HW_BREAKPOINT_RW;
  moved.bp_len = 4;
  CHECK(ioctl_event(four, PERF_EVENT_IOC_MODIFY_ATTRIBUTES, ptr(&moved)) == -EINVAL);  // exclude_kernel is another
  moved.exclude_kernel = 1;
  CHECK(ioctl_event(four, PERF_EVENT_IOC_MODIFY_ATTRIBUTES, ptr(&moved)) == 0);
  CHECK(watched() == Watches{{0x1000, HW_BREAKPOINT_W, 8}, {0x5000, HW_BREAKPOINT_RW, 4}});
  for (s64 fd : {one, same, two, four}) drop(fd);
  CHECK(watched().empty());
}

TEST_CASE("software events are all there, hardware events are not") {
  for (u64 config = 0; config < PERF_COUNT_SW_CGROUP_SWITCHES; ++config) {
    perf_event_attr attr = attr_of(PERF_TYPE_SOFTWARE, config);
    s64 fd = open_event(attr);
    CHECK(fd >= 0);
    close(static_cast<int>(fd));
  }
  CHECK(open_event(attr_of(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_MAX)) == -ENOENT);
  CHECK(open_event(attr_of(PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES)) == -ENOENT);
  CHECK(open_event(attr_of(PERF_TYPE_RAW, 0x1234)) == -ENOENT);
  CHECK(open_event(attr_of(4711, 0)) == -ENOENT);
  const auto& noted = kernel().system->unmodelled.counts();
  CHECK(noted.contains("perf event hardware:0x0"));
  perf_event_attr clock = attr_of(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK);
  for (u64 type : {PERF_SAMPLE_RAW, PERF_SAMPLE_CALLCHAIN, PERF_SAMPLE_ADDR, PERF_SAMPLE_CGROUP, PERF_SAMPLE_READ}) {
    clock.sample_type = type;
    clock.sample_period = 1'000'000'000;
    s64 fd = open_event(clock);
    CHECK(fd >= 0);
    close(static_cast<int>(fd));
  }
  clock.sample_type = PERF_SAMPLE_REGS_USER;
  clock.sample_regs_user = u64{1} << 32;
  CHECK(open_event(clock) == -EOPNOTSUPP);
  clock.sample_regs_user = 0;
  CHECK(open_event(clock) == -EINVAL);
  clock.sample_type = 0;
  clock.use_clockid = 1;
  clock.clockid = CLOCK_PROCESS_CPUTIME_ID;
  CHECK(open_event(clock) == -EINVAL);
  kernel().system->files.reap();
}

TEST_CASE("what a read of a perf event gives") {
  Kernel& k = kernel();
  perf_event_attr attr = attr_of(PERF_TYPE_TRACEPOINT, event_id("syscalls", "sys_enter_getppid"));
  attr.read_format = PERF_FORMAT_GROUP | PERF_FORMAT_ID | PERF_FORMAT_TOTAL_TIME_ENABLED;
  s64 leader = open_event(attr);
  attr.read_format = PERF_FORMAT_ID | PERF_FORMAT_LOST;
  s64 sibling = open_event(attr, -1, 0, static_cast<int>(leader));
  REQUIRE(sibling >= 0);
  CHECK(open_event(attr, -1, 0, static_cast<int>(sibling)) == -EINVAL);
  CHECK(open_event(attr, -1, 1, static_cast<int>(leader)) == -EINVAL);
  (*find_perf_event(*k.system, k.task, static_cast<int>(leader)))->state().count = 11;
  auto second = *find_perf_event(*k.system, k.task, static_cast<int>(sibling));
  second->state().count = 22;
  u64 values[16]{};
  auto read_event = [&](s64 fd, u64 size) {
    return k.call(SYS_read, {static_cast<u64>(fd), ptr(values), size, 0, 0, 0});
  };
  CHECK(read_event(leader, 47) == -ENOSPC);
  CHECK(read_event(leader, sizeof values) == 48);
  CHECK(values[0] == 2);
  CHECK(values[2] == 11);
  CHECK(values[4] == 22);
  CHECK(values[5] == second->event_id());
  CHECK(read_event(sibling, 24) == 24);
  CHECK(values[0] == 22);
  CHECK(values[1] == second->event_id());
  CHECK(k.call(SYS_read, {static_cast<u64>(sibling), 8, 24, 0, 0, 0}) == -EFAULT);
  CHECK(ioctl_event(sibling, PERF_EVENT_IOC_RESET, PERF_IOC_FLAG_GROUP) == 0);
  CHECK(read_event(leader, sizeof values) == 48);
  CHECK(values[2] == 0);
  CHECK(values[4] == 0);
  second.reset();
  close(static_cast<int>(leader));
  close(static_cast<int>(sibling));
  k.system->files.reap();
}

TEST_CASE("nothing is read from bpf objects") {
  char byte;
  s64 map = kernel().bpf(BPF_MAP_CREATE, map_attr(BPF_MAP_TYPE_HASH));
  CHECK(kernel().call(SYS_read, {static_cast<u64>(map), ptr(&byte), 1, 0, 0, 0}) == -EINVAL);
  close(static_cast<int>(map));
}

TEST_CASE("ioctls of a tracepoint event") {
  s64 fd = open_event(attr_of(PERF_TYPE_TRACEPOINT, event_id("syscalls", "sys_enter_getppid")));
  REQUIRE(fd >= 0);
  CHECK(ioctl_event(fd, PERF_EVENT_IOC_ENABLE) == 0);
  CHECK(ioctl_event(fd, PERF_EVENT_IOC_DISABLE) == 0);
  CHECK(ioctl_event(fd, PERF_EVENT_IOC_RESET) == 0);
  CHECK(ioctl_event(fd, 0x1234) == -ENOTTY);
  CHECK(ioctl_event(fd, PERF_EVENT_IOC_REFRESH, 1) == -EINVAL);
  CHECK(ioctl_event(fd, PERF_EVENT_IOC_PAUSE_OUTPUT, 1) == -EINVAL);
  CHECK(ioctl_event(fd, PERF_EVENT_IOC_MODIFY_ATTRIBUTES, 0) == -EOPNOTSUPP);
  u64 id = 0;
  CHECK(ioctl_event(fd, PERF_EVENT_IOC_ID, ptr(&id)) == 0);
  CHECK(id != 0);
  CHECK(ioctl_event(fd, PERF_EVENT_IOC_ID, 8) == -EFAULT);

  s64 program = load_program(BPF_PROG_TYPE_TRACEPOINT), other = load_program(BPF_PROG_TYPE_KPROBE);
  REQUIRE(program >= 0);
  CHECK(ioctl_event(fd, PERF_EVENT_IOC_SET_BPF, 1 << 20) == -EBADF);
  CHECK(ioctl_event(fd, PERF_EVENT_IOC_SET_BPF, static_cast<u64>(fd)) == -EINVAL);
  CHECK(ioctl_event(fd, PERF_EVENT_IOC_SET_BPF, static_cast<u64>(other)) == -EINVAL);
  CHECK(ioctl_event(fd, PERF_EVENT_IOC_SET_BPF, static_cast<u64>(program)) == 0);
  CHECK(ioctl_event(fd, PERF_EVENT_IOC_SET_BPF, static_cast<u64>(program)) == -EEXIST);
  CHECK(kernel().host.entry[SYS_getppid]);

  u32 query[6]{};  // struct perf_event_query_bpf: ids_len, prog_cnt, ids
  query[0] = 4;
  CHECK(ioctl_event(fd, PERF_EVENT_IOC_QUERY_BPF, ptr(query)) == 0);
  CHECK(query[1] == 1);
  CHECK(query[2] != 0);
  query[0] = 65;
  CHECK(ioctl_event(fd, PERF_EVENT_IOC_QUERY_BPF, ptr(query)) == -E2BIG);
  query[0] = 0;
  CHECK(ioctl_event(fd, PERF_EVENT_IOC_QUERY_BPF, ptr(query)) == 0);

  close(static_cast<int>(fd));
  kernel().system->files.reap();
  CHECK_FALSE(kernel().host.entry[SYS_getppid]);
}

TEST_CASE("buffers are mapped, shared and paused") {
  s64 fd = open_event(output_attr()), second = open_event(output_attr()), elsewhere = open_event(output_attr(), -1, 1);
  REQUIRE(fd >= 0);
  CHECK(map_event(fd, 3 * kPageSize, PROT_READ | PROT_WRITE, MAP_PRIVATE) == -EINVAL);
  CHECK(map_event(fd, 4 * kPageSize) == -EINVAL);
  CHECK(map_event(fd, 3 * kPageSize, PROT_READ | PROT_WRITE, MAP_SHARED, kPageSize) == -EINVAL);
  CHECK(ioctl_event(second, PERF_EVENT_IOC_SET_OUTPUT, static_cast<u64>(fd)) == -EINVAL);  // nothing mapped there yet
  s64 area = map_event(fd, 3 * kPageSize);
  REQUIRE(area > 0);
  auto* page = reinterpret_cast<perf_event_mmap_page*>(area);
  CHECK(page->data_offset == kPageSize);
  CHECK(page->data_size == 2 * kPageSize);
  CHECK(map_event(fd, 5 * kPageSize) == -EINVAL);
  CHECK(ioctl_event(fd, PERF_EVENT_IOC_PAUSE_OUTPUT, 1) == 0);
  CHECK(ioctl_event(fd, PERF_EVENT_IOC_PAUSE_OUTPUT, 0) == 0);
  CHECK(ioctl_event(second, PERF_EVENT_IOC_SET_OUTPUT, static_cast<u64>(fd)) == 0);
  CHECK(ioctl_event(second, PERF_EVENT_IOC_SET_OUTPUT, ~u64{0}) == 0);
  CHECK(ioctl_event(second, PERF_EVENT_IOC_SET_OUTPUT, 0) == -EBADF);
  CHECK(ioctl_event(fd, PERF_EVENT_IOC_SET_OUTPUT, static_cast<u64>(second)) == -EINVAL);
  CHECK(ioctl_event(elsewhere, PERF_EVENT_IOC_SET_OUTPUT, static_cast<u64>(fd)) == -EINVAL);
  CHECK(ioctl_event(fd, PERF_EVENT_IOC_SET_OUTPUT, static_cast<u64>(fd)) == -EINVAL);
  munmap(page, 3 * kPageSize);
}

TEST_CASE("a wakeup is seen once, and an idle buffer is not readable") {
  Kernel& k = kernel();
  s64 fd = open_event(output_attr());
  s64 area = map_event(fd, 2 * kPageSize);
  REQUIRE(area > 0);
  auto* page = reinterpret_cast<perf_event_mmap_page*>(area);
  auto event = find_perf_event(*k.system, k.task, static_cast<int>(fd));
  REQUIRE(event);
  auto produce = [&] {
    RunScope scope(k.system->probes->runner(), nullptr, nullptr, {}, 0);
    char text[] = "record";
    PerfSample sample;
    sample.raw = text;
    sample.raw_size = sizeof text;
    REQUIRE(perf_event_sample(&scope.run(), (*event)->state(), sample) == 0);
  };
  s64 set = epoll_create1(EPOLL_CLOEXEC);
  epoll_event interest{.events = EPOLLIN, .data = {.u64 = 7}};
  auto add = [&](int operation) {
    return k.call(SYS_epoll_ctl,
                  {static_cast<u64>(set), static_cast<u64>(operation), static_cast<u64>(fd), ptr(&interest)});
  };
  auto wait = [&] {
    epoll_event found[4];
    return k.call(SYS_epoll_wait, {static_cast<u64>(set), ptr(found), 4, 0, 0, 0});
  };
  auto polled = [&] {
    pollfd entry{static_cast<int>(fd), POLLIN, 0};
    return k.call(SYS_poll, {ptr(&entry), 1, 0, 0, 0, 0});
  };
  REQUIRE(add(EPOLL_CTL_ADD) == 0);
  CHECK(wait() == 0);
  CHECK(polled() == 0);
  produce();
  CHECK(wait() == 1);
  CHECK(wait() == 0);  // whether the data was consumed or not

  produce();
  produce();
  CHECK(wait() == 1);
  CHECK(wait() == 0);
  produce();
  CHECK(polled() == 1);
  CHECK(polled() == 0);
  CHECK(wait() == 0);
  produce();
  CHECK(add(EPOLL_CTL_MOD) == 0);
  CHECK(wait() == 0);  // epoll_ctl has asked already
  close(static_cast<int>(set));
  munmap(page, 2 * kPageSize);
}

TEST_CASE("poll and select ask the emulated file, and the kernel for all others") {
  Kernel& k = kernel();
  s64 hash = k.bpf(BPF_MAP_CREATE, map_attr(BPF_MAP_TYPE_HASH));
  s64 ring = k.bpf(BPF_MAP_CREATE, map_attr(BPF_MAP_TYPE_RINGBUF, 0, 0, 4096));
  REQUIRE(ring >= 0);
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  REQUIRE(write(ends[1], "x", 1) == 1);
  pollfd entries[] = {{static_cast<int>(hash), POLLIN, 0}, {ends[0], POLLIN, 0}, {static_cast<int>(ring), POLLIN, 0}};
  auto polled = [&] { return k.call(SYS_poll, {ptr(entries), 3, ~u64{0}, 0, 0, 0}); };
  CHECK(polled() == 2);
  CHECK(entries[0].revents == POLLERR);
  CHECK(entries[1].revents == POLLIN);
  CHECK(entries[2].revents == 0);
  fd_set read_set;
  FD_ZERO(&read_set);
  for (const pollfd& entry : entries) FD_SET(entry.fd, &read_set);
  CHECK(k.call(SYS_select, {1024, ptr(&read_set), 0, 0, 0, 0}) == 2);
  CHECK(FD_ISSET(hash, &read_set));
  CHECK(FD_ISSET(ends[0], &read_set));
  CHECK_FALSE(FD_ISSET(ring, &read_set));
  s64 set = epoll_create1(EPOLL_CLOEXEC);
  epoll_event interest{.events = EPOLLIN, .data = {.u64 = 7}}, found{};
  CHECK(k.call(SYS_epoll_ctl, {static_cast<u64>(set), EPOLL_CTL_ADD, static_cast<u64>(hash), ptr(&interest)}) == 0);
  CHECK(k.call(SYS_epoll_wait, {static_cast<u64>(set), ptr(&found), 1, ~u64{0}, 0, 0}) == 1);
  CHECK(found.events == EPOLLERR);
  CHECK(found.data.u64 == 7);
  for (s64 fd : {hash, ring, set, s64{ends[0]}, s64{ends[1]}}) close(static_cast<int>(fd));
  k.system->files.reap();
  CHECK_FALSE(k.system->files.has_conditions());
}

TEST_CASE("a mapping keeps the file of a closed descriptor") {
  Kernel& k = kernel();
  s64 ring = k.bpf(BPF_MAP_CREATE, map_attr(BPF_MAP_TYPE_RINGBUF, 0, 0, 4096));
  FileId id = *k.task.file_id(static_cast<int>(ring));
  s64 area = map_event(ring, kPageSize);
  REQUIRE(area > 0);
  close(static_cast<int>(ring));
  k.system->files.reap();
  CHECK(k.system->files.find(id));
  release_unmapped(*k.system);
  k.system->files.reap();
  CHECK(k.system->files.find(id));
  munmap(reinterpret_cast<void*>(area), kPageSize);
  release_unmapped(*k.system);
  k.system->files.reap();
  CHECK_FALSE(k.system->files.find(id));
}

TEST_CASE("mapped and closed rings do not pile up") {
  Kernel& k = kernel();
  size_t most = 0;
  for (int i = 0; i < 500; ++i) {
    s64 ring = k.bpf(BPF_MAP_CREATE, map_attr(BPF_MAP_TYPE_RINGBUF, 0, 0, 4096));
    s64 area = map_event(ring, kPageSize);
    REQUIRE(area > 0);
    close(static_cast<int>(ring));
    munmap(reinterpret_cast<void*>(area), kPageSize);
    most = std::max(most, k.system->files.held());
  }
  CHECK(most <= 64);
  release_unmapped(*k.system);
  k.system->files.reap();
  CHECK(k.system->files.held() == 0);
}

TEST_CASE("programs cannot be waited for") {
  s64 program = load_program(BPF_PROG_TYPE_TRACEPOINT);
  s64 set = epoll_create1(EPOLL_CLOEXEC);
  epoll_event interest{.events = EPOLLIN, .data = {.u64 = 7}};
  CHECK(kernel().call(SYS_epoll_ctl,
                      {static_cast<u64>(set), EPOLL_CTL_ADD, static_cast<u64>(program), ptr(&interest)}) == -EPERM);
  close(static_cast<int>(set));
}

TEST_CASE("links on perf events and raw tracepoints") {
  s64 program = load_program(BPF_PROG_TYPE_TRACEPOINT);
  bpf_attr attr{};
  attr.link_create.prog_fd = static_cast<u32>(program);
  attr.link_create.target_fd = ~0u;
  attr.link_create.attach_type = BPF_PERF_EVENT;
  CHECK(kernel().bpf(BPF_LINK_CREATE, attr) == -EBADF);
  s64 fd = open_event(attr_of(PERF_TYPE_TRACEPOINT, event_id("syscalls", "sys_enter_getpgrp")));
  attr.link_create.target_fd = static_cast<u32>(fd);
  s64 link = kernel().bpf(BPF_LINK_CREATE, attr);
  REQUIRE(link >= 0);
  CHECK(kernel().host.entry[SYS_getpgrp]);
  close(static_cast<int>(fd));
  kernel().system->files.reap();
  CHECK(kernel().host.entry[SYS_getpgrp]);  // the link holds the event
  close(static_cast<int>(link));
  kernel().system->files.reap();
  CHECK_FALSE(kernel().host.entry[SYS_getpgrp]);

  s64 raw = load_program(BPF_PROG_TYPE_RAW_TRACEPOINT);
  bpf_attr open{};
  open.raw_tracepoint.prog_fd = static_cast<u32>(raw);
  open.raw_tracepoint.name = ptr("sys_exit");
  link = kernel().bpf(BPF_RAW_TRACEPOINT_OPEN, open);
  REQUIRE(link >= 0);
  CHECK(kernel().host.exit.all());
  CHECK(kernel().bpf(BPF_RAW_TRACEPOINT_OPEN, open) == -EEXIST);
  close(static_cast<int>(link));
  kernel().system->files.reap();
  CHECK(kernel().host.exit.none());
}

}  // namespace
