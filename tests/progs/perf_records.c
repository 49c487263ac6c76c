// SPDX-License-Identifier: Apache-2.0
// Records of perf events: who forked, ran what, mapped what and ended, and the raw samples between; what tracefs'
// filter files say.
#include "output.h"

#include <sys/prctl.h>

enum { kPages = 16, kDataOffset = 4096 };

// What the records tell, in their order: a letter each.
struct Told {
  char order[64];
  int letters;
  long forked, parent, ended, renamed, mapped_self, sampled_pid, sampled_cpu, sampled_call, raw_size, raw_pid,
      stack_own;
};

static void note(struct Told* told, char letter) {
  // What the dynamic linker maps differs: once is enough.
  if (letter == 'M' && told->letters && told->order[told->letters - 1] == 'M') return;
  if (told->letters + 1 < (int)sizeof told->order) told->order[told->letters++] = letter;
}

struct Mmap2 {
  struct perf_event_header header;
  uint32_t pid, tid;
  uint64_t address, length, offset;
  uint32_t major, minor;
  uint64_t inode, generation;
  uint32_t protection, flags;
  char name[];
};

static void look_at(struct Told* told, const struct perf_event_header* record) {
  const uint32_t* words = (const uint32_t*)(record + 1);
  const uint64_t* longs = (const uint64_t*)(record + 1);
  switch (record->type) {
    case PERF_RECORD_FORK:
      note(told, 'F');
      told->forked = words[0] == words[2] ? (long)words[0] : -1;
      told->parent = words[1] == words[3] ? (long)words[1] : -1;
      break;
    case PERF_RECORD_EXIT:
      note(told, 'X');
      told->ended = words[0];
      break;
    case PERF_RECORD_COMM:
      note(told, record->misc & PERF_RECORD_MISC_COMM_EXEC ? 'E' : 'C');
      if (strcmp((const char*)(words + 2), "renamed") == 0) told->renamed = words[0];
      break;
    case PERF_RECORD_MMAP2: {
      const struct Mmap2* map = (const void*)record;
      const char* slash = strrchr(map->name, '/');
      note(told, 'M');
      if (slash && strcmp(slash, "/perf_records") == 0) {
        told->mapped_self = map->protection == (PROT_READ | PROT_EXEC) && map->flags == MAP_PRIVATE && map->inode;
      }
      break;
    }
    case PERF_RECORD_SAMPLE: {  // IP, TID, TIME, CPU, CALLCHAIN, RAW
      note(told, 'S');
      const uint64_t frames = longs[4];
      told->sampled_pid = (uint32_t)longs[1];
      told->sampled_cpu = (uint32_t)longs[3];
      told->stack_own = frames >= 2 && longs[5] == (uint64_t)PERF_CONTEXT_USER && longs[6] == longs[0];
      const uint32_t* raw = (const uint32_t*)(longs + 5 + frames);
      told->raw_size = raw[0];
      told->raw_pid = raw[2];
      told->sampled_call = raw[3];
      break;
    }
  }
}

// Whole records only, for they wrap at the end.
static void read_all(struct Told* told, const char* pages) {
  const struct perf_event_mmap_page* head = (const void*)pages;
  static char record[65536];
  for (uint64_t at = 0; at < head->data_head;) {
    struct perf_event_header header;
    for (size_t i = 0; i < sizeof header; ++i) ((char*)&header)[i] = pages[kDataOffset + (at + i) % (kPages * 4096)];
    for (size_t i = 0; i < header.size; ++i) record[i] = pages[kDataOffset + (at + i) % (kPages * 4096)];
    look_at(told, (const void*)record);
    at += header.size;
  }
}

static void family(const char* self) {
  struct perf_event_attr attr = {.size = sizeof attr,
                                 .type = PERF_TYPE_TRACEPOINT,
                                 .config = event_id("sys_enter_getppid"),
                                 .sample_period = 1,
                                 .sample_type = PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_CPU |
                                                PERF_SAMPLE_CALLCHAIN | PERF_SAMPLE_RAW,
                                 .inherit = 1,
                                 .comm = 1,
                                 .comm_exec = 1,
                                 .mmap = 1,
                                 .mmap2 = 1,
                                 .task = 1,
                                 .sample_id_all = 1};
  int fd = syscall(SYS_perf_event_open, &attr, 0, 0, -1, PERF_FLAG_FD_CLOEXEC);
  char* pages = fd < 0 ? NULL : map_pages(fd, 1 + kPages, PROT_READ | PROT_WRITE);
  CHECK(!there_is_bpf || pages);
  pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_NAME, "renamed");
    execl(self, self, "2", NULL);
    _exit(9);
  }
  CHECK(ended(child) == 0);
  struct Told told = {0};
  if (pages) read_all(&told, pages);
  say("in order", strncmp(told.order, "FCEMSS", 6) == 0, 1);
  say("the end last", told.letters && told.order[told.letters - 1] == 'X', 1);
  if (there_is_bpf && strncmp(told.order, "FCEMSS", 6) != 0) printf("order: %s\n", told.order);
  say("forked", told.forked == child, 1);
  say("by its parent", told.parent == getpid(), 1);
  say("renamed", told.renamed == child, 1);
  say("ended", told.ended == child, 1);
  say("mapped itself", told.mapped_self, 1);
  say("sampled thread", told.sampled_pid == child, 1);
  say("sampled cpu", told.sampled_cpu, 0);
  say("sampled call", told.sampled_call & 0xffff, SYS_getppid);
  say("raw size", told.raw_size, 20);
  say("raw pid", told.raw_pid == child, 1);
  say("user stack alone", told.stack_own, 1);
}

// A kernel's tracepoint: its address and the stack below it are the kernel's.
static void in_kernel(void) {
  struct perf_event_attr attr = {.size = sizeof attr,
                                 .type = PERF_TYPE_TRACEPOINT,
                                 .sample_period = 1,
                                 .sample_type = PERF_SAMPLE_IP | PERF_SAMPLE_CALLCHAIN | PERF_SAMPLE_RAW};
  FILE* file = fopen("/sys/kernel/tracing/events/sched/sched_process_fork/id", "r");
  unsigned id = 0;
  if (file && fscanf(file, "%u", &id) != 1) id = 0;
  if (file) fclose(file);
  attr.config = id;
  int fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
  char* pages = fd < 0 ? NULL : map_pages(fd, 1 + kPages, PROT_READ | PROT_WRITE);
  pid_t child = fork();
  if (child == 0) _exit(0);
  CHECK(ended(child) == 0);
  const struct perf_event_header* record = (const void*)(pages + kDataOffset);
  const uint64_t* longs = (const uint64_t*)(record + 1);
  say("in the kernel", pages ? record->misc & PERF_RECORD_MISC_CPUMODE_MASK : 1, PERF_RECORD_MISC_KERNEL);
  say("address of the kernel", pages ? longs[0] >> 63 : 1, 1);
  say("stack of the kernel", pages ? longs[2] == (uint64_t)PERF_CONTEXT_KERNEL && longs[3] == longs[0] : 1, 1);
  int user = 0;
  for (uint64_t n = 0; pages && n < longs[1]; ++n) user += longs[2 + n] == (uint64_t)PERF_CONTEXT_USER;
  say("and the user's", pages ? user : 1, 1);
  if (pages) munmap(pages, (1 + kPages) * 4096);
  if (fd >= 0) close(fd);
}

int main(int argc, char** argv) {
  setvbuf(stdout, NULL, _IONBF, 0);
  if (argc > 1) {
    for (int i = atoi(argv[1]); i > 0; --i) syscall(SYS_getppid);
    return 0;
  }
  stay_on_cpu_0();
  there_is_bpf = event_id("sys_enter_getppid") != 0;
  family(argv[0]);
  in_kernel();
  return 0;
}
