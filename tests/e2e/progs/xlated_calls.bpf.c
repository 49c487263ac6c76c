// SPDX-License-Identifier: Apache-2.0
// Calls in whose place the kernel puts instructions or others, for xlated: xlated_calls-6.1.txt is what bpftool printed of
// them on a real 6.1, the names of the functions in kallsyms included.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define MAP(name, kind, key_type, value_type)   \
  struct {                                      \
    __uint(type, BPF_MAP_TYPE_##kind);          \
    __type(key, key_type);                      \
    __type(value, value_type);                  \
    __uint(max_entries, 8);                     \
  } name SEC(".maps")

struct clock {
  struct bpf_timer timer;
};
struct address {
  unsigned length;
  unsigned bytes;
};
MAP(numbers, ARRAY, int, long);
MAP(hash, HASH, int, long);
MAP(each_hash, PERCPU_HASH, int, long);
MAP(each_lru, LRU_PERCPU_HASH, int, long);
MAP(each_array, PERCPU_ARRAY, int, long);
MAP(clocks, ARRAY, int, struct clock);
MAP(programs, PROG_ARRAY, int, int);
MAP(more_programs, PROG_ARRAY, int, int);
MAP(sockets, XSKMAP, int, int);
MAP(processors, CPUMAP, int, int);
MAP(devices, DEVMAP_HASH, int, int);

struct {
  __uint(type, BPF_MAP_TYPE_LPM_TRIE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, struct address);
  __type(value, long);
  __uint(max_entries, 8);
} trie SEC(".maps");
struct {
  __uint(type, BPF_MAP_TYPE_QUEUE);
  __uint(value_size, 8);
  __uint(max_entries, 8);
} queue SEC(".maps");
struct {
  __uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
  __uint(value_size, 8);
  __uint(max_entries, 8);
} bloom SEC(".maps");
struct inner {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __type(key, int);
  __type(value, long);
  __uint(max_entries, 4);
} one SEC(".maps");
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
  __uint(max_entries, 2);
  __type(key, int);
  __array(values, struct inner);
} arrays SEC(".maps") = {.values = {&one}};
struct {
  __uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
  __uint(max_entries, 2);
  __type(key, int);
  __array(values, struct inner);
} hashes SEC(".maps") = {.values = {&one}};
struct {
  __uint(type, BPF_MAP_TYPE_TASK_STORAGE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, int);
  __type(value, long);
} tasks SEC(".maps");

long seen;

static long add(unsigned index, void* context) {
  *(long*)context += index;
  return 0;
}
static long leave(unsigned index, void* context) { return 1; }

SEC("tp/syscalls/sys_enter_openat") int loops(void* context) {
  long sum = 0;
  bpf_loop(10, add, &sum, 0);
  bpf_loop(bpf_get_prandom_u32(), leave, &sum, 0);
  return sum;
}

SEC("tp/syscalls/sys_enter_openat") int loop_flags(void* context) {
  long sum = 0;
  bpf_loop(10, add, &sum, bpf_get_prandom_u32());
  return sum;
}

static int ring(void* map, int* key, struct clock* clock) { return 0; }

SEC("tc") int timers(struct __sk_buff* context) {
  int key = 1;
  struct clock* clock = bpf_map_lookup_elem(&clocks, &key);
  if (!clock) return 0;
  bpf_timer_init(&clock->timer, &clocks, 1);
  bpf_timer_set_callback(&clock->timer, ring);
  bpf_timer_start(&clock->timer, 1000, 0);
  return 0;
}

static int count(void* map, int* key, long* value, void* context) { return 0; }

SEC("tp/syscalls/sys_enter_openat") int elements(void* context) {
  int key = 1;
  long* value;
  struct address address = {32, 1};
  bpf_for_each_map_elem(&numbers, count, 0, 0);
  bpf_for_each_map_elem(&each_array, count, 0, 0);
  bpf_for_each_map_elem(&each_lru, count, 0, 0);
  long sum = (value = bpf_map_lookup_percpu_elem(&each_hash, &key, 0)) ? *value : 0;
  sum += (value = bpf_map_lookup_percpu_elem(&each_array, &key, 1)) ? *value : 0;
  sum += (value = bpf_map_lookup_percpu_elem(&each_lru, &key, 1)) ? *value : 0;
  sum += (value = bpf_map_lookup_elem(&each_lru, &key)) ? *value : 0;
  sum += (value = bpf_map_lookup_elem(&trie, &address)) ? *value : 0;
  bpf_map_update_elem(&trie, &address, &sum, 0);
  bpf_map_delete_elem(&trie, &address);
  bpf_map_push_elem(&queue, &sum, 0);
  bpf_map_peek_elem(&queue, &sum);
  bpf_map_pop_elem(&queue, &sum);
  bpf_map_push_elem(&bloom, &sum, 0);
  bpf_map_peek_elem(&bloom, &sum);
  bpf_map_update_elem(&each_lru, &key, &sum, 0);
  bpf_map_delete_elem(&each_lru, &key);
  bpf_map_delete_elem(&each_hash, &key);
  return sum;
}

SEC("tp/syscalls/sys_enter_openat") int of_maps(void* context) {
  int key = 1;
  void* map = bpf_map_lookup_elem(&arrays, &key);
  long* value = map ? bpf_map_lookup_elem(map, &key) : 0;
  long sum = value ? *value : 0;
  map = bpf_map_lookup_elem(&hashes, &key);
  value = map ? bpf_map_lookup_elem(map, &key) : 0;
  return value ? sum + *value : sum;
}

// The same call reached with two maps calls the helper.
SEC("tp/syscalls/sys_enter_openat") int several_maps(void* context) {
  int key = 1;
  void* map = bpf_get_prandom_u32() & 1 ? (void*)&numbers : (void*)&hash;
  long* value;
  asm volatile("r1 = %1; r2 = %2; call 1; %0 = r0" : "=r"(value) : "r"(map), "r"(&key) : "r0", "r1", "r2", "r3", "r4", "r5");
  return value ? 1 : 0;
}

SEC("tp/syscalls/sys_enter_openat") int tail_calls(void* context) {
  bpf_tail_call_static(context, &programs, 1);
  bpf_tail_call_static(context, &more_programs, 2);
  bpf_tail_call(context, &programs, bpf_get_prandom_u32());
  bpf_tail_call_static(context, &programs, 7);
  return 0;
}

SEC("xdp") int redirects(struct xdp_md* context) {
  int key = 1;
  if (bpf_map_lookup_elem(&sockets, &key)) return bpf_redirect_map(&sockets, 1, XDP_DROP);
  if (bpf_map_lookup_elem(&devices, &key)) return bpf_redirect_map(&devices, 1, XDP_DROP);
  return bpf_redirect_map(&processors, 1, XDP_DROP);
}

SEC("fexit/bpf_fentry_test2") int trampoline(__u64* context) {
  __u64 value = bpf_get_func_ip(context) + bpf_get_func_arg_cnt(context), argument = 0, result = 0;
  bpf_get_func_arg(context, bpf_get_prandom_u32(), &argument);
  bpf_get_func_ret(context, &result);
  bpf_task_storage_get(&tasks, bpf_get_current_task_btf(), 0, 1);
  seen = value + argument + result;
  return 0;
}

SEC("fentry/bpf_fentry_test2") int entered(__u64* context) {
  __u64 result = 0;
  seen = bpf_get_func_ret(context, &result);
  return 0;
}


struct sock {
  int anything;
};
extern int bpf_kfunc_call_test2(struct sock* sock, __u32 a, __u32 b) __ksym;

SEC("tc") int kernel_function(struct __sk_buff* context) {
  struct bpf_sock* sock = context->sk ? bpf_sk_fullsock(context->sk) : 0;
  return sock ? bpf_kfunc_call_test2((struct sock*)sock, 1, 2) : 0;
}

// Functions of its own, whose tags need no address.
static __attribute__((noinline)) int halve(int value) {
  asm volatile("" : "+r"(value));
  return (unsigned)value / 2 + bpf_get_smp_processor_id();
}
static __attribute__((noinline)) int quarter(int value) {
  asm volatile("" : "+r"(value));
  return halve(halve(value)) + bpf_ktime_get_ns() % 2;
}
SEC("tp/syscalls/sys_enter_openat") int functions(void* context) {
  long sum = 0;
  bpf_loop(bpf_get_prandom_u32(), add, &sum, bpf_get_prandom_u32());
  return quarter(bpf_get_prandom_u32()) + sum;
}

char LICENSE[] SEC("license") = "GPL";
