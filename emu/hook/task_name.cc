// SPDX-License-Identifier: Apache-2.0
#include "emu/hook/task_name.h"

#include <sys/prctl.h>

#include <cstring>

#include "emu/base/proc_files.h"
#include "emu/hook/open_file.h"
#include "emu/hook/record.h"

namespace bpfemu {

namespace {

constexpr size_t kLongestName = 15;  // TASK_COMM_LEN - 1

// Facts may be from before somebody wrote to /proc/PID/comm.
void set_name(TaskFacts& task, const std::string& name) {
  std::memset(task.comm, 0, sizeof task.comm);
  name.copy(task.comm, sizeof task.comm - 1);
}

}  // namespace

bool rename_awaited(const Occasion& occasion) {
  return occasion.awaited(Hook::set_task_comm) || occasion.awaited(Hook::trace_task_rename);
}

void pass_rename(Occasion& occasion, const TaskFacts& task, const std::string& name, bool by_exec) {
  const auto task_struct = [&] { return occasion.services().task_struct_of(task); };
  const auto& show_name = occasion.services().show_name;
  if (rename_awaited(occasion)) show_name(task.tid, task.comm);  // the host's kernel may be ahead
  const auto text = [&] {
    const u64 at = occasion.place_zeroed(name.size() + 1);
    if (at) std::memcpy(reinterpret_cast<void*>(at), name.data(), name.size());
    return at;
  };
  const Passing set_task_comm = occasion.enter(Hook::set_task_comm, [&](Arguments& a) {
    a.lazily(0, task_struct);
    a.lazily(1, text);
    a[2] = by_exec;
  });
  occasion.trace(
      Hook::trace_task_rename,
      [&](Arguments& a) {
        a.lazily(0, task_struct);
        a.lazily(1, text);
      },
      [&](Record& r) {
        const auto adjustment = read_proc(task.tid, "oom_score_adj");
        r.set("pid", task.tid);
        r.comm("oldcomm", task);
        r.text("newcomm", name.substr(0, kLongestName));
        r.set("oom_score_adj", adjustment ? ::strtol(adjustment->c_str(), nullptr, 10) : 0);
      });
  if (rename_awaited(occasion)) show_name(task.tid, name);
  set_task_comm.leave(0);
  show_name(task.tid, std::nullopt);
}

std::optional<TaskFacts> renamed_by_writing(Occasion& occasion, OpenFile& file) {
  if (!rename_awaited(occasion)) return std::nullopt;
  const FileFacts* facts = file.facts();
  if (!facts || facts->mount->type != "proc" || !facts->path.ends_with("/comm")) return std::nullopt;
  // "/PID/comm", "/PID/task/TID/comm"
  const size_t end = facts->path.size() - std::strlen("/comm"), begin = facts->path.rfind('/', end - 1) + 1;
  const auto tid = static_cast<pid_t>(::strtol(facts->path.substr(begin, end - begin).c_str(), nullptr, 10));
  return named_facts(occasion, tid);
}

std::optional<TaskFacts> named_facts(const Occasion& occasion, pid_t tid) {
  auto task = occasion.services().host.facts(tid);
  if (!task) return std::nullopt;
  set_name(*task, name_of(tid));
  return *task;
}

std::string name_of(pid_t tid) {
  std::string name = read_proc(tid, "comm").value_or("");
  if (name.ends_with('\n')) name.pop_back();
  return name;
}

void pass_own_rename(Transit& call) {
  if (call.arg(0) != PR_SET_NAME || !rename_awaited(call)) return;
  const auto task = named_facts(call, call.task().tid());
  auto name = call.task().read_string(call.arg(1), kLongestName + 1);
  if (!name && name.error().value == ENAMETOOLONG) {
    std::string longest(kLongestName, 0);
    if (call.task().read(call.arg(1), longest.data(), longest.size())) name = longest;
  }
  if (!task || !name) return;
  pass_rename(call, *task, name->substr(0, kLongestName), false);
}

}  // namespace bpfemu
