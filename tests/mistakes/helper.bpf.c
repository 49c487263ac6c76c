// SPDX-License-Identifier: Apache-2.0
// A packet has no current process.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("xdp")
int count_packets(struct xdp_md *ctx) {
  __u32 pid = bpf_get_current_pid_tgid() >> 32;
  bpf_printk("packet for %u", pid);
  return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
