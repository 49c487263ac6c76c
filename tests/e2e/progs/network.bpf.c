// SPDX-License-Identifier: Apache-2.0
// Passes all packets.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp")
int pass(struct xdp_md *context) {
  return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
