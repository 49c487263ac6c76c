// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/bpf_attrs.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "tests/fuzz/samples.h"

namespace bpfemu::fuzz {

namespace {

constexpr u64 kCpus = 2;

u32 small(Random& random) {
  return static_cast<u32>(random.below(9));
}

// Either a map that is spared the machine's memory, or one that no machine has the memory for.
void fill_map_create(Source& s, bpf_attr& a) {
  static constexpr u32 sizes[] = {0, 1, 4, 4, 4, 8, 8, 8, 12, 16, 24, 64, 300, 4096};
  static constexpr u32 flags[] = {0,
                                  0,
                                  0,
                                  0,
                                  BPF_F_NO_PREALLOC,
                                  BPF_F_MMAPABLE,
                                  BPF_F_RDONLY,
                                  BPF_F_WRONLY,
                                  BPF_F_RDONLY_PROG,
                                  BPF_F_NUMA_NODE,
                                  BPF_F_NO_COMMON_LRU,
                                  BPF_F_INNER_MAP};
  Random& r = s.random;
  a.map_type = static_cast<u32>(r.below(35));
  bool ring = a.map_type == BPF_MAP_TYPE_RINGBUF || a.map_type == BPF_MAP_TYPE_USER_RINGBUF;
  a.key_size = ring ? 0 : r.pick(sizes);
  a.value_size = ring ? 0 : r.pick(sizes);
  a.max_entries = ring ? 4096u << r.below(4) : r.one_in(8) ? static_cast<u32>(r.odd()) : 1 + small(r);
  a.map_flags = r.pick(flags) | (a.map_type == BPF_MAP_TYPE_LPM_TRIE ? BPF_F_NO_PREALLOC : 0);
  if (r.one_in(4)) a.inner_map_fd = s.pool.fd(r, Kind::kMap);
  if (r.one_in(4)) std::memcpy(a.map_name, "name", 5);
  if (r.one_in(4)) {
    a.btf_fd = s.pool.fd(r, Kind::kBtf);
    a.btf_key_type_id = small(r);
    a.btf_value_type_id = small(r);
  }
  if (r.one_in(16)) a.map_extra = r.odd();
}

void fill_element(Source& s, bpf_attr& a) {
  const Descriptor& map = s.pool.pick(s.random, Kind::kMap);
  a.map_fd = static_cast<u32>(map.fd);
  u64 value = std::max<u64>(map.value_size, 4);
  a.key = s.buffer(map.key_size);
  // Per-CPU maps give each CPU's, rounded up; what a map gives less than that, a shorter buffer would show.
  a.value = s.buffer((value + 7) / 8 * 8 * kCpus);
  if (s.random.one_in(4)) a.flags = s.random.below(6);
  if (s.random.one_in(3)) {
    u32 index = small(s.random);
    u32 fd = s.pool.fd(s.random, s.random.pick({Kind::kMap, Kind::kProgram, Kind::kPerf}));
    if (s.memory.holds(a.key, 4)) std::memcpy(reinterpret_cast<void*>(a.key), &index, sizeof index);
    if (s.memory.holds(a.value, 4)) std::memcpy(reinterpret_cast<void*>(a.value), &fd, sizeof fd);
  }
}

// Lookups of next keys write the key's size.
void fill_next_key(Source& s, bpf_attr& a) {
  const Descriptor& map = s.pool.pick(s.random, Kind::kMap);
  a.map_fd = static_cast<u32>(map.fd);
  a.key = s.random.one_in(4) ? 0 : s.buffer(map.key_size);
  a.next_key = s.buffer(map.key_size);
}

void fill_delete(Source& s, bpf_attr& a) {
  const Descriptor& map = s.pool.pick(s.random, Kind::kMap);
  a.map_fd = static_cast<u32>(map.fd);
  a.key = s.buffer(map.key_size);
}

void fill_batch(Source& s, bpf_attr& a) {
  const Descriptor& map = s.pool.pick(s.random, Kind::kMap);
  u64 count = small(s.random);
  a.batch.map_fd = static_cast<u32>(map.fd);
  a.batch.count = static_cast<u32>(s.random.one_in(10) ? s.random.odd() : count);
  a.batch.in_batch = s.random.one_in(2) ? 0 : s.buffer(std::max(map.key_size, 4u));
  a.batch.out_batch = s.buffer(std::max(map.key_size, 4u));
  a.batch.keys = s.buffer(count * map.key_size);
  a.batch.values = s.buffer(count * ((std::max(map.value_size, 4u) + 7) / 8 * 8) * kCpus);
}

void fill_prog_load(Source& s, bpf_attr& a) {
  static constexpr u32 common[] = {
      BPF_PROG_TYPE_SOCKET_FILTER, BPF_PROG_TYPE_KPROBE,    BPF_PROG_TYPE_TRACEPOINT,     BPF_PROG_TYPE_XDP,
      BPF_PROG_TYPE_PERF_EVENT,    BPF_PROG_TYPE_SCHED_CLS, BPF_PROG_TYPE_RAW_TRACEPOINT, BPF_PROG_TYPE_TRACING};
  Random& r = s.random;
  auto insns = sample_program(r, static_cast<int>(s.pool.fd(r, Kind::kMap)));
  if (!r.one_in(3)) mutate(r, insns);
  a.prog_type = r.one_in(4) ? static_cast<u32>(r.below(34)) : r.pick(common);
  a.insns = s.memory.copy(insns.data(), insns.size() * sizeof(bpf_insn));
  a.insn_cnt = static_cast<u32>(r.one_in(50) ? r.odd() : insns.size());
  a.license = s.text("GPL");
  if (r.one_in(2)) {
    u64 size = r.pick({128ul, 256ul, 1024ul, 4096ul, 65536ul});
    a.log_level = static_cast<u32>(r.below(8));
    a.log_size = static_cast<u32>(r.one_in(16) ? r.odd() : size);
    a.log_buf = s.memory.buffer(size);
  }
  if (r.one_in(8)) a.prog_flags = 1u << r.below(7);
  if (r.one_in(8)) a.expected_attach_type = static_cast<u32>(r.below(45));
  if (r.one_in(4)) std::memcpy(a.prog_name, "prog", 5);
  if (r.one_in(4)) {
    const bpf_func_info func[] = {{0, 6}, {3, 6}};
    const bpf_line_info line[] = {{0, 1, 1, 1 << 10}, {1, 1, 1, 2 << 10}};
    a.prog_btf_fd = s.pool.fd(r, Kind::kBtf);
    a.func_info = s.memory.copy(func, sizeof func);
    a.func_info_rec_size = sizeof *func;
    a.func_info_cnt = 1 + static_cast<u32>(r.below(2));
    a.line_info = s.memory.copy(line, sizeof line);
    a.line_info_rec_size = sizeof *line;
    a.line_info_cnt = static_cast<u32>(r.below(3));
  }
  if (a.prog_type == BPF_PROG_TYPE_TRACING || r.one_in(16)) {
    a.attach_btf_id = static_cast<u32>(r.below(150'000));
    a.expected_attach_type = static_cast<u32>(BPF_TRACE_RAW_TP + r.below(4));
    if (r.one_in(4)) a.attach_prog_fd = s.pool.fd(r, Kind::kProgram);
  }
  if (r.one_in(8)) a.fd_array = s.buffer(16);
}

void fill_path(Source& s, bpf_attr& a) {
  static constexpr Kind kinds[] = {Kind::kMap, Kind::kProgram, Kind::kLink, Kind::kBtf};
  a.pathname = s.text(random_path(s.random));
  a.bpf_fd = s.pool.fd(s.random, s.random.pick(kinds));
}

void fill_get(Source& s, bpf_attr& a) {
  a.pathname = s.text(random_path(s.random));
  if (s.random.one_in(4)) a.file_flags = s.random.pick({BPF_F_RDONLY, BPF_F_WRONLY});
}

void fill_attach(Source& s, bpf_attr& a) {
  a.target_fd = s.pool.fd(s.random, Kind::kMap);
  a.attach_bpf_fd = s.pool.fd(s.random, Kind::kProgram);
  a.attach_type = static_cast<u32>(s.random.below(45));
}

void fill_test_run(Source& s, bpf_attr& a) {
  Random& r = s.random;
  a.test.prog_fd = s.pool.fd(r, Kind::kProgram);
  u32 in = r.pick({0u, 13u, 14u, 64u, 100u, 1500u, 4000u, 9000u}), out = r.pick({0u, 10u, 64u, 2000u});
  if (r.one_in(4)) {
    a.test.ctx_size_in = r.pick({8u, 20u, 24u, 192u, 500u});
    a.test.ctx_in = s.buffer(a.test.ctx_size_in);
    a.test.ctx_size_out = r.pick({0u, 8u, 24u, 192u});
    a.test.ctx_out = s.buffer(a.test.ctx_size_out);
  } else {
    a.test.data_size_in = in;
    a.test.data_in = s.buffer(in);
    a.test.data_size_out = out;
    a.test.data_out = s.buffer(out);
  }
  a.test.repeat = static_cast<u32>(r.below(4));
  if (r.one_in(16)) a.test.flags = static_cast<u32>(r.below(4));
  if (r.one_in(16)) a.test.batch_size = static_cast<u32>(r.odd());
}

void fill_id(Source& s, bpf_attr& a) {
  a.start_id = static_cast<u32>(s.random.odd());
  if (s.random.one_in(8)) a.open_flags = s.random.pick({BPF_F_RDONLY, BPF_F_WRONLY});
}

void fill_info(Source& s, bpf_attr& a) {
  static constexpr Kind kinds[] = {Kind::kMap, Kind::kProgram, Kind::kBtf, Kind::kLink};
  static constexpr u32 sizes[] = {0, 8, 40, 64, 80, 88, 104, 200, 232, 300, 4096, 5000};
  a.info.bpf_fd = s.pool.fd(s.random, s.random.pick(kinds));
  a.info.info_len = s.random.pick(sizes);
  a.info.info = s.buffer(a.info.info_len);
  // Counts and buffers that the info struct itself points to.
  if (s.random.one_in(4) && a.info.info_len >= 200 && s.memory.holds(a.info.info, a.info.info_len)) {
    std::memset(reinterpret_cast<void*>(a.info.info), 0, a.info.info_len);
    for (u64 field = 0; field < 25; ++field) {
      u64 word = s.random.one_in(3) ? s.memory.buffer(64) : s.random.below(9);
      if (s.random.one_in(3)) std::memcpy(reinterpret_cast<u8*>(a.info.info) + field * 8, &word, sizeof word);
    }
  }
}

void fill_query(Source& s, bpf_attr& a) {
  a.query.target_fd = s.pool.fd(s.random, Kind::kMap);
  a.query.attach_type = static_cast<u32>(s.random.below(45));
  a.query.prog_cnt = small(s.random);
  a.query.prog_ids = s.buffer(a.query.prog_cnt * sizeof(u32));
}

void fill_raw_tracepoint(Source& s, bpf_attr& a) {
  static constexpr const char* names[] = {"sys_enter", "sys_exit", "sched_process_fork", "nothing", ""};
  a.raw_tracepoint.name = s.random.one_in(4) ? 0 : s.text(s.random.pick(names));
  a.raw_tracepoint.prog_fd = s.pool.fd(s.random, Kind::kProgram);
}

void fill_btf_load(Source& s, bpf_attr& a) {
  auto blob = sample_btf();
  if (!s.random.one_in(3)) mutate(s.random, blob);
  a.btf = s.memory.copy(blob.data(), blob.size());
  a.btf_size = static_cast<u32>(s.random.one_in(50) ? s.random.odd() : blob.size());
  if (s.random.one_in(3)) {
    a.btf_log_level = static_cast<u32>(s.random.below(8));
    a.btf_log_size = s.random.pick({128u, 1024u, 8192u});
    a.btf_log_buf = s.buffer(a.btf_log_size);
  }
}

void fill_task_query(Source& s, bpf_attr& a) {
  a.task_fd_query.pid = static_cast<u32>(getpid());
  a.task_fd_query.fd = s.pool.fd(s.random, s.random.pick({Kind::kPerf, Kind::kLink}));
  a.task_fd_query.buf_len = small(s.random) * 4;
  a.task_fd_query.buf = s.buffer(a.task_fd_query.buf_len);
}

void fill_freeze(Source& s, bpf_attr& a) {
  a.map_fd = s.pool.fd(s.random, Kind::kMap);
}

void fill_link_create(Source& s, bpf_attr& a) {
  static constexpr u32 types[] = {BPF_PERF_EVENT, BPF_PERF_EVENT,         BPF_TRACE_RAW_TP, BPF_TRACE_FENTRY,
                                  BPF_TRACE_ITER, BPF_TRACE_KPROBE_MULTI, BPF_XDP,          BPF_CGROUP_DEVICE};
  a.link_create.prog_fd = s.pool.fd(s.random, Kind::kProgram);
  a.link_create.attach_type = s.random.pick(types);
  if (a.link_create.attach_type == BPF_PERF_EVENT) a.link_create.target_fd = s.pool.fd(s.random, Kind::kPerf);
  if (s.random.one_in(4)) a.link_create.perf_event.bpf_cookie = s.random.odd();
  if (a.link_create.attach_type == BPF_TRACE_KPROBE_MULTI) {
    u64 name = s.text("do_sys_openat2");
    a.link_create.kprobe_multi.cnt = 1;
    a.link_create.kprobe_multi.syms = s.memory.copy(&name, sizeof name);
    a.link_create.kprobe_multi.addrs = 0;
  }
}

void fill_link_update(Source& s, bpf_attr& a) {
  a.link_update.link_fd = s.pool.fd(s.random, Kind::kLink);
  a.link_update.new_prog_fd = s.pool.fd(s.random, Kind::kProgram);
  if (s.random.one_in(4)) {
    a.link_update.flags = BPF_F_REPLACE;
    a.link_update.old_prog_fd = s.pool.fd(s.random, Kind::kProgram);
  }
}

void fill_link(Source& s, bpf_attr& a) {
  a.link_detach.link_fd = s.pool.fd(s.random, Kind::kLink);
}
void fill_stats(Source&, bpf_attr&) {}

void fill_bind(Source& s, bpf_attr& a) {
  a.prog_bind_map.prog_fd = s.pool.fd(s.random, Kind::kProgram);
  a.prog_bind_map.map_fd = s.pool.fd(s.random, Kind::kMap);
}

// In the order of the commands' numbers.
constexpr void (*kFill[])(Source&, bpf_attr&) = {
    fill_map_create, fill_element, fill_element,    fill_delete,  fill_next_key,    fill_prog_load,
    fill_path,       fill_get,     fill_attach,     fill_attach,  fill_test_run,    fill_id,
    fill_id,         fill_id,      fill_id,         fill_info,    fill_query,       fill_raw_tracepoint,
    fill_btf_load,   fill_id,      fill_task_query, fill_element, fill_freeze,      fill_id,
    fill_batch,      fill_batch,   fill_batch,      fill_batch,   fill_link_create, fill_link_update,
    fill_id,         fill_id,      fill_stats,      fill_link,    fill_link,        fill_bind};

}  // namespace

const Descriptor& Pool::pick(Random& random, Kind kind) const {
  static constexpr Descriptor none{-1, Kind::kMap}, not_ours{0, Kind::kMap};
  if (open_.empty() || random.one_in(40)) return random.one_in(2) ? none : not_ours;
  size_t start = random.below(open_.size());
  if (random.one_in(40)) return open_[start];
  for (size_t i = 0; i < open_.size(); ++i) {
    const Descriptor& d = open_[(start + i) % open_.size()];
    if (d.kind == kind) return d;
  }
  return none;
}

void Pool::close_one(Random& random) {
  if (open_.empty()) return;
  std::swap(open_[random.below(open_.size())], open_.back());
  close(open_.back().fd);
  open_.pop_back();
}

void Pool::close_all() {
  for (const Descriptor& d : open_) close(d.fd);
  open_.clear();
}

u64 Source::buffer(u64 size) {
  if (random.one_in(60)) return random.odd();
  if (random.one_in(60) && size) return memory.buffer(random.below(size));
  return memory.buffer(size);
}

const char* random_path(Random& random) {
  static constexpr const char* paths[] = {"/sys/fs/bpf/a",     "/sys/fs/bpf/b",   "/sys/fs/bpf/d", "/sys/fs/bpf/d/a",
                                          "/sys/fs/bpf/",      "/sys/fs/bpf/x.y", "/tmp/none",     "",
                                          "/sys/fs/bpf/d/../a"};
  return random.pick(paths);
}

bpf_attr plausible_attr(Source& source, u32 command) {
  bpf_attr attr{};
  if (command < std::size(kFill)) kFill[command](source, attr);
  return attr;
}

}  // namespace bpfemu::fuzz
