// SPDX-License-Identifier: Apache-2.0
// While maps are mapped, another thread copies whatever descriptors there are, and looks into other threads' tables: what is
// the supervisor's own is never among them.
#include "output.h"

#include <dirent.h>
#include <sys/stat.h>

enum { kMaps = 300, kMost = 64 };

static atomic_int over;

// A file that no folder knows, and that nobody here has made.
static int is_strange(int fd) {
  struct stat file;
  return fd >= 0 && fstat(fd, &file) == 0 && S_ISREG(file.st_mode) && file.st_nlink == 0 && file.st_size >= 1 << 20;
}

static int look(int fd) {
  const int found = is_strange(fd);
  if (fd >= 0) close(fd);
  return found;
}

static void* hunt(void* found) {
  while (!over) {
    for (int fd = 3; fd < kMost; ++fd) *(int*)found += look(dup(fd));
    DIR* threads = opendir("/proc/self/task");
    for (struct dirent* each; threads && (each = readdir(threads));) {
      char path[300];
      for (int fd = 3; fd < 12; ++fd) {
        snprintf(path, sizeof path, "/proc/self/task/%s/fd/%d", each->d_name, fd);
        if (each->d_name[0] != '.') *(int*)found += look(open(path, O_RDWR | O_NONBLOCK));
      }
    }
    if (threads) closedir(threads);
  }
  return NULL;
}

int main(void) {
  pthread_t hunter;
  int found = 0, mapped = 0;
  union bpf_attr attr = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4096, .max_entries = 4};
  attr.map_flags = BPF_F_MMAPABLE;
  const int map = bpf_call(BPF_MAP_CREATE, &attr), ring = new_map(BPF_MAP_TYPE_RINGBUF, 0, 0, 4096);
  there_is_bpf = is_open(map);
  CHECK(pthread_create(&hunter, NULL, hunt, &found) == 0);
  for (int i = 0; i < kMaps && there_is_bpf; ++i) {
    char* const area = map_pages(map, 4, PROT_READ | PROT_WRITE);
    char* const data = mmap(NULL, 3 * 4096, PROT_READ, MAP_SHARED, ring, 4096);
    if (area) area[5] = (char)i, mapped += area[5] == (char)i;
    if (area) munmap(area, 4 * 4096);
    if (data != MAP_FAILED) ++mapped, munmap(data, 3 * 4096);
  }
  over = 1;
  pthread_join(hunter, NULL);
  say("mapped", mapped, 2 * kMaps);
  say("found", found, 0);
}
