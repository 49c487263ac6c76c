// SPDX-License-Identifier: Apache-2.0
// Maps whose keys and values have every kind of type that their files in bpffs show.
#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

enum color { RED, GREEN = 5, BLUE = -1 };
struct inner {
  int a;
  unsigned char b;
};
typedef int number;
struct value {
  int i;
  unsigned u;
  signed char sc;
  unsigned char uc;
  char c;
  _Bool yes;
  short s;
  unsigned short us;
  long long ll;
  unsigned long long ull;
  enum color known, unknown;
  char name[8];
  unsigned char bytes[4];
  int rows[2][2];
  struct inner pair[2];
  union {
    int x;
    unsigned char y[4];
  } either;
  unsigned bits3 : 3;
  unsigned bits5 : 5;
  int bits4 : 4;
  enum color color4 : 4;
  const number m;
  __int128 wide;
  struct {
    int q;
  };
  char empty[0];
  struct {
  } none;
  float f;
  double d;
  unsigned long long bits40 : 40;
};
struct key {
  int k;
  char n[4];
};

#define MAP(name, kind, entries, key_type, value_type)                                                        \
  struct {                                                                                                    \
    __uint(type, BPF_MAP_TYPE_##kind);                                                                        \
    __uint(max_entries, entries);                                                                             \
    __type(key, key_type);                                                                                    \
    __type(value, value_type);                                                                                \
  } name SEC(".maps")

MAP(array, ARRAY, 2, int, struct value);
MAP(hash, HASH, 4, struct key, long);
MAP(percpu_array, PERCPU_ARRAY, 2, int, struct inner);
MAP(percpu_hash, PERCPU_HASH, 1, struct key, struct inner);
MAP(lru, LRU_HASH, 2, int, int);
struct {
  __uint(type, BPF_MAP_TYPE_QUEUE);
  __uint(max_entries, 2);
  __type(value, int);
} queue SEC(".maps");
MAP(prog_array, PROG_ARRAY, 3, int, int);
struct {
  __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
  __uint(max_entries, 1);
  __uint(key_size, 4);
  __uint(value_size, 4);
} prog_array_no_btf SEC(".maps");
#define STORAGE(name, kind, key_type)          \
  struct {                                     \
    __uint(type, BPF_MAP_TYPE_##kind##STORAGE); \
    __type(key, key_type);                     \
    __type(value, struct inner);               \
  } name SEC(".maps")
STORAGE(cgroup_storage, CGROUP_, struct bpf_cgroup_storage_key);
STORAGE(cgroup_storage_shared, CGROUP_, __u64);
STORAGE(cgroup_storage_percpu, PERCPU_CGROUP_, struct bpf_cgroup_storage_key);
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __uint(key_size, 4);
  __uint(value_size, 4);
} no_btf SEC(".maps");

int answer = 42;
struct inner both = {1, 2};
const volatile char text[6] = "hi\n";
static int zero;

SEC("socket") int use_all(void* context) {
  struct inner* p = &both;
  (void)context;
  return ++zero + answer + text[0] + p->a;
}

// As much of the kernel's structure as is needed here; libbpf finds the members by their names.
struct sock;
struct tcp_congestion_ops {
  unsigned (*ssthresh)(struct sock*);
  char name[16];
};
SEC("struct_ops/threshold") unsigned BPF_PROG(threshold, struct sock* socket) { return socket != 0; }
SEC(".struct_ops") struct tcp_congestion_ops congestion = {.ssthresh = (void*)threshold, .name = "shown"};

char _license[] SEC("license") = "GPL";
