// SPDX-License-Identifier: Apache-2.0
// Attaches a uprobe to its own greet(), calls it a few times and prints what the probe saw.
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "hello.h"
#include "hello.skel.h"

__attribute__((noinline)) int greet(const char *name, int times) {
  asm volatile("" ::"r"(name));
  return times + 1;
}

static int on_event(void *context, void *data, size_t size) {
  const struct event *event = data;
  (void)context;
  (void)size;
  printf("greet(\"%s\", %d)%s\n", event->name, event->times, event->pid == getpid() ? "" : " by another process");
  return 0;
}

int main(void) {
  static const char *const names[] = {"world", "eBPF", "nobody"};
  struct hello *skel = hello__open();
  if (!skel) return 1;
  skel->rodata->only_pid = getpid();
  int error = hello__load(skel);
  if (error) goto out;

  LIBBPF_OPTS(bpf_uprobe_opts, options, .func_name = "greet");
  skel->links.on_greet = bpf_program__attach_uprobe_opts(skel->progs.on_greet, -1, "/proc/self/exe", 0, &options);
  if (!skel->links.on_greet) {
    error = -errno;
    goto out;
  }
  struct ring_buffer *ring = ring_buffer__new(bpf_map__fd(skel->maps.events), on_event, NULL, NULL);
  if (!ring) {
    error = -errno;
    goto out;
  }
  for (int i = 0; i < 3; i++) greet(names[i], i + 1);
  while (ring_buffer__poll(ring, 100) > 0) {
  }
  printf("%ld calls\n", skel->bss->calls);
  ring_buffer__free(ring);
out:
  hello__destroy(skel);
  if (error) fprintf(stderr, "hello: %s\n", strerror(-error));
  return error != 0;
}
