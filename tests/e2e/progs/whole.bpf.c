// SPDX-License-Identifier: Apache-2.0
// What a loader completes while it loads an object: maps that hold maps and programs, the kernel's configuration and
// symbols, operations of a kernel structure. Each program is accepted, whatever the others are. Run with -DBROKEN: one
// is refused that others refer to. With -DMISFIT: all are accepted, and two do not go together.
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <linux/types.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

int called(void *ctx);
int other(struct xdp_md *ctx);
struct {
  __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
  __uint(max_entries, 2);
  __uint(key_size, 4);
  __array(values, int(void *));
} jumps SEC(".maps") = {.values = {
                            [0] = (void *)&called,
#ifdef MISFIT
                            [1] = (void *)&other,
#endif
                        }};

struct numbers {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u32);
} first SEC(".maps"), second SEC(".maps");
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
  __uint(max_entries, 2);
  __type(key, __u32);
  __array(values, struct numbers);
} maps SEC(".maps") = {.values = {&first, &second}};

extern int LINUX_KERNEL_VERSION __kconfig;
extern bool CONFIG_BPF_SYSCALL __kconfig;
extern unsigned CONFIG_THAT_NO_KERNEL_HAS __kconfig __weak;
extern const void bpf_prog_active __ksym;
extern const void a_symbol_that_no_kernel_has __ksym __weak;

SEC("raw_tp/sys_enter")
int called(void *ctx) {
#ifdef BROKEN
  return *(int *)ctx + *(int *)8;
#else
  return 0;
#endif
}

SEC("raw_tp/sys_enter")
int calls(void *ctx) {
  bpf_tail_call(ctx, &jumps, 0);
  return 0;
}

SEC("raw_tp/sys_enter")
int looks_up(void *ctx) {
  __u32 zero = 0;
  void *inner = bpf_map_lookup_elem(&maps, &zero);
  if (!inner) return 0;
  __u32 *value = bpf_map_lookup_elem(inner, &zero);
  return value ? *value : 0;
}

SEC("raw_tp/sys_enter")
int asks(void *ctx) {
  bpf_printk("%p", &bpf_prog_active);
  return LINUX_KERNEL_VERSION > 0 && CONFIG_BPF_SYSCALL && !CONFIG_THAT_NO_KERNEL_HAS && !&a_symbol_that_no_kernel_has;
}

SEC("xdp")
int other(struct xdp_md *ctx) {
  return XDP_PASS;
}

SEC("?kprobe/do_unlinkat")
int not_by_itself(struct pt_regs *ctx) {
  return 0;
}

SEC("a_section_of_our_own")
int ours(struct pt_regs *ctx) {
  return ctx->rdi != 0;
}

SEC("freplace")
int replaces(struct __sk_buff *ctx) {
  return ctx->len;
}

// What libbpf looks at, of the kernel's structure.
struct sock;
struct tcp_congestion_ops {
  __u32 (*ssthresh)(struct sock *sk);
  void (*cong_avoid)(struct sock *sk, __u32 ack, __u32 acked);
  __u32 (*undo_cwnd)(struct sock *sk);
  char name[16];
};

SEC("struct_ops/ssthresh")
__u32 BPF_PROG(ssthresh, struct sock *sk) {
  return 2;
}
SEC("struct_ops/cong_avoid")
void BPF_PROG(cong_avoid, struct sock *sk, __u32 ack, __u32 acked) {}
SEC("struct_ops/undo_cwnd")
__u32 BPF_PROG(undo_cwnd, struct sock *sk) {
  return 2;
}
SEC(".struct_ops")
struct tcp_congestion_ops congestion = {.ssthresh = (void *)ssthresh,
                                        .cong_avoid = (void *)cong_avoid,
                                        .undo_cwnd = (void *)undo_cwnd,
                                        .name = "bpf_of_our_own"};
