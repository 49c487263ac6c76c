// SPDX-License-Identifier: Apache-2.0
// On what occasion hooks are passed: something happens to a task, and whoever tells of it says which hooks lie on the way.
#pragma once

#include <algorithm>
#include <array>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "emu/base/log.h"
#include "emu/hook/event.h"
#include "emu/hook/hook.h"
#include "emu/kernel/file_objects.h"
#include "emu/kernel/kernel_data.h"
#include "emu/kernel/object_space.h"
#include "emu/kernel/sockets.h"
#include "emu/ports/host.h"

namespace bpfemu {

// Who listens to hooks.
class HookSink {
 public:
  virtual ~HookSink() = default;
  virtual bool awaited(Hook hook, Side side) const = 0;
  // Which arguments the programs there look at, on either side.
  virtual Arguments::Mask looked_at(Hook hook) const = 0;
  // How many listeners there have ever been: who came later took no hold of a return.
  virtual u64 listeners() const = 0;
  virtual void passed(Hook hook, Side side, const Event& event) = 0;
  // What the programs there answer: 0, or what the first says that says anything else.
  virtual u64 asked(Hook hook, Side side, const Event& event) = 0;
};

// Pages of arena for what arguments point to, one occasion at a time each.
class OccasionMemory {
 public:
  explicit OccasionMemory(Arena& arena) : arena_(arena) {}
  ~OccasionMemory();
  // 0: no memory.
  u64 take();
  void give_back(u64 page) { free_.push_back(page); }
  static constexpr u64 kSize = 4096;

 private:
  Arena& arena_;
  std::vector<u64> free_;
  std::vector<Extent> all_;
};

class Sleepers;
class ThreadWords;
class SocketOps;
class SocketWatch;

// What telling needs of the model.
struct HookServices {
  Host& host;
  Unmodelled& unmodelled;
  const KernelData& kernel;
  ObjectSpace& objects;
  Mounts& mounts;
  FileObjects& files;
  OccasionMemory& memory;
  Sockets& sockets;
  SocketWatch& socket_watch;
  Sleepers& sleepers;
  ThreadWords& thread_words;
  SocketOps* socket_ops = nullptr;            // programs of cgroups that TCP asks; null: nobody holds any
  std::function<u64(pid_t tid)> task_struct;  // arena address, 0: it is gone
  std::function<u64(const TaskFacts&)> task_struct_of;
  // By which name programs see the thread from now on; none: by its own again.
  std::function<void(pid_t tid, const std::optional<std::string>& name)> show_name;
};

class Occasion;

// A function that was entered and will return. Without listeners it is nothing.
class Passing {
 public:
  Passing() = default;
  Passing(Occasion& occasion, Hook hook, const Arguments& arguments, u64 listeners)
      : occasion_(&occasion), hook_(hook), arguments_(arguments), listeners_(listeners) {}
  // To those who listened when it was entered. Returns come in the order of the statements: the innermost first.
  void leave(s64 result) const;

 private:
  Occasion* occasion_ = nullptr;
  Hook hook_{};
  Arguments arguments_;
  u64 listeners_ = 0;
};

class Occasion {
 public:
  Occasion(HookSink& sink, const HookServices& services, const Event& event)
      : sink_(sink), services_(services), event_(event) {}
  // What happens to another task, or at another time, on the same occasion.
  Occasion(const Occasion& part_of, const Event& event) : Occasion(part_of.sink_, part_of.services_, event) {}
  ~Occasion();
  Occasion(const Occasion&) = delete;
  Occasion& operator=(const Occasion&) = delete;

  Task& task() const { return *event_.task; }
  const Event& event() const { return event_; }
  const HookServices& services() const { return services_; }
  bool awaited(Hook hook) const { return sink_.awaited(hook, Side::kEntry) || sink_.awaited(hook, Side::kReturn); }
  // Can a program there deny what happens?
  bool decided(Hook hook) const { return sink_.awaited(hook, Side::kModify) || sink_.awaited(hook, Side::kModule); }

  // A function is entered. `fill(Arguments&)` is called only when somebody listens.
  template <class Fill>
  Passing enter(Hook hook, Fill&& fill) {
    if (denial_ || !awaited(hook)) return {};
    Arguments arguments(sink_.looked_at(hook));
    fill(arguments);
    return enter_with(hook, arguments);
  }
  // A function asks the security modules, and returns. False: a program has denied it, with which nothing more is
  // passed on the way that is told. Modules are asked with the function's own arguments, or once with each of
  // `modules`.
  template <class Fill, class... Modules>
  bool ask(Hook hook, Fill&& fill, Modules&&... modules) {
    return ask_or(0, hook, std::forward<Fill>(fill), std::forward<Modules>(modules)...);
  }
  // The same of a function that returns `otherwise` when no program has an answer.
  template <class Fill, class... Modules>
  bool ask_or(s64 otherwise, Hook hook, Fill&& fill, Modules&&... modules) {
    if (denial_ || (!awaited(hook) && !decided(hook))) return !denial_;
    Arguments arguments(sink_.looked_at(hook));
    fill(arguments);
    std::array<Arguments, std::max<size_t>(sizeof...(Modules), 1)> asked_with{arguments};
    size_t n = 0;
    ((asked_with[n] = Arguments(sink_.looked_at(hook)), modules(asked_with[n++])), ...);
    return ask_with(hook, arguments, asked_with, [otherwise] { return ModuleAnswer{.otherwise = otherwise}; });
  }
  // The same where another module comes before the programs': `other()` tells what that passes and gives its answer,
  // with which the asking ends unless it is 0. What it refuses the host's kernel refuses itself: that is no denial.
  template <class Other, class Fill>
  bool ask_behind(Other&& other, Hook hook, Fill&& fill) {
    if (denial_) return false;
    if (!awaited(hook) && !decided(hook)) return other(), true;
    Arguments arguments(sink_.looked_at(hook));
    fill(arguments);
    return ask_with(hook, arguments, std::span(&arguments, 1), [&] { return ModuleAnswer{.refusal = other()}; });
  }
  // What was denied makes the call fail with another error.
  void fails_with(s64 error) { denial_ = error; }
  // What was denied here the host's kernel has done.
  void note_unheeded(const char* what) {
    if (denial_) services_.unmodelled.note(what);
    denial_.reset();
  }
  // With what the call has been denied.
  const std::optional<s64>& denial() const { return denial_; }
  // A tracepoint is passed: `fill(Arguments&)` gives what raw programs get, `fields(Record&)` the record.
  template <class Fill, class Fields>
  void trace(Hook hook, Fill&& fill, Fields&& fields) {
    if (denial_ || !sink_.awaited(hook, Side::kEntry)) return;
    Arguments arguments(sink_.looked_at(hook));
    fill(arguments);
    trace_with(hook, arguments, std::forward<Fields>(fields));
  }

  // The value in arena memory, as a local variable of the kernel lies on its stack, until the occasion is over. 0: there
  // is no room.
  template <class T>
  u64 place(const T& value) {
    const u64 at = place_zeroed(sizeof value);
    if (at) store(reinterpret_cast<void*>(at), value);
    return at;
  }
  u64 place_zeroed(size_t size);

 protected:
  friend class Passing;
  // What those say that are asked before the programs' module.
  struct ModuleAnswer {
    s64 refusal = 0;    // the function's result, if it is one
    s64 otherwise = 0;  // its result when no program has an answer
  };

  Passing enter_with(Hook hook, const Arguments& arguments);
  bool ask_with(Hook hook, const Arguments& arguments, std::span<const Arguments> modules,
                const std::function<ModuleAnswer()>& others);
  void trace_with(Hook hook, const Arguments& arguments, const std::function<void(Record&)>& fields);

  HookSink& sink_;
  const HookServices& services_;
  Event event_;
  std::optional<s64> denial_;

 private:
  u64 page_ = 0, used_ = 0;
};

}  // namespace bpfemu
