// SPDX-License-Identifier: Apache-2.0
// pinned_map OBJECT: pins the object's maps, filled, and prints what reading their files gives.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static unsigned char bytes[8192];

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

static void print(const char* path) {
  char buffer[4096];
  ssize_t size;
  const int fd = open(path, O_RDONLY);
  if (fd < 0) return (void)printf("errno %d, for writing too %d\n", errno, open_error(path, O_RDWR));
  while ((size = read(fd, buffer, sizeof buffer)) > 0) fwrite(buffer, 1, size, stdout);
  close(fd);
  struct stat st;
  stat(path, &st);
  printf("size %ld mode %o errno %d %d %d\n", (long)st.st_size, st.st_mode, open_error(path, O_RDWR), open_error(path, O_WRONLY),
         open_error(path, O_RDONLY | O_TRUNC));
}

int main(int count, char** words) {
  struct bpf_object* object = bpf_object__open(words[count - 1]);
  if (!object || bpf_object__load(object)) return 1;
  const char* path = "/sys/fs/bpf/shown";
  struct bpf_map* map;
  bpf_object__for_each_map(map, object) {
    const char* dot = strrchr(bpf_map__name(map), '.');
    fill(map, 0);
    fill(map, 1);
    if (bpf_map__pin(map, path)) perror("pin");
    printf("%s\n", dot ? dot : bpf_map__name(map));
    print(path);
    unlink(path);
  }
  bpf_program__pin(bpf_object__next_program(object, NULL), path);
  printf("program\n");
  print(path);
  unlink(path);
}
