// SPDX-License-Identifier: Apache-2.0
// Waiting for perf buffers: a wakeup is reported once, and when it comes is what wakeup_events and watermarks say.
#include "output.h"

static int map, program;

static void produce(int times) {
  for (int i = 0; there_is_bpf && i < times; ++i) CHECK(run_program(program) == 0);
}

struct buffer {
  int event;
  struct perf_event_mmap_page* page;
};

static struct buffer new_buffer(struct perf_event_attr attr) {
  struct buffer b = {open_output(&attr), NULL};
  say("readable before it is mapped", polled(b.event, POLLIN), POLLHUP);
  b.page = map_pages(b.event, 2, attr.write_backward ? PROT_READ : PROT_READ | PROT_WRITE);
  put_event(map, b.event);
  say("readable while empty", polled(b.event, POLLIN), -1);
  return b;
}

static void end_buffer(struct buffer b) {
  if (!there_is_bpf) return;
  munmap(b.page, 2 * 4096);
  close(b.event);
}

static long head(struct buffer b) {
  return there_is_bpf ? (long)b.page->data_head : 0;
}

static void every_record(void) {
  struct buffer b = new_buffer((struct perf_event_attr){.wakeup_events = 1});
  produce(1);
  say("poll", polled(b.event, POLLIN), POLLIN);
  say("poll again", polled(b.event, POLLIN), -1);
  produce(2);
  say("poll after two", polled(b.event, POLLIN | POLLOUT), POLLIN);
  say("poll again", polled(b.event, POLLIN), -1);
  produce(1);
  say("select", selected(b.event), 1);
  say("select again", selected(b.event), 0);
  say("select, then poll", polled(b.event, POLLIN), -1);
  produce(1);
  say("poll for nothing", polled(b.event, 0), -1);
  say("which asked all the same", polled(b.event, POLLIN), -1);
  end_buffer(b);
}

static void in_epoll(void) {
  struct buffer b = new_buffer((struct perf_event_attr){.wakeup_events = 1});
  int set = epoll_create1(0);
  CHECK(in_set(set, EPOLL_CTL_ADD, b.event, EPOLLIN) == 0 || !there_is_bpf);
  say("epoll while empty", waited(set, 0), -1);
  produce(1);
  say("epoll", waited(set, 0), EPOLLIN);
  say("epoll again", waited(set, 10), -1);
  produce(2);
  say("epoll after two", waited(set, 0), EPOLLIN);
  say("epoll again", waited(set, 10), -1);
  produce(1);
  say("poll in between", polled(b.event, POLLIN), POLLIN);
  say("epoll after that", waited(set, 10), -1);
  produce(1);
  in_set(set, EPOLL_CTL_MOD, b.event, EPOLLIN);
  say("what epoll_ctl saw, epoll does not", waited(set, 10), -1);
  in_set(set, EPOLL_CTL_MOD, b.event, EPOLLIN | EPOLLET);
  for (int i = 0; i < 3; ++i) {
    produce(1);
    say("edge", waited(set, 0), EPOLLIN);
    say("no edge", waited(set, 10), -1);
  }
  produce(1);
  int elsewhere = epoll_create1(0);
  for (int i = 0; i < 3; ++i) say("a wait elsewhere", waited(elsewhere, 0), -1);
  close(elsewhere);
  say("takes nothing away", waited(set, 0), EPOLLIN);
  close(set);
  produce(1);
  set = epoll_create1(0);
  in_set(set, EPOLL_CTL_ADD, b.event, EPOLLIN);
  say("a new set, later", waited(set, 10), -1);
  produce(1);
  say("a new set", waited(set, 0), EPOLLIN);
  close(set);
  end_buffer(b);
}

static void every_other_record(void) {
  struct buffer b = new_buffer((struct perf_event_attr){.wakeup_events = 2});
  for (int i = 0; i < 6; ++i) {
    produce(1);
    say("every other record", polled(b.event, POLLIN), i % 2 ? POLLIN : -1);
  }
  int set = epoll_create1(0);
  in_set(set, EPOLL_CTL_ADD, b.event, EPOLLIN);
  for (int i = 0; i < 6; ++i) {
    produce(1);
    say("every other record, epoll", waited(set, 10), i % 2 ? EPOLLIN : -1);
  }
  close(set);
  end_buffer(b);
}

static void watermark(void) {
  struct buffer b = new_buffer((struct perf_event_attr){.watermark = 1, .wakeup_watermark = 60});
  for (int i = 0; i < 9; ++i) {
    produce(1);
    say("watermark", polled(b.event, POLLIN), i == 2 || i == 5 || i == 7 ? POLLIN : -1);
  }
  end_buffer(b);
}

static void shared(void) {
  struct buffer b = new_buffer((struct perf_event_attr){.wakeup_events = 1});
  struct perf_event_attr same = {.wakeup_events = 1};
  int other = open_output(&same), set = epoll_create1(0);
  say("output elsewhere", there_is_bpf ? ioctl(other, PERF_EVENT_IOC_SET_OUTPUT, b.event) : 0, 0);
  in_set(set, EPOLL_CTL_ADD, other, EPOLLIN);
  produce(1);
  say("the other sees it", waited(set, 0), EPOLLIN);
  say("and then nobody", polled(b.event, POLLIN), -1);
  close(set);
  if (there_is_bpf) close(other);
  end_buffer(b);
}

static void backward(void) {
  struct buffer b = new_buffer((struct perf_event_attr){.wakeup_events = 1, .write_backward = 1});
  for (int i = 1; i <= 3; ++i) {
    produce(1);
    say("backward poll", polled(b.event, POLLIN), POLLIN);
    say("backward head", head(b), i * -24);
    const char* data = (const char*)b.page + 4096;
    const struct perf_event_header* newest = (const void*)(data + (head(b) & 4095));
    say("newest", there_is_bpf ? newest->type * 100 + newest->size : 924, 924);
  }
  produce(400);
  say("round and round", head(b), 403 * -24);
  end_buffer(b);
}

static void mapped_again(void) {
  struct buffer b = new_buffer((struct perf_event_attr){.wakeup_events = 1});
  produce(3);
  say("head", head(b), there_is_bpf ? 72 : 0);
  void* wrong = map_pages(b.event, 5, PROT_READ | PROT_WRITE);
  say("another size while mapped", wrong == NULL && errno == EINVAL, 1);
  if (there_is_bpf) munmap(b.page, 2 * 4096);
  b.page = map_pages(b.event, 5, PROT_READ | PROT_WRITE);
  say("another size", b.page != NULL, 1);
  say("head", head(b), 0);
  say("size", there_is_bpf ? (long)b.page->data_size : 4 * 4096, 4 * 4096);
  produce(1);
  say("head", head(b), there_is_bpf ? 24 : 0);
  say("poll", polled(b.event, POLLIN), POLLIN);
  if (there_is_bpf) munmap(b.page, 5 * 4096);
  b.page = map_pages(b.event, 2, PROT_READ | PROT_WRITE);
  say("the first size", b.page != NULL, 1);
  say("head", head(b), 0);
  end_buffer(b);
}

int main(void) {
  setvbuf(stdout, NULL, _IONBF, 0);
  stay_on_cpu_0();
  map = new_map(BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 8);
  there_is_bpf = is_open(map);
  if (there_is_bpf) program = load_perf_output(map);
  every_record();
  in_epoll();
  every_other_record();
  watermark();
  shared();
  backward();
  mapped_again();
  return 0;
}
