// SPDX-License-Identifier: Apache-2.0
// The members of task_struct that cost system calls at each event.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <tuple>

#include "emu/base/proc_files.h"
#include "emu/kernel/task_objects.h"

namespace bpfemu {

namespace {

constexpr u32 kInlineFiles = 64;  // kernel: NR_OPEN_DEFAULT

}  // namespace

// Few descriptors lie in files_struct itself, as many in a table of their own (kernel: struct fdtable).
void TaskObjects::show_files(Block& block, const TaskFacts& facts) {
  const KernelObject files = files_.open_files(facts.tgid);
  block.task.set("files", files.address());
  files.set("fdt", files.address("fdtab"));
  const std::vector<int> open = open_descriptors(facts.tgid);
  const u32 most = open.empty() ? 0 : static_cast<u32>(open.back()) + 1;
  u64 table = files.address("fd_array"), bits = files.address("open_fds_init");
  if (!table || !bits) return;
  u32 room = kInlineFiles;
  if (most > room) {
    while (room < most) room *= 2;
    const u64 size = room * sizeof(u64) + room / 8;
    table = space_.bytes(fmt::format("fd {}", facts.tgid), static_cast<u32>(size));
    bits = table + room * sizeof(u64);
    if (!table) return;
  }
  std::memset(reinterpret_cast<void*>(table), 0, room * sizeof(u64));
  std::memset(reinterpret_cast<void*>(bits), 0, room / 8);
  files.set("fdtab.max_fds", room);
  files.set("fdtab.fd", table);
  files.set("fdtab.open_fds", bits);
  for (int fd : open) {
    const auto file = mounts_.describe(facts.tgid, fd);
    if (!file) continue;
    const u64 number = static_cast<u32>(fd);
    store(reinterpret_cast<void*>(table + number * sizeof(u64)), files_.file(*file).address());
    *reinterpret_cast<u8*>(bits + number / 8) |= static_cast<u8>(1 << number % 8);
  }
}

void TaskObjects::show_folders(Block& block, const TaskFacts& facts) {
  const KernelObject fs = space_.object(space_.structure("fs_struct"), fmt::format("{}", facts.tgid));
  block.task.set("fs", fs.address());
  for (const auto& [link, mnt, dentry] : {std::tuple{"cwd", "pwd.mnt", "pwd.dentry"}, {"root", "root.mnt", "root.dentry"}}) {
    const auto folder = mounts_.describe_link(facts.tgid, link);
    if (folder) files_.set_path(fs, mnt, dentry, *folder);
  }
  const std::string status = read_proc(facts.tid, "status").value_or("");
  fs.set("umask", static_cast<s32>(status_field(status, "Umask", 8)));
}

void TaskObjects::show_times(Block& block, const TaskFacts& facts) {
  const std::string stat = read_proc(facts.tgid, fmt::format("task/{}/stat", facts.tid).c_str()).value_or("");
  const std::string status = read_proc(facts.tgid, fmt::format("task/{}/status", facts.tid).c_str()).value_or("");
  const std::string runs = read_proc(facts.tgid, fmt::format("task/{}/schedstat", facts.tid).c_str()).value_or("");
  const auto fields = stat_fields(stat);
  const u64 tick_ns = 1'000'000'000 / static_cast<u64>(::sysconf(_SC_CLK_TCK));
  // proc(5) counts from 1, `fields` begins with its third.
  auto field = [&](size_t number) {
    return number - 3 < fields.size() ? ::strtoull(std::string(fields[number - 3]).c_str(), nullptr, 10) : u64{0};
  };
  const KernelObject& task = block.task;
  task.set("min_flt", u64{field(10)});
  task.set("maj_flt", u64{field(12)});
  task.set("utime", u64{field(14) * tick_ns});
  task.set("stime", u64{field(15) * tick_ns});
  task.set("nvcsw", status_field(status, "voluntary_ctxt_switches", 10));
  task.set("nivcsw", status_field(status, "nonvoluntary_ctxt_switches", 10));
  task.set("se.sum_exec_runtime", u64{::strtoull(runs.c_str(), nullptr, 10)});
}

// The queue of the CPU that the task is on, and which has it at least. Who else runs there is nobody of the tree's.
void TaskObjects::show_run_queue(Block& block, const TaskFacts& facts) {
  const KernelObject queue = space_.object(space_.structure("cfs_rq"), fmt::format("{}", facts.cpu));
  const RunQueue runnable = runnable_on_ ? runnable_on_(facts.cpu) : RunQueue();
  queue.set("nr_running", std::max(1u, runnable.all));
  queue.set("h_nr_running", std::max(1u, runnable.all));
  queue.set("idle_nr_running", runnable.idle);
  queue.set("idle_h_nr_running", runnable.idle);
  block.task.set("se.cfs_rq", queue.address());
}

}  // namespace bpfemu
