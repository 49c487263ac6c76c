// SPDX-License-Identifier: Apache-2.0
// The ten programs, put right.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define SLOTS 32

struct histogram {
  __u64 slots[SLOTS];
};

struct event {
  __u32 pid;
  char comm[16];
};

struct write_args {
  __u64 unused;
  __s64 number;
  __u64 fd, buffer, count;
};

struct open_args {
  __u64 unused;
  __s64 number;
  __u64 directory;
  const char *path;
};

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1024);
  __type(key, __u32);
  __type(value, __u64);
} counts SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct histogram);
} sizes SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 4096);
} events SEC(".maps");

__u64 opens;

SEC("tracepoint/syscalls/sys_enter_openat")
int null_check(void *ctx) {
  __u32 pid = bpf_get_current_pid_tgid() >> 32;
  __u64 *count = bpf_map_lookup_elem(&counts, &pid);
  if (!count) return 0;
  *count += 1;
  return 0;
}

SEC("tracepoint/syscalls/sys_enter_write")
int unbounded_index(struct write_args *args) {
  __u32 zero = 0;
  struct histogram *histogram = bpf_map_lookup_elem(&sizes, &zero);
  if (!histogram) return 0;
  __u64 slot = args->count / 64;
  if (slot >= SLOTS) return 0;
  histogram->slots[slot]++;
  return 0;
}

SEC("tracepoint/syscalls/sys_enter_openat")
int stack_bounds(struct open_args *args) {
  char path[32];
  bpf_probe_read_user_str(path, sizeof(path), args->path);
  bpf_printk("%s", path);
  return 0;
}

SEC("tracepoint/syscalls/sys_enter_execve")
int unreleased(void *ctx) {
  struct event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
  if (!event) return 0;
  event->pid = bpf_get_current_pid_tgid() >> 32;
  if (bpf_get_current_comm(event->comm, sizeof(event->comm))) {
    bpf_ringbuf_discard(event, 0);
    return 0;
  }
  bpf_ringbuf_submit(event, 0);
  return 0;
}

SEC("tc")
int context_field(struct __sk_buff *skb) {
  return skb->tstamp ? 0 : -1;
}

SEC("tracepoint/syscalls/sys_enter_nanosleep")
int endless_loop(void *ctx) {
  __u64 end = bpf_ktime_get_ns() + 1000;
  for (int i = 0; i < 100 && bpf_ktime_get_ns() < end; ++i) {
  }
  return 0;
}

SEC("tracepoint/syscalls/sys_enter_openat")
int uninitialised(void *ctx) {
  int result = 0;
  if (ctx) __sync_fetch_and_add(&opens, 1);
  return result;
}

SEC("tracepoint/syscalls/sys_enter_openat")
int helper(void *ctx) {
  __u32 pid = bpf_get_current_pid_tgid() >> 32;
  bpf_printk("file for %u", pid);
  return 0;
}

SEC("xdp")
int packet_range(struct xdp_md *ctx) {
  void *data = (void *)(long)ctx->data;
  void *data_end = (void *)(long)ctx->data_end;
  struct ethhdr *ethernet = data;
  struct iphdr *ip = data + sizeof(*ethernet);
  if ((void *)(ip + 1) > data_end) return XDP_PASS;
  if (ethernet->h_proto != bpf_htons(ETH_P_IP)) return XDP_PASS;
  return ip->protocol == 1 ? XDP_DROP : XDP_PASS;
}

struct shuffled {
  __u32 sum;
};

static long shuffle_once(__u32 index, struct shuffled *shuffled) {
  shuffled->sum += bpf_get_prandom_u32() ^ index;
  return 0;
}

SEC("tracepoint/syscalls/sys_enter_getpid")
int too_complex(void *ctx) {
  struct shuffled shuffled = {};
  bpf_loop(500000, shuffle_once, &shuffled, 0);
  return shuffled.sum & 1;
}

char LICENSE[] SEC("license") = "GPL";
