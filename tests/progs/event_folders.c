// SPDX-License-Identifier: Apache-2.0
// In which order tracefs lists its events: the newest first, so by falling ids, and behind them the files that were
// there before. As root on the claimed kernel it says the same.
#include "counter.h"

#include <dirent.h>

#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define EVENTS "/sys/kernel/tracing/events"
enum { kMost = 1000 };

struct listing {
  int count;
  char* names[kMost];
};

static struct listing list(const char* path) {
  struct listing listing = {0};
  DIR* folder = opendir(path);
  CHECK(folder != NULL);
  for (struct dirent* each; folder && (each = readdir(folder)) && listing.count < kMost;)
    listing.names[listing.count++] = strdup(each->d_name);
  if (folder) closedir(folder);
  return listing;
}

static void release(struct listing* listing) {
  while (listing->count) free(listing->names[--listing->count]);
}

// Are these the last names, and "." and ".." the first?
static void check_ends(const char* path, const struct listing* listing, const char* const* files, int count) {
  CHECK(listing->count >= count + 2);
  if (listing->count < count + 2) return;
  CHECK(strcmp(listing->names[0], ".") == 0 && strcmp(listing->names[1], "..") == 0);
  for (int i = 0; i < count; ++i) {
    const char* const name = listing->names[listing->count - count + i];
    if (strcmp(name, files[i]) != 0) printf("%s: %s, not %s\n", path, name, files[i]);
  }
}

// The smallest id of a system's events, which fall.
static unsigned check_system(const char* system) {
  static const char* const kFiles[] = {"enable", "filter"};
  const int files = 2;
  char path[400];
  snprintf(path, sizeof path, EVENTS "/%s", system);
  struct listing listing = list(path);
  check_ends(path, &listing, kFiles, files);
  unsigned last = ~0u;
  for (int i = 2; i < listing.count - files; ++i) {
    snprintf(path, sizeof path, EVENTS "/%s/%s/id", system, listing.names[i]);
    const unsigned id = number_in(path);
    if (!id || id >= last) printf("%s/%s: %u behind %u\n", system, listing.names[i], id, last);
    last = id;
  }
  release(&listing);
  return last;
}

// Those of the tracer's own, whose ids are fixed.
static void check_own(void) {
  static const char* const kEvents[] = {
      "function",      "funcgraph_entry", "funcgraph_exit", "context_switch", "wakeup",  "kernel_stack",
      "user_stack",    "bprint",          "print",          "raw_data",       "bputs",   "mmiotrace_rw",
      "mmiotrace_map", "branch",          "hwlat",          "func_repeats",   "osnoise", "timerlat"};
  struct listing listing = list(EVENTS "/ftrace");
  CHECK(listing.count == 2 + (int)LENGTH(kEvents));
  check_ends(EVENTS "/ftrace", &listing, kEvents, LENGTH(kEvents));
  release(&listing);
}

static void define(const char* text) {
  const int file = open("/sys/kernel/tracing/kprobe_events", O_WRONLY | O_APPEND);
  CHECK(file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text));
  close(file);
}

int main(void) {
  static const char* const kFiles[] = {"header_event", "header_page", "enable"};
  static const char* const kOfEvent[] = {"format", "hist", "trigger", "filter", "id", "enable"};
  if (!is_claimed_kernel() || geteuid() != 0 || access(EVENTS "/sched", R_OK) != 0) return 0;
  define("p:newest/one do_nanosleep\n"), define("p:newest/two do_nanosleep\n");
  struct listing systems = list(EVENTS);
  check_ends(EVENTS, &systems, kFiles, 3);
  CHECK(systems.count > 2 && strcmp(systems.names[2], "newest") == 0);
  unsigned last = ~0u;
  for (int i = 2; i < systems.count - 3; ++i) {
    if (strcmp(systems.names[i], "ftrace") == 0) {
      CHECK(strcmp(systems.names[i + 1], "cgroup") == 0);
      check_own();
      continue;
    }
    const unsigned first = check_system(systems.names[i]);
    if (first >= last) printf("%s, from %u on, behind %u\n", systems.names[i], first, last);
    last = first;
  }
  release(&systems);
  struct listing event = list(EVENTS "/sched/sched_switch");
  CHECK(event.count == 2 + 6);
  check_ends(EVENTS "/sched/sched_switch", &event, kOfEvent, 6);
  release(&event);
  define("-:newest/one\n"), define("-:newest/two\n");
  return 0;
}
