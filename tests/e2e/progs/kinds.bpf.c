// SPDX-License-Identifier: Apache-2.0
// A program of each kind whose section tells libbpf more than a type. With -DREFUSED each reads what it may not.
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/usdt.bpf.h>

char LICENSE[] SEC("license") = "GPL";

#ifdef REFUSED
#define READ *(volatile int *)1
#else
#define READ 0
#endif

SEC("usdt/./server:provider:name")
int BPF_USDT(usdt_there, int first, long second) {
  bpf_printk("%d %ld %llx", first, second, bpf_usdt_cookie(ctx));
  return READ;
}
SEC("usdt")
int usdt_anywhere(struct pt_regs *ctx) {
  long value;
  return bpf_usdt_arg(ctx, 1, &value) + bpf_usdt_arg_cnt(ctx) + READ;
}
SEC("uprobe//usr/bin/bash:main")
int BPF_KPROBE(user, int number) {
  return number + READ;
}
SEC("uretprobe")
int BPF_KRETPROBE(user_returns, int result) {
  return result + READ;
}
SEC("uprobe.s")
int BPF_KPROBE(user_sleeps, char *text) {
  char bytes[8];
  return bpf_copy_from_user(bytes, sizeof bytes, text) + READ;
}
SEC("kprobe.multi/ksys_*")
int BPF_KPROBE(kernel_multi) {
  return (bpf_get_func_ip(ctx) != 0) + READ;
}
SEC("kretprobe.multi/ksys_read")
int BPF_KRETPROBE(kernel_multi_returns, long result) {
  return result + READ;
}
SEC("ksyscall/getpid")
int BPF_KPROBE(system_call) {
  return READ;
}
struct bpf_iter_meta {
  struct seq_file *seq;
} __attribute__((preserve_access_index));
struct bpf_iter__task {
  struct bpf_iter_meta *meta;
  void *task;
} __attribute__((preserve_access_index));
SEC("iter/task")
int iterator(struct bpf_iter__task *ctx) {
  static const char text[] = "a task\n";
  if (ctx->task) bpf_seq_write(ctx->meta->seq, text, sizeof text - 1);
  return READ;
}
SEC("lsm/file_open")
int BPF_PROG(security, void *file) {
  return READ;
}
SEC("lsm.s/bprm_check_security")
int BPF_PROG(security_sleeps, void *binary) {
  return READ;
}
SEC("lsm_cgroup/socket_bind")
int BPF_PROG(security_of_cgroup, void *socket) {
  return 1 + READ;
}
SEC("tp_btf/sched_switch")
int BPF_PROG(tracepoint, bool preempted) {
  return READ;
}
SEC("raw_tp.w/bpf_test_finish")
int raw_tp_writes(void *ctx) {
  return READ;
}
SEC("fexit/do_unlinkat")
int BPF_PROG(function_exit) {
  return READ;
}

struct tcp_congestion_ops {
  char name[16];
  unsigned int (*ssthresh)(void *socket);
  void (*cong_avoid)(void *socket, unsigned int ack, unsigned int acked);
  unsigned int (*undo_cwnd)(void *socket);
};
SEC("struct_ops/ssthresh")
unsigned int BPF_PROG(ssthresh, void *socket) {
  return 2 + READ;
}
SEC("struct_ops/cong_avoid")
void BPF_PROG(cong_avoid, void *socket, unsigned int ack, unsigned int acked) {
  (void)READ;
}
SEC("struct_ops/undo_cwnd")
unsigned int BPF_PROG(undo_cwnd, void *socket) {
  return 2 + READ;
}
SEC(".struct_ops")
struct tcp_congestion_ops control = {
    .name = "bpf_ours", .ssthresh = (void *)ssthresh, .cong_avoid = (void *)cong_avoid, .undo_cwnd = (void *)undo_cwnd};
