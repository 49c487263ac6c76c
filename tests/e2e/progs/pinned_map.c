// SPDX-License-Identifier: Apache-2.0
// pinned_map OBJECT: pins the object's maps, filled, and prints what reading their files gives.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static unsigned char bytes[8192];

static int program;  // what program arrays get
static unsigned its_id;

static unsigned id_of(int fd) {
  struct bpf_prog_info info = {0};
  unsigned size = sizeof info;
  return bpf_obj_get_info_by_fd(fd, &info, &size) ? 0 : info.id;
}

static void fill_programs(const struct bpf_map* map) {
  for (unsigned index = 0; index < 3; index += 2) bpf_map_update_elem(bpf_map__fd(map), &index, &program, 0);
}

static void fill(const struct bpf_map* map, unsigned index) {
  unsigned char key[64] = {index};
  if (bpf_map__key_size(map) == 8) memcpy(key + 4, index ? "bb" : "ab", 2);
  for (unsigned i = 0; i < sizeof bytes; i++) bytes[i] = index ? 0 : (i * 37 + 11) & 0xff;
  if (index) {
    memcpy(bytes + 48, "abc", 4);
    bytes[8] = 'x', bytes[10] = 'y', bytes[11] = 1;
  } else {
    memcpy(bytes, "\5\0\0\0", 4);
  }
  bpf_map_update_elem(bpf_map__fd(map), bpf_map__key_size(map) ? key : NULL, bytes, 0);
}

static int open_error(const char* path, int flags) {
  const int fd = open(path, flags);
  if (fd >= 0) close(fd);
  return fd < 0 ? errno : 0;
}

// An id is another one each time, and shown as such when it is the right one.
static void print_line(const char* line, bool programs) {
  unsigned index, id;
  if (programs && sscanf(line, "%u: %u\n", &index, &id) == 2 && id == its_id) printf("%u: (the program's id)\n", index);
  else fputs(line, stdout);
}

static void print(const char* path, bool programs) {
  char* line = NULL;
  size_t capacity = 0;
  FILE* file = fopen(path, "re");
  if (!file) return (void)printf("errno %d, for writing too %d\n", errno, open_error(path, O_RDWR));
  while (getline(&line, &capacity, file) > 0) print_line(line, programs);
  free(line);
  fclose(file);
  struct stat st;
  stat(path, &st);
  printf("size %ld mode %o errno %d %d %d\n", (long)st.st_size, st.st_mode, open_error(path, O_RDWR), open_error(path, O_WRONLY),
         open_error(path, O_RDONLY | O_TRUNC));
}

int main(int count, char** words) {
  struct bpf_object* object = bpf_object__open(words[count - 1]);
  if (!object || bpf_object__load(object)) return 1;
  const char* path = "/sys/fs/bpf/shown";
  program = bpf_program__fd(bpf_object__find_program_by_name(object, "use_all"));
  its_id = id_of(program);
  struct bpf_map* map;
  bpf_object__for_each_map(map, object) {
    const char* dot = strrchr(bpf_map__name(map), '.');
    const bool programs = bpf_map__type(map) == BPF_MAP_TYPE_PROG_ARRAY;
    if (programs) fill_programs(map);
    else if (bpf_map__type(map) != BPF_MAP_TYPE_STRUCT_OPS) fill(map, 0), fill(map, 1);
    if (bpf_map__pin(map, path)) perror("pin");
    printf("%s\n", dot ? dot : bpf_map__name(map));
    print(path, programs);
    unlink(path);
  }
  bpf_program__pin(bpf_object__find_program_by_name(object, "use_all"), path);
  printf("program\n");
  print(path, false);
  unlink(path);
}
