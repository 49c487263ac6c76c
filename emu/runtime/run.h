// SPDX-License-Identifier: Apache-2.0
// What a running program carries: who triggered it, on which vCPU, and the few functions it needs from outside.
// The JIT keeps a pointer to the Run in r12 and hands it to helpers as their sixth argument. Runtime code.
#pragma once

#include "emu/arena/vcpu.h"
#include "emu/base/types.h"

namespace bpfemu {

struct Map;
struct Run;
struct ProgramText;
struct RunSock;

// Where in the kernel an address lies.
struct KernelSymbol {
  u64 offset, size;         // of the address from the symbol's start; of the symbol
  u32 length;
  char name[128];           // not terminated
};

// bpf_timer: the struct bpf_timer in a map's value, at `timer`, is what names one. Results as of the helpers.
struct TimerServices {
  s64 (*init)(void* self, Run* run, Map* map, u64 timer);
  s64 (*set_callback)(void* self, Run* run, u64 timer, u64 callback);  // a function of the program that runs
  s64 (*start)(void* self, Run* run, u64 timer, u64 nsecs);
  s64 (*cancel)(void* self, u64 timer);
};

// What syscall programs call for their own task (kernel: bpf_sys_bpf, bpf_sys_close, bpf_find_btf_id).
struct SyscallServices {
  void* self;
  s64 (*bpf)(void* self, Run* run, u32 command, u64 attr, u32 size);
  s64 (*close)(void* self, u32 fd);
  s64 (*find_type)(void* self, const char* name, u32 kind);
};

// What programs of cgroups may do to the socket of the call that they run for. Results as of the helpers.
struct SocketServices {
  void* self;
  s64 (*bind)(void* self, const void* address, u32 size);
  s64 (*set_option)(void* self, u32 level, u32 option, const void* value, u32 size);
  s64 (*get_option)(void* self, u32 level, u32 option, void* value, u32 size);
};

// What LSM programs decide and ask; `self` is Env's. 0: no such key.
inline constexpr u32 kFileHash = 32;
struct SecurityServices {
  void (*set_secure)(void* self, u64 bprm, bool secure);       // of a struct linux_binprm
  s64 (*file_hash)(void* self, u64 file, u8 (&to)[kFileHash]);  // SHA-256 of the content of a struct file
  u64 (*user_key)(void* self, u32 serial, u64 flags);           // arena address of a struct bpf_key
  u64 (*system_key)(void* self, u64 id);
  void (*put_key)(void* self, u64 key);
};

// A function of the kernel that runtime code stands for, as it is passed: emu/runtime/passing.h.
inline constexpr u32 kRuntimeArguments = 5;
struct RuntimeCall {
  u32 function;   // RuntimeFunction
  u64 arguments[kRuntimeArguments];
  u64 listeners;  // those that its return is told to: how many there had been until it was entered
};

// The structs of protocols that a struct sock may be seen as.
enum class SockKind : u8 { kTcp, kTcp6, kTcpTimeWait, kTcpRequest, kUdp6, kUnix, kMptcp };

// Sockets of the tree, and maps of them, which programs change (kernel: sock_map_update_elem, sock_map_delete_elem). `sock`
// is a RunSock, or the struct sock that programs see through BTF. Results as of the helpers.
struct TreeSocketServices {
  void* self;
  // The struct sock seen as BTF has the kind, 0: it is none (kernel: bpf_skc_to_tcp_sock and its like).
  u64 (*as_kind)(void* self, u64 sock, SockKind kind);
  s64 (*put)(void* self, Map* map, const void* key, u64 sock, u64 flags);
  // ... in whatever state it is (kernel: sock_map_update_common, sock_hash_update_common).
  s64 (*put_anyhow)(void* self, Map* map, const void* key, u64 sock, u64 flags);
  s64 (*erase)(void* self, Map* map, const void* key);
  // The struct socket behind a struct file, 0: it is none of a socket (kernel: sock_from_file).
  u64 (*of_file)(void* self, u64 file);
};

// Sockets that programs look for (kernel: __bpf_skc_lookup): a RunSock, 0 for none. `tuple` is that part of a struct
// bpf_sock_tuple which is the family's; `netns` is negative for the caller's own; `full`: no half-open ones.
struct SocketLookupServices {
  void* self;
  u64 (*find)(void* self, const void* tuple, u16 family, u8 protocol, s32 netns, bool full);
};

// Sockets that programs know by their struct sock in the arena: what may be asked and set.
struct SockServices {
  u64 (*cookie)(void* self, u64 sock);  // 0: there is no such socket
  s64 (*set_option)(void* self, u64 sock, u32 level, u32 option, const void* value, u32 size);
  s64 (*get_option)(void* self, u64 sock, u32 level, u32 option, void* value, u32 size);
};

// Outside services, filled in by whoever runs the program. `self` is handed back as the first argument.
// All return 0 or a byte count, or a negative errno.
struct Env {
  void* self;
  u64 arena_end;            // Arena::end() as of now: what lies in [kArenaBase, arena_end) can be read without a fault
  bool exhausted;           // Arena::exhausted() as of now: no new elements in memory that was not counted beforehand
  // Without a page fault: what the process has not touched yet is not there (kernel: copy_from_user_nofault). All or
  // nothing: -EFAULT. A string gives its length, or size when there is no NUL (strncpy_from_user_nofault).
  s64 (*read_user)(void* self, void* to, u64 address, u64 size);
  s64 (*read_user_str)(void* self, char* to, u64 address, u64 size);
  // The same for whom may sleep, so that pages come (kernel: copy_from_user, strncpy_from_user).
  s64 (*copy_user)(void* self, void* to, u64 address, u64 size);
  s64 (*copy_user_str)(void* self, char* to, u64 address, u64 size);
  // The memory of the task whose task_struct is at `task`, for whom may sleep: 0 or -EFAULT.
  s64 (*copy_task)(void* self, u64 task, void* to, u64 address, u64 size);
  s64 (*write_user)(void* self, u64 address, const void* from, u64 size);
  u64 (*clock)(void* self, int clock_id);
  void (*wake)(void* self, void* ring);             // a consumer of this ring buffer or perf buffer is to be woken
  void (*trace_printk)(void* self, Run* run, const char* text, u64 size);
  s64 (*send_signal)(void* self, u32 signal, bool to_group);
  s64 (*user_stack)(void* self, Run* run, u64* ips, u32 max);               // return addresses, innermost first
  void (*missing)(void* self, const char* what);                            // UNMODELED at run time
  u64 (*task_struct)(void* self, Run* run);         // arena address of the current task_struct, 0: cannot be made
  s64 (*kernel_stack)(void* self, Run* run, u64* ips, u32 max);             // as user_stack, of the modelled kernel
  u64 (*cgroup_at)(void* self, const Run* run, u32 level);  // id of the current cgroup's ancestor at a level, 0: below it
  u64 (*cgroup_above)(void* self, u64 cgroup, u32 level);   // the same of the cgroup with an id
  u64 (*test_object)(void* self);                   // arena address of prog_test_struct (contexts.h), 0: cannot be made
  void (*show_sock)(void* self, RunSock* sock);     // fills in RunSock::object
  bool (*symbol_at)(void* self, u64 address, KernelSymbol* to);             // kallsyms_lookup
  void (*object_read)(void* self, u64 address, u64 size);                   // a helper reads that of the arena
  u64 (*at_kernel_address)(void* self, u64 address, u64 size);              // where in the arena the kernel's data is, 0: nowhere
  // An object of a type of the kernel's, with BTF_F_* flags: the length that the whole text has, of which as much is there as
  // fits with a NUL; -EINVAL: no BTF, -ENOENT: no such type, -ERANGE, -EFAULT.
  s64 (*show_type)(void* self, Run* run, u32 type, u64 address, u64 flags, char* to, u64 size);
  s64 (*path_text)(void* self, u64 path, char* to, u64 size);               // d_path of a struct path in the arena, with its NUL
  u64 (*shown_context)(void* self, const Run* run);  // what the kernel has in the place of the program's context
  void (*breathe)(void* self);                      // others may go on now; null: there are none
  u64 (*symbol)(void* self, const char* name);      // kallsyms_lookup_name, 0: there is none
  u64 (*find_vma)(void* self, u64 task, u64 address);  // arena address of the vm_area_struct that has it, 0: none
  u64 (*task_regs)(void* self, Run* run, u64 task);    // arena address of the task's pt_regs, 0: cannot be made
  u64 (*per_cpu)(void* self, u64 symbol, u32 cpu);  // arena address of that CPU's copy of a per-CPU variable, 0: unknown
  // Count, time enabled and time running of a PerfEventState; 0: of the event whose program runs (kernel:
  // perf_event_read_local).
  s64 (*read_perf_event)(void* self, Run* run, u64 state, u64* to);
  const TimerServices* timers;
  const SyscallServices* syscalls;                  // of syscall programs; null: the program is none
  const TreeSocketServices* sockets;
  const SocketLookupServices* lookup;               // null: nothing can be looked up
  const SocketServices* socket;                     // of programs of cgroups; null: there is no call
  const SockServices* socks;
  const SecurityServices* security = nullptr;
  u64 (*function_entered)(void* self, Run* run, const RuntimeCall* call) = nullptr;  // RuntimeCall::listeners
  void (*function_left)(void* self, Run* run, const RuntimeCall* call, u64 result) = nullptr;
  // struct bpf_stack_build_id at `to` for each address of the task's code; null: nobody knows them.
  void (*build_ids)(void* self, Run* run, const u64* ips, u32 count, void* to) = nullptr;
  // Statistics of the cgroup whose struct is at an address (kernel: cgroup_rstat_updated, cgroup_rstat_flush).
  void (*cgroup_updated)(void* self, u64 cgroup, u32 cpu) = nullptr;
  void (*cgroup_flush)(void* self, Run* run, u64 cgroup) = nullptr;
  // Has the last user of a task_struct gone (kernel: its usage is 0)?
  bool (*task_ended)(void* self, u64 task) = nullptr;
  u64 (*packet_of)(void* self, u64 object) = nullptr;  // the RunSkb or RunXdp that a struct sk_buff or xdp_buff shows, 0: none
};

// The task an event belongs to, in the terms of the helpers.
struct RunTask {
  u32 tid, tgid;            // pid and tgid of the kernel
  u32 uid, gid;
  char comm[16];
  u64 task_struct;          // arena address of the BTF-laid-out task_struct, 0 until someone asked
  u64 cgroup_id;
  u32 ns_tid, ns_tgid;      // in the pid namespace that the tools see
  u64 ns_dev, ns_ino;
};

struct Run {
  const Env* env;
  Vcpu* cpu;
  RunTask* task;
  const ProgramText* program;
  void* context;            // R1 at entry
  PtRegs* regs;             // user registers of the event, for stacks; may be null
  u64 cookie;               // bpf_get_attach_cookie
  u64 func_ip;              // bpf_get_func_ip
  u64 return_ip;            // of the program, while a helper takes its stack
  u32 cpus;                 // number of possible CPUs
  u32 tail_calls;
  s32 breaths;              // jumps backwards and callbacks until the time is looked at
  u64 breathed;             // the time stamp counter when breathe() was last called
  u64 cgroup_storage[2];    // addresses of the values of the cgroup: shared, per CPU (kernel: bpf_cg_run_ctx)
  s32 retval;               // what the call of a program of a cgroup is to return (kernel: bpf_cg_run_ctx)
  u64 stack_base;           // interpreter's stack of frames
  bool counted;             // kernel.bpf_stats_enabled: runs count in ProgramText
  const u8* listened = nullptr;  // by RuntimeFunction: does somebody listen? Null: nobody does
  const Run* outer = nullptr;    // what passed the function that this program listens to
  bool uninstrumented = false;   // kernel: bpf_disable_instrumentation
  bool in_task_storage = false;  // kernel: bpf_task_storage_busy
};

// A loaded program as it runs. In the arena, next to its code. `entry` is its JIT code.
using ProgramEntry = u64 (*)(Run* run, void* context);
struct ProgramText {
  u32 id;
  u32 type;
  ProgramEntry entry;
  u64 tail_call_entry;      // where a tail call lands (past the prologue that resets the counter)
  u32 expected_attach_type;
  u32 flags;
  u64 stat_runs, stat_ns;  // while kernel.bpf_stats_enabled
  u64 stat_misses;         // it was running already
  u64 function_entry;      // where it runs in the place of another program's function
};

// A program that loops lets others go on, unless it holds a lock that they may want.
inline constexpr s32 kBreaths = 256;
inline constexpr u64 kBreathTicks = 100'000;  // of the time stamp counter: some ten microseconds
extern "C" void bpfemu_out_of_breath(Run* run);
// To be called once for each turn of a loop that a helper makes for a program; null: it is made for none.
inline void breathe(Run* run) {
  if (run && --run->breaths < 0) bpfemu_out_of_breath(run);
}
// The same for JIT code, where only r9 to r11 are free: the Run is in r12.
extern "C" void bpfemu_jit_breathe();

// Signature of every helper. Arguments that a helper does not take are ignored.
using HelperFn = u64 (*)(u64 r1, u64 r2, u64 r3, u64 r4, u64 r5, Run* run);

}  // namespace bpfemu
