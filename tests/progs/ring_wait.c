// SPDX-License-Identifier: Apache-2.0
// Waiting for ring buffers: poll() and select() look at the positions, epoll is woken; and what cannot be waited for.
#include "output.h"

struct ring {
  int map;
  volatile unsigned long *consumer, *producer;
};

static struct ring new_ring(void) {
  struct ring r = {new_map(BPF_MAP_TYPE_RINGBUF, 0, 0, 4096), NULL, NULL};
  static unsigned long nowhere[2];
  r.consumer = &nowhere[0], r.producer = &nowhere[1];
  if (!there_is_bpf) return r;
  r.consumer = map_pages(r.map, 1, PROT_READ | PROT_WRITE);
  r.producer = mmap(NULL, 3 * 4096, PROT_READ, MAP_SHARED, r.map, 4096);
  CHECK(r.consumer && r.producer != MAP_FAILED);
  return r;
}

static void consume(struct ring r) {
  *r.consumer = *r.producer;
}

static void produce(int program) {
  CHECK(!there_is_bpf || run_program(program) == 0);
}

int main(void) {
  setvbuf(stdout, NULL, _IONBF, 0);
  int hash = new_map(BPF_MAP_TYPE_HASH, 4, 4, 1);
  there_is_bpf = is_open(hash);
  struct ring r = new_ring();
  int loud = there_is_bpf ? load_ring_output(r.map, 0) : -1;
  int quiet = there_is_bpf ? load_ring_output(r.map, BPF_RB_NO_WAKEUP) : -1;
  int set = epoll_create1(0);
  say("add", there_is_bpf ? in_set(set, EPOLL_CTL_ADD, r.map, EPOLLIN) : 0, 0);

  say("poll while empty", polled(r.map, POLLIN), -1);
  say("select while empty", selected(r.map), 0);
  produce(quiet);
  say("poll without a wakeup", polled(r.map, POLLIN | POLLOUT), POLLIN);
  say("poll of output", polled(r.map, POLLOUT), -1);
  say("select without a wakeup", selected(r.map), 1);
  say("epoll without a wakeup", waited(set, 10), -1);
  int late = epoll_create1(0);
  if (there_is_bpf) in_set(late, EPOLL_CTL_ADD, r.map, EPOLLIN);
  say("a new set", waited(late, 0), EPOLLIN);
  close(late);
  consume(r);
  say("poll when consumed", polled(r.map, POLLIN), -1);
  say("epoll when consumed", waited(set, 10), -1);
  produce(loud);
  say("epoll", waited(set, 0), EPOLLIN);
  say("epoll, a level", waited(set, 0), EPOLLIN);
  consume(r);
  say("epoll when consumed", waited(set, 10), -1);

  // A pipe beside it: both are found in one go, and one is waited for.
  int ends[2];
  CHECK(pipe(ends) == 0 && write(ends[1], "x", 1) == 1);
  struct pollfd both[3] = {{r.map, POLLIN, 0}, {ends[0], POLLIN, 0}, {-1, POLLIN, 0}};
  say("the pipe alone", poll(both, 3, 1000), there_is_bpf ? 1 : 2);
  produce(quiet);
  say("both", there_is_bpf ? poll(both, 3, 1000) : 2, 2);
  say("the ring's", both[0].revents, POLLIN);
  say("the pipe's", both[1].revents, POLLIN);
  consume(r);

  say("poll of a hash map", polled(hash, POLLIN | POLLOUT), POLLERR);
  say("poll of a hash map for nothing", polled(hash, 0), POLLERR);
  say("select of a hash map", selected(hash), 1);
  say("poll of a program", polled(loud, POLLIN | POLLOUT), POLLIN | POLLOUT);
  say("a hash map in a set", there_is_bpf ? in_set(set, EPOLL_CTL_ADD, hash, EPOLLIN) : 0, 0);
  say("epoll of a hash map", waited(set, 10), EPOLLERR);
  say("a program in a set", there_is_bpf ? in_set(set, EPOLL_CTL_ADD, loud, EPOLLIN) : -1, -1);
  if (there_is_bpf) in_set(set, EPOLL_CTL_DEL, hash, 0);

  // The mapping keeps the file, and the set with it.
  int program = there_is_bpf ? dup(loud) : -1;
  if (there_is_bpf) close(r.map), close(hash);
  say("epoll of a closed ring", waited(set, 10), -1);
  produce(program);
  say("epoll of a closed ring with data", waited(set, 1000), EPOLLIN);
  consume(r);
  say("epoll of a closed ring, consumed", waited(set, 10), -1);
  return 0;
}
