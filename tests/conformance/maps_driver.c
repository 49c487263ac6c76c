// SPDX-License-Identifier: Apache-2.0
// One function of the kernel's test_maps at a time: "maps_driver -l" lists them, "maps_driver NAME" runs one, as
// test_maps does with all. Built beside test_maps.c, which it includes.
#define main run_them_all
#include "test_maps.c"
#undef main

// Those that test_maps runs with preallocated maps and again without.
#define TESTS(X)                                                                                                        \
  X(hashmap, (0, NULL)) X(hashmap_percpu, (0, NULL)) X(hashmap_walk, (0, NULL)) X(hashmap_zero_seed, ())                 \
  X(arraymap, (0, NULL)) X(arraymap_percpu, (0, NULL)) X(arraymap_percpu_many_keys, ()) X(devmap, (0, NULL))             \
  X(devmap_hash, (0, NULL)) X(sockmap, (0, NULL)) X(map_large, ()) X(map_parallel, ()) X(map_stress, ())                 \
  X(map_rdonly, ()) X(map_wronly, ()) X(reuseport_array, ()) X(queuemap, (0, NULL)) X(stackmap, (0, NULL))               \
  X(map_in_map, ())

static int run_one(const char* name) {
#define RUN(test, arguments)                                         \
  if (strcmp(name, #test) == 0 || strcmp(name, #test ":no_prealloc") == 0) { \
    test_##test arguments;                                           \
    return 1;                                                        \
  }
  TESTS(RUN)
#define DEFINE_TEST(test) RUN(test, ())
#include <map_tests/tests.h>
#undef DEFINE_TEST
  return 0;
}

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  if (strcmp(argv[1], "-l") == 0) {
#define LIST(test, arguments) printf(#test "\n" #test ":no_prealloc\n");
    TESTS(LIST)
#define DEFINE_TEST(test) printf(#test "\n");
#include <map_tests/tests.h>
#undef DEFINE_TEST
    return 0;
  }
  srand(1);
  libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
  map_opts.map_flags = strstr(argv[1], ":no_prealloc") ? BPF_F_NO_PREALLOC : 0;
  if (!run_one(argv[1])) return 2;
  printf("OK, %d skipped\n", skips);
  return 0;
}
