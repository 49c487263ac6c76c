// SPDX-License-Identifier: Apache-2.0
// Maps whose elements are descriptors.
#include <fcntl.h>

#include "tests/oracle/oracle.h"

namespace oracle {

namespace {

void ask_programs() {
  int array = make_map({BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 2});
  int filter = make_program(BPF_PROG_TYPE_SOCKET_FILTER, nothing());
  int other = make_program(BPF_PROG_TYPE_TRACEPOINT, nothing());
  u32 key = 0, far = 2, value = static_cast<u32>(filter), read = 0;
  say("prog array/lookup of nothing", lookup(array, &key, &read));
  say("prog array/delete of nothing", erase(array, &key));
  say("prog array/update", update(array, &key, &value));
  say("prog array/update absent only", update(array, &key, &value, BPF_NOEXIST));
  say("prog array/update out of range", update(array, &far, &value));
  say("prog array/lookup", lookup(array, &key, &read));
  say("prog array/lookup gives an id", read != 0);
  say("prog array/lookup out of range", lookup(array, &far, &read));
  value = static_cast<u32>(other);
  say("prog array/update with another type", update(array, &key, &value));
  value = static_cast<u32>(array);
  say("prog array/update with a map", update(array, &key, &value));
  value = ~0u;
  say("prog array/update with nothing", update(array, &key, &value));
  u32 next = 0;
  say("prog array/first key", next_key(array, nullptr, &next));
  say("prog array/delete", erase(array, &key));
  say("prog array/delete again", erase(array, &key));
  say("prog array/delete out of range", erase(array, &far));
  close(other), close(filter), close(array);
}

void ask_events() {
  int array = make_map({BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 2});
  u32 key = 0, far = 2, value = ~0u, read = 0;
  say("event array/update with nothing", update(array, &key, &value));
  value = static_cast<u32>(array);
  say("event array/update with a map", update(array, &key, &value));
  value = 0;
  say("event array/update with a file", update(array, &key, &value));
  say("event array/update out of range", update(array, &far, &value));
  say("event array/update with a flag", update(array, &key, &value, BPF_NOEXIST));
  say("event array/lookup", lookup(array, &key, &read));
  say("event array/delete of nothing", erase(array, &key));
  say("event array/delete out of range", erase(array, &far));
  close(array);
  int groups = make_map({BPF_MAP_TYPE_CGROUP_ARRAY, 4, 4, 2});
  value = static_cast<u32>(groups);
  say("cgroup array/update with a map", update(groups, &key, &value));
  value = ~0u;
  say("cgroup array/update with nothing", update(groups, &key, &value));
  int folder = open("/", O_RDONLY | O_DIRECTORY);
  value = static_cast<u32>(folder);
  say("cgroup array/update with a folder", update(groups, &key, &value));
  say("cgroup array/lookup", lookup(groups, &key, &read));
  say("cgroup array/delete", erase(groups, &key));
  close(folder), close(groups);
}

void ask_maps(const std::string& name, u32 type) {
  auto create = [&](int inner, const char* what) {
    bpf_attr attr = map_attr({type});
    attr.inner_map_fd = static_cast<u32>(inner);
    long r = bpf(BPF_MAP_CREATE, attr);
    say(name + "/create over " + what, r < 0 ? text(r) : "fd");
    return static_cast<int>(r);
  };
  int inner = make_map({BPF_MAP_TYPE_ARRAY, 4, 8, 2});
  int larger = make_map({BPF_MAP_TYPE_ARRAY, 4, 8, 3});
  int same = make_map({BPF_MAP_TYPE_ARRAY, 4, 8, 2});
  int hash = make_map({BPF_MAP_TYPE_HASH, 4, 8, 2});
  int programs = make_map({BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 2});
  create(-1, "nothing");
  create(0, "a file");
  create(programs, "a program array");
  int outer = create(inner, "an array");
  if (outer < 0) return;
  create(outer, "itself");
  u32 key = 1, value = static_cast<u32>(same), read = 0, far = 1000;
  say(name + "/lookup of nothing", lookup(outer, &key, &read));
  say(name + "/update", update(outer, &key, &value));
  say(name + "/lookup", lookup(outer, &key, &read));
  say(name + "/lookup gives an id", read != 0);
  say(name + "/update existing only", update(outer, &key, &value, BPF_EXIST));
  say(name + "/update absent only", update(outer, &key, &value, BPF_NOEXIST));
  say(name + "/update far away", update(outer, &far, &value));
  value = static_cast<u32>(larger);
  say(name + "/update with a larger array", update(outer, &key, &value));
  value = static_cast<u32>(hash);
  say(name + "/update with a hash", update(outer, &key, &value));
  value = ~0u;
  say(name + "/update with nothing", update(outer, &key, &value));
  say(name + "/first key", next_key(outer, nullptr, &read));
  say(name + "/delete", erase(outer, &key));
  say(name + "/delete again", erase(outer, &key));
  for (int fd : {outer, inner, larger, same, hash, programs}) close(fd);
}

}  // namespace

void ask_map_descriptors() {
  ask_programs();
  ask_events();
  ask_maps("array of maps", BPF_MAP_TYPE_ARRAY_OF_MAPS);
  ask_maps("hash of maps", BPF_MAP_TYPE_HASH_OF_MAPS);
}

}  // namespace oracle
