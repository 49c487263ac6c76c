// SPDX-License-Identifier: Apache-2.0
// task, task_file and task_vma: threads, their open files, their mappings.
#include <fmt/format.h>

#include <algorithm>

#include "emu/base/proc_files.h"
#include "emu/iter/targets.h"
#include "emu/iter/task_walk.h"

namespace bpfemu {

namespace {

class ThreadsWalk : public IterWalk {
 public:
  ThreadsWalk(IterWorld&, TaskWalk tasks) : tasks_(std::move(tasks)) {}
  Result<bool> start() override { return (task_ = tasks_.start(false)).has_value(); }
  bool next() override { return (task_ = tasks_.next(false)).has_value(); }
  void show(std::span<u64> words, Run& run) override {
    if (task_) words[0] = tasks_.task_struct(*task_, static_cast<pid_t>(run.task->tid));
  }

 private:
  TaskWalk tasks_;
  std::optional<TaskFacts> task_;
};

// What each thread has many of. What was seen last of a thread's is kept from read to read.
class PerThreadWalk : public IterWalk {
 public:
  PerThreadWalk(IterWorld& world, TaskWalk tasks) : world_(world), tasks_(std::move(tasks)) {}
  Result<bool> start() override {
    const u64 before = tasks_.number();
    task_ = tasks_.start(true);
    if (task_) {
      tasks_.number() == before ? resume() : rewind();
      list(*task_);
    }
    return settle();
  }
  bool next() override {
    advance();
    return settle();
  }

 protected:
  IterWorld& world() { return world_; }
  const std::optional<TaskFacts>& task() const { return task_; }
  u64 task_struct(const Run& run) const {
    return task_ ? tasks_.task_struct(*task_, static_cast<pid_t>(run.task->tid)) : 0;
  }

 private:
  // Looks at what the thread has.
  virtual void list(const TaskFacts& task) = 0;
  virtual void rewind() = 0;
  // A new read goes on with the same thread.
  virtual void resume() {}
  // Is there one at the position or behind it? Then that is where the walk is.
  virtual bool find(const TaskFacts& task) = 0;
  virtual void advance() = 0;
  virtual void ended(TaskWalk&) {}

  bool settle() {
    while (task_ && !find(*task_)) {
      // One that is walked alone is found again by the next read.
      if (tasks_.scope() == TaskScope::kThread) {
        task_.reset();
        return false;
      }
      rewind();
      task_ = tasks_.next(true);
      if (task_) list(*task_);
    }
    if (!task_) ended(tasks_);
    return task_.has_value();
  }

  IterWorld& world_;
  TaskWalk tasks_;
  std::optional<TaskFacts> task_;
};

class FilesWalk : public PerThreadWalk {
 public:
  using PerThreadWalk::PerThreadWalk;
  void show(std::span<u64> words, Run& run) override {
    words[0] = task_struct(run);
    if (!task()) return;
    words[1] = static_cast<u32>(fd_);
    words[2] = file().address();
  }

 private:
  void rewind() override { fd_ = 0; }
  void list(const TaskFacts& task) override { descriptors_ = open_descriptors(task.tid); }
  bool find(const TaskFacts& task) override {
    for (int fd : descriptors_) {
      if (fd < fd_) continue;
      auto facts = world().objects.mounts.describe(task.tid, fd);
      if (!facts) continue;  // closed meanwhile
      facts_ = std::move(*facts);
      fd_ = fd;
      return true;
    }
    return false;
  }
  void advance() override { ++fd_; }

  KernelObject file() {
    const KernelObject file = world().objects.files.file(facts_);
    if (facts_.object) file.set("private_data", world().bpf.object(*facts_.object).address());
    return file;
  }

  std::vector<int> descriptors_;
  int fd_ = 0;
  FileFacts facts_;
};

class AreasWalk : public PerThreadWalk {
 public:
  using PerThreadWalk::PerThreadWalk;
  void show(std::span<u64> words, Run& run) override {
    words[0] = task_struct(run);
    if (!task()) return;
    const auto known = world().objects.tasks.task_at(words[0]);
    words[1] = world().objects.memory.object(task()->tgid, known ? known->mm : 0, *area_).address();
  }

 private:
  void pause() override { paused_at_ = area_->end; }
  void rewind() override { at_ = 0; }
  void resume() override { at_ = paused_at_ - 1; }
  void list(const TaskFacts& task) override { areas_ = MemoryObjects::areas(task.tid); }
  bool find(const TaskFacts&) override {
    area_ = std::ranges::find_if(areas_, [this](const AreaFacts& area) { return area.end > at_; });
    if (area_ == areas_.end()) return false;
    at_ = area_->start;
    return true;
  }
  void advance() override { at_ = area_->end; }
  void ended(TaskWalk& tasks) override { tasks.leave(); }

  std::vector<AreaFacts> areas_;
  std::vector<AreaFacts>::iterator area_;
  u64 at_ = 0;         // addresses below were seen
  u64 paused_at_ = 0;  // end of the mapping where the last read ended
};

template <class WalkOf>
class TasksSubject : public IterSubject {
 public:
  TasksSubject(IterWorld& world, TaskScope scope, u32 number) : world_(world), scope_(scope), number_(number) {}
  Result<std::unique_ptr<IterWalk>> walk(Task& reader) override {
    return std::make_unique<WalkOf>(world_, TaskWalk(world_, reader, scope_, number_));
  }
  void fill_info(bpf_link_info& info) const override {
    if (scope_ == TaskScope::kThread) info.iter.task.tid = number_;
    if (scope_ == TaskScope::kProcess) info.iter.task.pid = number_;
  }
  std::string fdinfo() const override {
    switch (scope_) {
      case TaskScope::kThread: return fmt::format("task_type:\tTID\ntid:\t{}\n", number_);
      case TaskScope::kProcess: return fmt::format("task_type:\tPID\npid:\t{}\n", number_);
      default: return "task_type:\tALL\n";
    }
  }

 private:
  IterWorld& world_;
  TaskScope scope_;
  u32 number_;
};

// The process of a pidfd, as `task` knows it; 0: it is gone. EBADF (kernel: pidfd_get_pid).
Result<u32> process_of(const IterRequest& request, u32 pidfd) {
  const std::string fields = "\n" + read_proc(request.task.tid(), fmt::format("fdinfo/{}", pidfd).c_str()).value_or("");
  if (fields.find("\nPid:") == fields.npos) return fail(EBADF);
  const auto pid = static_cast<pid_t>(status_field(fields, "Pid", 10));
  const auto facts = request.world.host.facts(pid);
  return static_cast<u32>(facts && facts->local_tgid ? facts->local_tgid : std::max(pid, 0));
}

// Kernel: bpf_iter_attach_task.
template <class WalkOf>
Result<std::unique_ptr<IterSubject>> attach(const IterRequest& request) {
  const auto& wanted = request.info.task;
  if (!!wanted.tid + !!wanted.pid + !!wanted.pid_fd > 1) return fail(EINVAL);
  TaskScope scope = TaskScope::kAll;
  u32 number = 0;
  if (wanted.tid) scope = TaskScope::kThread, number = wanted.tid;
  if (wanted.pid) scope = TaskScope::kProcess, number = wanted.pid;
  if (wanted.pid_fd) scope = TaskScope::kProcess, number = TRY(process_of(request, wanted.pid_fd));
  return std::make_unique<TasksSubject<WalkOf>>(request.world, scope, number);
}

}  // namespace

Result<std::unique_ptr<IterSubject>> task_subject(const IterRequest& request) {
  return attach<ThreadsWalk>(request);
}
Result<std::unique_ptr<IterSubject>> task_file_subject(const IterRequest& request) {
  return attach<FilesWalk>(request);
}
Result<std::unique_ptr<IterSubject>> task_vma_subject(const IterRequest& request) {
  return attach<AreasWalk>(request);
}

}  // namespace bpfemu
