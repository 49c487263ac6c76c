// SPDX-License-Identifier: Apache-2.0
// bpftool_attach OBJECT FOLDER PIDFILE: attaches each program of the object and pins its link in FOLDER. A process whose
// pid goes into PIDFILE holds them all open, so that tools find them there, too.
#include <bpf/libbpf.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char** argv)
{
  if (argc != 4)
    return 2;
  struct bpf_object* object = bpf_object__open_file(argv[1], NULL);
  if (!object || bpf_object__load(object) != 0 || mkdir(argv[2], 0700) != 0)
    return 1;
  struct bpf_program* program;
  bpf_object__for_each_program(program, object) {
    struct bpf_link* link = bpf_program__attach(program);
    char path[256];
    snprintf(path, sizeof path, "%s/%s", argv[2], bpf_program__name(program));
    if (!link || bpf_link__pin(link, path) != 0)
      perror(path);
  }
  pid_t holder = fork();
  if (holder == 0) {
    freopen("/dev/null", "w", stdout);
    freopen("/dev/null", "w", stderr);
    pause();
    return 0;
  }
  FILE* file = fopen(argv[3], "w");
  return file && fprintf(file, "%d\n", holder) > 0 && fclose(file) == 0 ? 0 : 1;
}
