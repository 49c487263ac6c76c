// SPDX-License-Identifier: Apache-2.0
// Known events in known numbers: 1000 getppid, 100 calls of hit(i, "label") from each of THREADS threads.
// usage: calls [THREADS]
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static volatile long sink;
static const char label[] = "label";

__attribute__((noinline, noclone)) long hit(long i, const char *text) {
  sink += i + text[0];
  return i * 2;
}

static void *hits(void *unused) {
  (void)unused;
  for (long i = 0; i < 100; i++) hit(i, label);
  return NULL;
}

int main(int argc, char **argv) {
  int threads = argc > 1 ? atoi(argv[1]) : 1;
  pthread_t ids[64];
  sink = *(const volatile char *)label;  // programs see nothing of a page that was not touched yet
  for (int i = 0; i < 1000; i++) syscall(SYS_getppid);
  for (int i = 0; i < threads && i < 64; i++) pthread_create(&ids[i], NULL, hits, NULL);
  for (int i = 0; i < threads && i < 64; i++) pthread_join(ids[i], NULL);
  return 0;
}
