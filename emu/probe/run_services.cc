// SPDX-License-Identifier: Apache-2.0
#include "emu/probe/run_services.h"

#include <fmt/format.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "emu/arena/vcpu.h"
#include "emu/base/bytes.h"
#include "emu/bpf/cgroup.h"
#include "emu/kernel/build_ids.h"
#include "emu/probe/bpf_timers.h"
#include "emu/probe/kernel_stack.h"
#include "emu/probe/point.h"
#include "emu/probe/trace_flags.h"
#include "emu/runtime/helpers/memory.h"

namespace bpfemu {

namespace {

RunScope& scope_of(void* self) {
  return *static_cast<RunScope*>(self);
}

// A tool's task is gone or there is none: to the helper both are a bad address. `access` is Task::peek, or Task::read
// for who may sleep.
template <auto access>
s64 read_user(void* self, void* to, u64 address, u64 size) {
  Task* task = scope_of(self).task();
  return task && (task->*access)(address, to, size) ? 0 : -EFAULT;
}

constexpr u64 kWord = 8, kStringChunk = 512;

// kernel: strncpy_from_user. That copies words and zeroes what follows the NUL in its word, but goes on byte by byte
// once a word cannot be read or does not fit. It shows: programs take the buffer for a map's key.
template <auto access>
s64 read_user_str(void* self, char* to, u64 address, u64 size) {
  Task* task = scope_of(self).task();
  if (!task) return -EFAULT;
  char chunk[kStringChunk];
  for (u64 done = 0; done < size;) {
    u64 wanted = std::min(size - done, kStringChunk), got = wanted;
    if (!(task->*access)(address + done, chunk, wanted)) {
      got = std::min(wanted, kPageSize - (address + done) % kPageSize);
      if (got == wanted || !(task->*access)(address + done, chunk, got)) return -EFAULT;
    }
    auto* end = static_cast<char*>(memchr(chunk, 0, got));
    u64 length = end ? static_cast<u64>(end - chunk) : got, copied = length;
    if (end) {
      copied = round_up(length + 1, kWord);
      if (copied > got) copied = length + 1;
      memset(end, 0, copied - length);
    }
    memcpy(to + done, chunk, copied);
    done += length;
    if (end) return static_cast<s64>(done);
    if (got < wanted) return -EFAULT;
  }
  return static_cast<s64>(size);
}

s64 write_user(void* self, u64 address, const void* from, u64 size) {
  Task* task = scope_of(self).task();
  return task && task->poke(address, from, size) ? 0 : -EFAULT;
}

// kernel: bpf_send_signal_common; the signal comes from the task itself.
s64 send_signal(void* self, u32 signal, bool to_group) {
  Task* task = scope_of(self).task();
  if (!task) return -EPERM;
  long result =
      to_group ? syscall(SYS_kill, task->tgid(), signal) : syscall(SYS_tgkill, task->tgid(), task->tid(), signal);
  return result == 0 ? 0 : -errno;
}

// At the `push %rbp` of a uprobe the caller has no frame yet (kernel: is_uprobe_at_func_entry).
bool is_before_frame(const RunScope& scope, Task& task, const PtRegs& regs) {
  constexpr u8 kPushRbp = 0x55;
  u8 opcode = 0;
  return scope.at_site() && task.peek(regs.rip, &opcode, 1) && opcode == kPushRbp;
}

// kernel: perf_callchain_user: follows saved frame pointers until one cannot be read.
s64 user_stack(void* self, Run* run, u64* ips, u32 max) {
  Task* task = scope_of(self).task();
  if (!task || !run->regs) return -EFAULT;
  u32 count = 0;
  if (count < max) ips[count++] = run->regs->rip;
  u64 frame[2], pointer = run->regs->rbp;
  const bool no_frame = is_before_frame(scope_of(self), *task, *run->regs);
  if (no_frame && count < max && task->peek(run->regs->rsp, frame, sizeof frame[0])) ips[count++] = frame[0];
  while (count < max && pointer && task->peek(pointer, frame, sizeof frame)) {
    ips[count++] = frame[1];
    pointer = frame[0];
  }
  return count;
}

}  // namespace

// `self` is the RunScope.
struct RunScopeEnv {
  static u64 clock(void* self, int clock_id) {
    const RunScope& scope = scope_of(self);
    Host& host = scope.runner_.host_;
    if (!scope.happened_) return host.clock(clock_id);
    return clock_id == CLOCK_MONOTONIC ? scope.happened_ : scope.happened_ + scope.runner_.ahead(clock_id);
  }
  static u64 cgroup_at(void* self, const Run* run, u32 level) {
    const auto cgroup = scope_of(self).runner().cgroup_of(static_cast<pid_t>(run->task->tid));
    const Cgroup* const ancestor = cgroup ? cgroup->ancestor(level) : nullptr;
    return ancestor ? ancestor->id() : 0;
  }
  static u64 cgroup_above(void* self, u64 cgroup, u32 level) {
    auto& find = scope_of(self).runner().outlets_.cgroup_above;
    return find ? find(cgroup, level) : 0;
  }
  static constexpr SockServices kSocks = {
      .cookie =
          [](void* self, u64 sock) {
            auto& find = scope_of(self).runner().outlets_.sock_cookie;
            return find ? find(sock) : 0;
          },
      .set_option =
          [](void* self, u64 sock, u32 level, u32 option, const void* value, u32 size) -> s64 {
            auto& set = scope_of(self).runner().outlets_.set_sock_option;
            return set ? set(sock, level, option, value, size) : -EINVAL;
          },
      .get_option = [](void* self, u64 sock, u32 level, u32 option, void* value, u32 size) -> s64 {
        auto& get = scope_of(self).runner().outlets_.get_sock_option;
        return get ? get(sock, level, option, value, size) : -EINVAL;
      }};
  static void wake(void* self, void* ring) { scope_of(self).runner().outlets_.wake(ring); }
  static u64 task_struct(void* self, Run* run) {
    return run->task->tid ? scope_of(self).runner().task_struct(static_cast<pid_t>(run->task->tid)) : 0;
  }
  // Raw tracepoints hand out no registers, so that their stacks begin in the program itself (kernel:
  // bpf_get_stack_raw_tp).
  static s64 kernel_stack(void* self, Run* run, u64* ips, u32 max) {
    RunScope& scope = scope_of(self);
    if (!scope.point_ && scope.event_) {
      missing(self, "the kernel stack of an event whose probe went while its program ran");
      return -EFAULT;
    }
    if (!scope.point_) {
      // A clock that ticks while a thread runs finds it in user mode.
      if (!run->regs) missing(self, "the kernel stack of an idle CPU");
      return 0;
    }
    KernelFrames frames;
    const Point::Where& where = scope.point_->where();
    auto& shown_at = scope.runner().outlets_.kernel_address;
    const bool raw = where.listener == Listener::kRaw;
    if (raw) frames.push(shown_at ? shown_at(run->return_ip) : run->return_ip);
    // The frames between a subprogram and the program's own are not looked for.
    if ((raw && scope.subprograms_) || !kernel_frames(*scope.point_, *scope.event_, frames)) {
      missing(self, fmt::format("kernel stack at {}, reached in a way that was not recorded", where.name).c_str());
      return -EFAULT;
    }
    const u32 count = std::min(frames.count, max);
    std::copy_n(frames.ips, count, ips);
    return count;
  }
  static u64 test_object(void* self) {
    auto& make = scope_of(self).runner().outlets_.test_object;
    return make ? make() : 0;
  }
  static void show_sock(void* self, RunSock* sock) {
    auto& show = scope_of(self).runner().outlets_.show_sock;
    if (!show || !show(*sock)) missing(self, "struct sock of this BTF");
  }
  static bool symbol_at(void* self, u64 address, KernelSymbol* to) {
    auto& locate = scope_of(self).runner().outlets_.symbol_at;
    auto place = locate ? locate(address) : std::nullopt;
    if (!place) return false;
    to->offset = place->offset;
    to->size = place->size;
    to->length = static_cast<u32>(place->name.copy(to->name, sizeof to->name));
    return true;
  }
  static void object_read(void* self, u64 address, u64 size) {
    auto& heard = scope_of(self).runner().outlets_.object_read;
    if (heard) heard(address, size);
  }
  static u64 at_kernel_address(void* self, u64 address, u64 size) {
    auto& find = scope_of(self).runner().outlets_.at_kernel_address;
    return find ? find(address, size) : 0;
  }
  static void cgroup_updated(void* self, u64 cgroup, u32 cpu) {
    auto& updated = scope_of(self).runner().outlets_.cgroup_updated;
    if (updated) updated(cgroup, cpu);
  }
  static void cgroup_flush(void* self, Run* run, u64 cgroup) {
    auto& flush = scope_of(self).runner().outlets_.cgroup_flush;
    if (flush) flush(*run, cgroup);
  }
  static bool task_ended(void* self, u64 task) {
    auto& ended = scope_of(self).runner().outlets_.task_ended;
    return ended && ended(task);
  }
  static s64 copy_task(void* self, u64 address_of_task, void* to, u64 address, u64 size) {
    Runner& runner = scope_of(self).runner();
    const pid_t tid = runner.outlets_.thread_at ? runner.outlets_.thread_at(address_of_task) : 0;
    Task* task = tid ? runner.host_.find_task(tid) : nullptr;
    return task && task->read(address, to, size) ? 0 : -EFAULT;
  }
  static s64 show_type(void* self, Run* run, u32 type, u64 address, u64 flags, char* to, u64 size) {
    auto& show = scope_of(self).runner().outlets_.show_type;
    const auto read = [=](void* bytes, u64 count) { return read_kernel(run, bytes, address, count) >= 0; };
    const Result<std::string> text = show ? show(type, flags, read) : fail(EINVAL);
    // What is no address of the kernel's, NULL among them (kernel: copy_from_kernel_nofault).
    if (!text && text.error().value == EFAULT && !is_kernel_address(address)) return -ERANGE;
    if (!text) return -s64{text.error().value};
    if (size) to[text->copy(to, size - 1)] = 0;
    return static_cast<s64>(text->size());
  }
  static s64 path_text(void* self, u64 path, char* to, u64 size) {
    auto& text_of = scope_of(self).runner().outlets_.path_text;
    const Result<std::string> text = text_of ? text_of(path) : fail(EFAULT);
    if (!text) return -s64{text.error().value};
    if (text->size() >= size) return -ENAMETOOLONG;
    memcpy(to, text->c_str(), text->size() + 1);
    return static_cast<s64>(text->size() + 1);
  }
  static u64 shown_context(void* self, const Run* run) {
    auto& show = scope_of(self).runner().outlets_.shown_context;
    return show ? show(*run) : reinterpret_cast<u64>(run->context);
  }
  static u64 symbol(void* self, const char* name) {
    auto& find = scope_of(self).runner().outlets_.symbol;
    return find ? find(name) : 0;
  }
  static u64 find_vma(void* self, u64 task, u64 address) {
    auto& find = scope_of(self).runner().outlets_.find_vma;
    return find ? find(task, address) : 0;
  }
  // Only of the task that runs are the registers at hand.
  static u64 task_regs(void* self, Run* run, u64 task) {
    RunScope& scope = scope_of(self);
    auto& show = scope.runner().outlets_.task_regs;
    if (!show || !scope.task()) return 0;
    if (!run->task->task_struct) run->task->task_struct = task_struct(self, run);
    if (task == run->task->task_struct) return show(task, run->regs ? *run->regs : scope.task()->regs());
    missing(self, "registers of a task that does not run");
    return 0;
  }
  static s64 read_perf_event(void* self, Run* run, u64 address, u64* to) {
    RunScope& scope = scope_of(self);
    auto& read = scope.runner().outlets_.read_perf_event;
    const auto* state = address ? reinterpret_cast<const PerfEventState*>(address) : scope.perf_event_;
    return read && state ? read(*state, static_cast<pid_t>(run->task->tid), run->cpu->id, to) : -EINVAL;
  }
  static void build_ids(void* self, Run*, const u64* ips, u32 count, void* to) {
    auto* const entries = static_cast<bpf_stack_build_id*>(to);
    if (Task* task = scope_of(self).task()) return show_build_ids(*task, {ips, count}, entries);
    for (u32 n = 0; n < count; ++n) entries[n] = {.status = BPF_STACK_BUILD_ID_IP, .build_id = {}, .ip = ips[n]};
  }
  static u64 packet_of(void* self, u64 object) {
    auto& find = scope_of(self).runner().outlets_.packet_of;
    return find ? find(object) : 0;
  }
  static u64 function_entered(void* self, Run*, const RuntimeCall* call) {
    RunScope& scope = scope_of(self);
    return scope.runner().outlets_.function_entered(scope, *call);
  }
  static void function_left(void* self, Run*, const RuntimeCall* call, u64 result) {
    RunScope& scope = scope_of(self);
    scope.runner().outlets_.function_left(scope, *call, result);
  }
  static u64 per_cpu(void* self, u64 symbol, u32 cpu) {
    auto& find = scope_of(self).runner().outlets_.per_cpu;
    return find ? find(symbol, cpu) : 0;
  }
  static void missing(void* self, const char* what) { scope_of(self).runner().unmodelled_.note(what); }

  static void trace_printk(void* self, Run* run, const char* text, u64 size) {
    const RunScope& scope = scope_of(self);
    TraceLog* log = scope.runner_.outlets_.trace;
    if (!log) return;
    log->bpf_printk({.comm = run->task->comm,
                     .pid = run->task->tid,
                     .cpu = run->cpu->id,
                     .time_ns = clock(self, CLOCK_MONOTONIC),
                     .flags = trace_flags(*run->program, scope.point_, scope.event_, scope.in_interrupt_)},
                    {text, size});
  }

  static constexpr TimerServices kTimers = {
      .init = [](void* self, Run*, Map* map, u64 timer) { return scope_of(self).runner().timers->init(*map, timer); },
      .set_callback =
          [](void* self, Run* run, u64 timer, u64 callback) {
            return scope_of(self).runner().timers->set_callback(*run->program, timer, callback);
          },
      .start = [](void* self, Run* run, u64 timer,
                  u64 nsecs) { return scope_of(self).runner().timers->start(timer, nsecs, run->cpu->id); },
      .cancel = [](void* self, u64 timer) { return scope_of(self).runner().timers->cancel(timer); }};

  static constexpr SecurityServices kSecurity = {
      .set_secure = [](void* self, u64 bprm, bool secure) { scope_of(self).runner().outlets_.set_secure(bprm, secure); },
      .file_hash = [](void* self, u64 file, u8 (&to)[kFileHash]) -> s64 {
        RunScope& scope = scope_of(self);
        const auto hash = scope.task() ? scope.runner().outlets_.file_hash(*scope.task(), file) : fail(ESRCH);
        if (!hash) return -s64{hash.error().value};
        std::ranges::copy(*hash, to);
        return 0;
      },
      .user_key = [](void* self, u32 serial, u64 flags) -> u64 {
        RunScope& scope = scope_of(self);
        return scope.task() ? scope.runner().outlets_.user_key(*scope.task(), static_cast<s32>(serial), flags) : 0;
      },
      .system_key = [](void* self, u64 id) { return scope_of(self).runner().outlets_.system_key(id); },
      .put_key = [](void* self, u64 key) { scope_of(self).runner().outlets_.put_key(key); }};

  static Env make(RunScope& scope) {
    return {.self = &scope,
            .arena_end = scope.runner().arena_.end(),
            .exhausted = scope.runner().arena_.exhausted(),
            .read_user = read_user<&Task::peek>,
            .read_user_str = read_user_str<&Task::peek>,
            .copy_user = read_user<&Task::read>,
            .copy_user_str = read_user_str<&Task::read>,
            .copy_task = copy_task,
            .write_user = write_user,
            .clock = clock,
            .wake = wake,
            .trace_printk = trace_printk,
            .send_signal = send_signal,
            .user_stack = user_stack,
            .missing = missing,
            .task_struct = task_struct,
            .kernel_stack = kernel_stack,
            .cgroup_at = cgroup_at,
            .cgroup_above = cgroup_above,
            .test_object = test_object,
            .show_sock = show_sock,
            .symbol_at = symbol_at,
            .object_read = object_read,
            .at_kernel_address = at_kernel_address,
            .show_type = show_type,
            .path_text = path_text,
            .shown_context = shown_context,
            .breathe = [](void* self) { scope_of(self).breathe(); },
            .symbol = symbol,
            .find_vma = find_vma,
            .task_regs = task_regs,
            .per_cpu = per_cpu,
            .read_perf_event = read_perf_event,
            .timers = scope.runner().timers ? &kTimers : nullptr,
            .syscalls = nullptr,
            .sockets = scope.runner().sockets,
            .lookup = nullptr,
            .socket = nullptr,
            .socks = &kSocks,
            .security = scope.runner().outlets_.set_secure ? &kSecurity : nullptr,
            .function_entered = function_entered,
            .function_left = function_left,
            .build_ids = build_ids,
            .cgroup_updated = cgroup_updated,
            .cgroup_flush = cgroup_flush,
            .task_ended = task_ended,
            .packet_of = packet_of};
  }
};

Env run_services(RunScope& scope) { return RunScopeEnv::make(scope); }

}  // namespace bpfemu
