// SPDX-License-Identifier: Apache-2.0
// Programs that need BTF: attach targets and structures of the kernel, functions and map values of the program's own.
#include <linux/bpf.h>

#include <cstring>

#include "emu/kernel/kernel_data.h"
#include "emu/syscalls/map_btf.h"
#include "tests/unit/btf/builder.h"
#include "tests/unit/explain/cases.h"

namespace bpfemu {

namespace {

constexpr u32 kClassifier = BPF_PROG_TYPE_SCHED_CLS, kTracing = BPF_PROG_TYPE_TRACING, kLsm = BPF_PROG_TYPE_LSM,
              kFilter = BPF_PROG_TYPE_SOCKET_FILTER;

u32 kernel_id(const char* name, u32 kind) {
  return *kernel_btf()->find(name, kind);
}
s16 field(const char* structure, const char* path) {
  return static_cast<s16>(*kernel_btf()->offset_of(structure, path));
}

// --- The program's own BTF -----------------------------------------------------------------------------------------

struct OwnBtf {
  std::shared_ptr<const Btf> btf;
  u32 lock_value, timer_value, kptr_value;
  // int program(void), static int callback(int), int takes_number(int), int takes_pointer(int *), int
  // takes_anything(void *), void returns_none(int)
  u32 program, callback, takes_number, takes_pointer, takes_anything, returns_none;
};

OwnBtf build_own() {
  BtfBuilder b;
  OwnBtf own{};
  const u32 number = b.integer("int", 4), wide = b.integer("long", 8);
  auto structure = [&](const char* name, u32 size, std::vector<u32> types_and_bits) {
    std::vector<u32> members;
    for (size_t i = 0; i < types_and_bits.size(); i += 2)
      members.insert(members.end(), {b.string("member"), types_and_bits[i], types_and_bits[i + 1]});
    return b.type(b.string(name), BTF_KIND_STRUCT, static_cast<u32>(members.size() / 3), size, members);
  };
  auto kptr = [&](const char* tag, u32 target) {
    return b.type(0, BTF_KIND_PTR, 0, b.type(b.string(tag), BTF_KIND_TYPE_TAG, 0, target));
  };
  own.lock_value = structure("locked", 8, {structure("bpf_spin_lock", 4, {number, 0}), 0, number, 32});
  own.timer_value = structure("timed", 16, {structure("bpf_timer", 16, {wide, 0, wide, 64}), 0});
  const u32 task = structure("task_struct", 4, {number, 0}), object = structure("prog_test_ref_kfunc", 4, {number, 0});
  own.kptr_value = structure("owner", 16, {kptr("kptr", task), 0, kptr("kptr_ref", object), 64});

  auto function = [&](const char* name, u32 result, std::vector<u32> params, u32 linkage = BTF_FUNC_GLOBAL) {
    std::vector<u32> more;
    for (u32 type : params) more.insert(more.end(), {b.string("arg"), type});
    const u32 proto = b.type(0, BTF_KIND_FUNC_PROTO, static_cast<u32>(params.size()), result, more);
    return b.type(b.string(name), BTF_KIND_FUNC, linkage, proto);
  };
  own.program = function("program", number, {});
  own.callback = function("callback", number, {number}, BTF_FUNC_STATIC);
  own.takes_number = function("takes_number", number, {number});
  own.takes_pointer = function("takes_pointer", number, {b.type(0, BTF_KIND_PTR, 0, number)});
  own.takes_anything = function("takes_anything", number, {b.type(0, BTF_KIND_PTR, 0, 0)});
  own.returns_none = function("returns_none", 0, {number});
  own.btf = *Btf::load(b.bytes(), nullptr);
  return own;
}

const OwnBtf& own() {
  static const OwnBtf built = build_own();
  return built;
}

// Says which functions begin where.
auto functions(std::vector<bpf_func_info> infos) {
  return [infos](LoadRequest& request) {
    request.btf = own().btf;
    request.func_info_rec_size = sizeof(bpf_func_info);
    request.func_info_cnt = static_cast<u32>(infos.size());
    request.func_info.resize(infos.size() * sizeof(bpf_func_info));
    std::memcpy(request.func_info.data(), infos.data(), request.func_info.size());
  };
}
// A program, and from `at` on a global function.
auto function_at(u32 at, u32 function) {
  return functions({{0, own().program}, {at, function}});
}

// --- Attach targets ------------------------------------------------------------------------------------------------

auto attached(u32 attach_type, const char* target, u32 kind = BTF_KIND_FUNC, u32 flags = 0) {
  return [=](LoadRequest& request) {
    request.expected_attach_type = attach_type;
    request.attach_btf = kernel_btf();
    request.attach_btf_id = target ? kernel_id(target, kind) : 0;
    request.flags = flags;
  };
}
// void wake_up_new_task(struct task_struct *)
const auto kOnTask = attached(BPF_TRACE_FENTRY, "wake_up_new_task");

// --- Instructions --------------------------------------------------------------------------------------------------

Insn call_kernel(const char* function) {
  return op(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_KFUNC_CALL, 0, static_cast<s32>(kernel_id(function, BTF_KIND_FUNC)));
}
// r6 = lookup(map, 0), not NULL; r7 = the context from before. The rest begins at 10.
Insns with_element(s32 map, const Insns& rest) {
  Insns insns{copy(7, 1),
              op(BPF_ST | BPF_MEM | BPF_W, 10, 0, -4, 0),
              copy(2, 10),
              add(2, -4),
              map_address(1, map),
              second_half(),
              call(BPF_FUNC_map_lookup_elem),
              jump_if(BPF_JNE, 0, 0, 2),
              mov(0, 0),
              leave(),
              copy(6, 0)};
  return joined(std::move(insns), rest);
}
Insns with_lock(const Insns& rest) {
  return with_element(kLockMap, rest);
}
Insn lock(u8 reg) {
  return copy(1, reg);
}
// r6 = skb->sk, a full socket, not acquired.
Insns with_socket(const Insns& rest) {
  return joined({load(BPF_DW, 1, 1, 168), jump_if(BPF_JNE, 1, 0, 2), mov(0, 0), leave(), call(BPF_FUNC_sk_fullsock),
                 jump_if(BPF_JNE, 0, 0, 2), mov(0, 0), leave(), copy(6, 0)},
                rest);
}

// --- Programs ------------------------------------------------------------------------------------------------------

std::vector<Case> cases_of_kernel_objects() {
  const s16 pid = field("task_struct", "pid");
  return {
      {.code = Code::kKernelField,
       .help = "read a field that the structure has, whole;",
       .last = "1: bytes 32000 to 32007 of struct task_struct, which has 9792",
       .refused = with_end({load(BPF_DW, 2, 1, 0), load(BPF_DW, 3, 2, 32000)}),
       .followed = with_end({load(BPF_DW, 2, 1, 0), load(BPF_W, 3, 2, pid)}),
       .type = kTracing,
       .loaded_with = kOnTask},
      {.code = Code::kKernelField,
       .help = "read a field that the structure has, whole;",
       .last = "1: bytes 2416 to 2423 of struct task_struct, which has 9792",
       .refused = with_end({load(BPF_DW, 2, 1, 0), load(BPF_DW, 3, 2, pid)}),
       .followed = with_end({load(BPF_DW, 2, 1, 0), load(BPF_W, 3, 2, pid)}),
       .type = kTracing,
       .loaded_with = kOnTask},
      {.code = Code::kKernelField,
       .help = "which field is read must be known when the program is",
       .last = "3: R2 is a pointer to struct task_struct",
       .refused = with_end({load(BPF_DW, 2, 1, 0), load(BPF_W, 3, 2, pid), add_reg(2, 3), load(BPF_W, 3, 2, 0)}),
       .type = kTracing,
       .loaded_with = kOnTask},
      {.code = Code::kKernelField,
       .help = "take the pointer to one CPU's from bpf_per_cpu_ptr() or",
       .last = "2: R2 is a pointer to struct rq of a per-CPU variable",
       .refused = with_end({op(BPF_LD | BPF_IMM | BPF_DW, 2, BPF_PSEUDO_BTF_ID, 0,
                               static_cast<s32>(kernel_id("runqueues", BTF_KIND_VAR))),
                            second_half(), load(BPF_W, 3, 2, 0)}),
       .type = kTracing,
       .loaded_with = kOnTask},
      {.code = Code::kReadOnly,
       .help = "programs read kernel structures only; a helper may change",
       .last = "2: R2 is a pointer to struct task_struct",
       .refused = with_end({load(BPF_DW, 2, 1, 0), mov(3, 0), store(BPF_W, 2, 3, pid)}),
       .type = kTracing,
       .loaded_with = kOnTask},
      {.code = Code::kKptr,
       .help = "put it there with bpf_kptr_xchg(), which hands out what was",
       .last = "12: R6 is a pointer to a map value",
       .refused = with_element(kKptrMap, with_end({mov(1, 0), store(BPF_DW, 6, 1, 8)})),
       .type = kClassifier},
      {.code = Code::kKptr,
       .help = "load and store it whole: 8 bytes",
       .last = "11: R6 is a pointer to a map value",
       .refused = with_element(kKptrMap, with_end({load(BPF_W, 1, 6, 0)})),
       .followed = with_element(kKptrMap, with_end({load(BPF_DW, 1, 6, 0)})),
       .type = kClassifier},
      {.code = Code::kKptr,
       .help = "store NULL, or a pointer to the very structure that the",
       .last = "12: R1 is the number 7",
       .refused = with_element(kKptrMap, with_end({mov(1, 7), store(BPF_DW, 6, 1, 0)})),
       .type = kClassifier},
      {.code = Code::kKptr,
       .help = "load and store it without bpf_kptr_xchg(), or declare it",
       .last = "13: refused here",
       .refused = with_element(kKptrMap, with_end({copy(1, 6), mov(2, 0), call(BPF_FUNC_kptr_xchg)})),
       .type = kClassifier},
      {.code = Code::kKptr,
       .help = "give helpers only those parts of the value that hold no kptr",
       .last = "15: refused here",
       .refused = with_element(kKptrMap,
                               with_end({copy(1, 7), mov(2, 0), copy(3, 6), mov(4, 8), call(BPF_FUNC_skb_load_bytes)})),
       .type = kClassifier},
      {.code = Code::kNotReferenced,
       .help = "release the very pointer that was acquired, once, after it",
       .last = "10: R1 is a pointer to a socket",
       .refused = with_socket(with_end({copy(1, 6), call(BPF_FUNC_sk_release)})),
       .type = kClassifier},
      {.code = Code::kNotReferenced,
       .help = "release the very pointer that was acquired, once, after it",
       .last = "9: refused here",
       .refused = with_end({copy(1, 10), add(1, -8), op(BPF_ST | BPF_MEM | BPF_DW, 10, 0, -8, 0),
                            call_kernel("bpf_kfunc_call_test_acquire"), jump_if(BPF_JNE, 0, 0, 2), mov(0, 0), leave(),
                            copy(6, 0), load(BPF_DW, 1, 6, field("prog_test_ref_kfunc", "next")),
                            call_kernel("bpf_kfunc_call_test_release")}),
       .followed = with_end({copy(1, 10), add(1, -8), op(BPF_ST | BPF_MEM | BPF_DW, 10, 0, -8, 0),
                             call_kernel("bpf_kfunc_call_test_acquire"), jump_if(BPF_JNE, 0, 0, 2), mov(0, 0), leave(),
                             copy(1, 0), call_kernel("bpf_kfunc_call_test_release")}),
       .type = kClassifier},
  };
}

std::vector<Case> cases_of_locks() {
  const Insn take = call(BPF_FUNC_spin_lock), give = call(BPF_FUNC_spin_unlock);
  return {
      {.code = Code::kLock,
       .help = "unlock on every path to the exit",
       .last = "14: still locked here",
       .refused = with_lock(with_end({lock(6), take})),
       .followed = with_lock(with_end({lock(6), take, lock(6), give})),
       .type = kClassifier},
      {.code = Code::kLock,
       .help = "unlock before the call: between lock and unlock nothing is",
       .last = "13: still locked here",
       .refused = with_lock(with_end({lock(6), take, call(BPF_FUNC_ktime_get_ns), lock(6), give})),
       .followed = with_lock(with_end({call(BPF_FUNC_ktime_get_ns), lock(6), take, lock(6), give})),
       .type = kClassifier},
      {.code = Code::kLock,
       .help = "take the lock on every path that leads here",
       .last = "12: refused here",
       .refused = with_lock(with_end({lock(6), give})),
       .followed = with_lock(with_end({lock(6), take, lock(6), give})),
       .type = kClassifier},
      {.code = Code::kLock,
       .help = "unlock before the call: between lock and unlock nothing is",
       .last = "14: still locked here",
       .refused = with_lock(with_end({lock(6), take, lock(6), take})),
       .followed = with_lock(with_end({lock(6), take, lock(6), give})),
       .type = kClassifier},
      {.code = Code::kLock,
       .help = "its bytes are the helpers': access the other members one by",
       .last = "11: R6 is a pointer to a map value",
       .refused = with_lock(with_end({load(BPF_DW, 1, 6, 0)})),
       .followed = with_lock(with_end({load(BPF_W, 1, 6, 4)})),
       .type = kClassifier},
      {.code = Code::kLock,
       .help = "give the type of the map's value: __type(value, ...) in",
       .last = "12: refused here",
       .refused = with_element(kHashMap, with_end({lock(6), take})),
       .type = kClassifier},
      {.code = Code::kLock,
       .help = "pass the map that holds the timer",
       .last = "15: refused here",
       .refused = with_element(kTimerMap, with_end({copy(1, 6), map_address(2, kLockMap), second_half(), mov(3, 1),
                                                    call(BPF_FUNC_timer_init)})),
       .followed = with_element(kTimerMap, with_end({copy(1, 6), map_address(2, kTimerMap), second_half(), mov(3, 1),
                                                     call(BPF_FUNC_timer_init)})),
       .type = kClassifier},
      {.code = Code::kMapUse,
       .help = "such programs take no locks: use atomic operations",
       .last = "",
       .refused = with_lock(with_end({})),
       .followed = with_element(kHashMap, with_end({})),
       .type = BPF_PROG_TYPE_KPROBE},
      {.code = Code::kMapUse,
       .help = "bpf_tail_call() takes a map of type BPF_MAP_TYPE_PROG_ARRAY",
       .last = "3: refused here",
       .refused = with_end({map_address(2, kHashMap), second_half(), mov(3, 0), call(BPF_FUNC_tail_call)}),
       .type = kClassifier},
      {.code = Code::kMapUse,
       .help = "the map has BPF_F_WRONLY_PROG, programs only write it:",
       .last = "11: R6 is a pointer to a map value",
       .refused = with_element(kWriteOnlyMap, with_end({load(BPF_DW, 1, 6, 0)})),
       .type = kClassifier},
      {.code = Code::kMapUse,
       .help = "sockmaps are looked up, updated, deleted from and",
       .last = "4: refused here",
       .refused =
           with_end({map_address(1, kSockMap), second_half(), copy(2, 10), add(2, -8), call(BPF_FUNC_map_peek_elem)}),
       .type = kClassifier},
  };
}

std::vector<Case> cases_of_calls() {
  return {
      {.code = Code::kMightSleep,
       .help = "make it sleepable (SEC(\"fentry.s/...\")) and attach it",
       .last = "4: bpf_copy_from_user() in a program of type tracing",
       .refused = with_end({copy(1, 10), add(1, -8), mov(2, 8), mov(3, 0), call(BPF_FUNC_copy_from_user)}),
       .type = kTracing,
       .loaded_with = kOnTask},
      {.code = Code::kMightSleep,
       .help = "of type kprobe only uprobes may sleep (SEC(\"uprobe.s/...\"))",
       .last = "4: bpf_copy_from_user() in a program of type kprobe",
       .refused = with_end({copy(1, 10), add(1, -8), mov(2, 8), mov(3, 0), call(BPF_FUNC_copy_from_user)}),
       .type = BPF_PROG_TYPE_KPROBE},
      {.code = Code::kMightSleep,
       .help = "programs of this kind never sleep: use bpf_probe_read_user()",
       .last = "4: bpf_copy_from_user() in a program of type tracepoint",
       .refused = with_end({copy(1, 10), add(1, -8), mov(2, 8), mov(3, 0), call(BPF_FUNC_copy_from_user)}),
       .type = BPF_PROG_TYPE_TRACEPOINT},
      {.code = Code::kKfunc,
       .help = "the kernel lets programs call only what it registers for",
       .last = "2: refused here",
       .refused = with_end({mov(1, 1), mov(2, 1), call_kernel("bpf_kfunc_call_test2")}),
       .type = kFilter},
      {.code = Code::kKfunc,
       .help = "pass what the function's prototype asks for, as the",
       .last = "2: R1 is the number 0",
       .refused = with_end({mov(1, 0), mov(2, 1), call_kernel("bpf_kfunc_call_test2")}),
       .type = kClassifier},
      {.code = Code::kKfunc,
       .help = "pass what the function's prototype asks for, as the",
       .last = "12: R2 is a pointer to the stack",
       .refused = with_socket(with_end({copy(1, 6), copy(2, 10), mov(3, 1), call_kernel("bpf_kfunc_call_test2")})),
       .followed = with_socket(with_end({copy(1, 6), mov(2, 1), mov(3, 1), call_kernel("bpf_kfunc_call_test2")})),
       .type = kClassifier},
      {.code = Code::kFunctionArgs,
       .help = "let it return int, or be static",
       .last = "4: refused here",
       .refused = with_end({mov(1, 1), call_own(2), mov(0, 0), leave()}),
       .type = kClassifier,
       .loaded_with = function_at(4, own().returns_none)},
      {.code = Code::kFunctionArgs,
       .help = "global functions get numbers, the context and pointers to",
       .last = "1: R1 is a pointer to the stack",
       .refused = with_end({copy(1, 10), call_own(2), mov(0, 0), leave()}),
       .followed = with_end({mov(1, 1), call_own(2), mov(0, 0), leave()}),
       .type = kClassifier,
       .loaded_with = function_at(4, own().takes_number)},
      {.code = Code::kFunctionArgs,
       .help = "global functions get numbers, the context and pointers to",
       .last = "3: R1 is the number 1",
       .refused = with_end({mov(1, 1), mov(6, 0), add(6, 1), call_own(2), mov(0, 0), leave()}),
       .followed = with_end(
           {op(BPF_ST | BPF_MEM | BPF_W, 10, 0, -4, 0), copy(1, 10), add(1, -4), call_own(2), mov(0, 0), leave()}),
       .type = kClassifier,
       .loaded_with = function_at(6, own().takes_pointer)},
      {.code = Code::kFunctionArgs,
       .help = "declare the parameter as a pointer to a type of a known",
       .last = "4: refused here",
       .refused = with_end({copy(1, 10), call_own(2), mov(0, 0), leave()}),
       .type = kClassifier,
       .loaded_with = function_at(4, own().takes_anything)},
      {.code = Code::kControlFlow,
       .help = "a timer's callback must not call bpf_tail_call()",
       .last = kNowhere,
       .refused =
           with_element(kTimerMap, joined({copy(1, 6), op(BPF_LD | BPF_IMM | BPF_DW, 2, BPF_PSEUDO_FUNC, 0, 4),
                                           second_half(), call(BPF_FUNC_timer_set_callback), mov(0, 0), leave()},
                                          with_end({mov(6, 0), jump_if(BPF_JEQ, 6, 0, 1), call(BPF_FUNC_tail_call)}))),
       .type = kClassifier,
       .loaded_with = function_at(17, own().callback)},
      // Two records of the ring buffer in one call.
      {.code = Code::kArgument,
       .help = "of what must be released a call takes one: copy the other",
       .last = "25: R3 is a pointer to memory",
       .refused = with_end({map_address(1, kRingMap),
                            second_half(),
                            mov(2, 8),
                            mov(3, 0),
                            call(BPF_FUNC_ringbuf_reserve),
                            jump_if(BPF_JNE, 0, 0, 2),
                            mov(0, 0),
                            leave(),
                            copy(6, 0),
                            map_address(1, kRingMap),
                            second_half(),
                            mov(2, 8),
                            mov(3, 0),
                            call(BPF_FUNC_ringbuf_reserve),
                            jump_if(BPF_JNE, 0, 0, 5),
                            copy(1, 6),
                            mov(2, 0),
                            call(BPF_FUNC_ringbuf_submit),
                            mov(0, 0),
                            leave(),
                            copy(1, 6),
                            mov(2, 8),
                            copy(3, 0),
                            mov(4, 8),
                            mov(5, 0),
                            call(BPF_FUNC_csum_diff)}),
       .type = kClassifier},
  };
}

// Nothing is wrong with it but what it attaches to.
Case refused_target(const char* help, std::function<void(LoadRequest&)> target, u32 type = kTracing) {
  return {.code = Code::kAttachTarget,
          .help = help,
          .last = "",
          .refused = with_end({}),
          .type = type,
          .loaded_with = std::move(target)};
}

std::vector<Case> cases_of_targets() {
  const Insns nothing = with_end({});
  return {
      {.code = Code::kBadBtf,
       .help = "build the object again, with one version of the compiler",
       .last = "",
       .refused = nothing,
       .type = kClassifier,
       .loaded_with = function_at(1, own().takes_number)},
      refused_target("name the target: in SEC(), or by", attached(BPF_TRACE_FENTRY, nullptr)),
      refused_target("check the name in SEC() and the program type against the",
                     attached(BPF_TRACE_FENTRY, "task_struct", BTF_KIND_STRUCT)),
      refused_target("attach without sleeping: SEC(\"fentry/...\"), \"lsm/...\",",
                     attached(BPF_TRACE_FENTRY, "wake_up_new_task", BTF_KIND_FUNC, BPF_F_SLEEPABLE)),
      refused_target("fmod_ret attaches to functions that allow error injection",
                     attached(BPF_MODIFY_RETURN, "wake_up_new_task")),
      refused_target("check the name in SEC() and the program type against the",
                     attached(BPF_TRACE_FENTRY, "migrate_disable")),
      refused_target("check the name in SEC() and the program type against the",
                     attached(BPF_LSM_MAC, "wake_up_new_task"), kLsm),
      {.code = Code::kNoKernelBtf,
       .help = "use a kernel with CONFIG_DEBUG_INFO_BTF=y; leave out",
       .last = "",
       .refused = with_end({op(BPF_LD | BPF_IMM | BPF_DW, 2, BPF_PSEUDO_BTF_ID, 0, 1), second_half()}),
       .type = kClassifier,
       .kernel_btf = false},
      {.code = Code::kNoKernelBtf,
       .help = "use a kernel with CONFIG_DEBUG_INFO_BTF=y; leave out",
       .last = "0: refused here",
       .refused = with_end({call(BPF_FUNC_get_current_task_btf)}),
       .type = BPF_PROG_TYPE_KPROBE,
       .kernel_btf = false},
      {.code = Code::kOther,
       .help = "",
       .last = "",
       .refused = nothing,
       .type = kClassifier,
       .loaded_with =
           [](LoadRequest& request) {
             request.func_info_cnt = 1;
             request.btf_error = EBADF;
           }},
  };
}

}  // namespace

const std::shared_ptr<const Btf>& kernel_btf() {
  static const std::shared_ptr<const Btf> btf = *KernelData(default_profile()).btf();
  return btf;
}

void describe_maps(const std::vector<std::shared_ptr<MapObject>>& maps) {
  auto describe = [&](CaseMap which, u32 value) {
    MapObject& map = *maps[static_cast<size_t>(which)];
    map.btf = own().btf;
    constexpr u32 kNumber = 1;
    if (check_map_btf(map, map.btf, kNumber, value, kernel_btf(), true)) map.set_value_fields();
  };
  describe(kLockMap, own().lock_value);
  describe(kTimerMap, own().timer_value);
  describe(kKptrMap, own().kptr_value);
}

std::vector<Case> cases_with_btf() {
  std::vector<Case> all;
  for (auto& cases : {cases_of_kernel_objects(), cases_of_locks(), cases_of_calls(), cases_of_targets()})
    all.insert(all.end(), cases.begin(), cases.end());
  return all;
}

}  // namespace bpfemu
