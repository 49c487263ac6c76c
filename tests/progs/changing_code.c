// SPDX-License-Identifier: Apache-2.0
// Hard cases 9 and 20: probes in code that is mapped twice, shared, moved, overwritten and unmapped. The file never
// changes, and code that the program writes itself is its own.
#include "probe.h"

#include <dlfcn.h>

// push rbp; mov rbp, rsp; mov eax, 42; pop rbp; ret
static const unsigned char kCode[] = {0x55, 0x48, 0x89, 0xe5, 0xb8, 42, 0, 0, 0, 0x5d, 0xc3};
enum { kOutOfLine = 4, kPage = 4096 };  // the second instruction that is probed runs out of line
static int file;
static struct counter first, second;

static int call(void* code, int times) {
  int sum = 0;
  for (int i = 0; i < times; ++i) sum += ((int (*)(void))code)();
  return sum;
}

static void* map(int flags, int prot) {
  void* const at = mmap(NULL, kPage, prot, flags, file, 0);
  CHECK(at != MAP_FAILED);
  return at;
}

static void say(const char* what, int sum, long expected) {
  printf("%s: %d, hits %ld %ld\n", what, sum, counted(first, expected), counted(second, expected));
}

static int file_is_intact(void) {
  unsigned char bytes[sizeof kCode];
  return pread(file, bytes, sizeof bytes, 0) == sizeof bytes && memcmp(bytes, kCode, sizeof bytes) == 0;
}

// A library that comes and goes at whatever address.
static void reload_library(void) {
  long calls = 0;
  struct counter probe = {-1, -1};
  for (int i = 0; i < 4; ++i) {
    void* const library = dlopen("libm.so.6", RTLD_NOW);
    double (*lgamma)(double) = (double (*)(double))dlsym(library, "lgamma");
    CHECK(library && lgamma);
    if (i == 0) probe = probe_function(kEveryone, (void*)lgamma, 0);
    for (int n = 0; n <= i; ++n, ++calls) CHECK(lgamma(2) == 0);
    dlclose(library);
  }
  printf("library: %ld calls, %ld hits\n", calls, counted(probe, calls));
  end_count(probe, 0);
}

int main(void) {
  char path[] = "/tmp/changing_code.XXXXXX";
  file = mkstemp(path);
  CHECK(file >= 0 && write(file, kCode, sizeof kCode) == sizeof kCode && ftruncate(file, kPage) == 0);
  void* code = map(MAP_PRIVATE, PROT_READ | PROT_EXEC);
  first = probe_file(kEveryone, path, 0, 0);
  second = probe_file(kEveryone, path, kOutOfLine, 0);
  say("private", call(code, 3), 3);

  void* const other = map(MAP_PRIVATE, PROT_READ | PROT_EXEC);
  say("mapped twice", call(code, 3) + call(other, 3), 9);

  // The kernel does not probe these: the int3 would be in the file.
  void* const shared = map(MAP_SHARED, PROT_READ | PROT_WRITE | PROT_EXEC);
  say("shared", call(shared, 3), 9);
  CHECK(file_is_intact());

  void* const place = mmap(NULL, kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(mremap(code, kPage, kPage, MREMAP_MAYMOVE | MREMAP_FIXED, place) == place);
  code = place;
  say("moved", call(code, 3), 12);

  const pid_t child = fork();
  if (child == 0) _exit(call(code, 3) == 126 && call(other, 3) == 126 ? 5 : 1);
  CHECK(ended(child) == 5);
  say("in a child", 0, 18);

  munmap(other, kPage);
  void* const again = map(MAP_PRIVATE, PROT_READ | PROT_EXEC);
  say("mapped again", call(again, 3), 21);

  // A writer of code: what it has written is not probed, and stays when the probes go.
  CHECK(mprotect(again, kPage, PROT_READ | PROT_WRITE | PROT_EXEC) == 0);
  unsigned char fresh[sizeof kCode];
  memcpy(fresh, kCode, sizeof kCode);
  fresh[0] = 0x90;  // nop; mov rbp, rsp; nop...; mov eax, 7 and so on
  fresh[1] = fresh[2] = fresh[3] = fresh[4] = fresh[9] = 0x90;
  fresh[4] = 0x31, fresh[5] = 0xc0, fresh[6] = 0xff, fresh[7] = 0xc0, fresh[8] = 0x90;  // xor eax, eax; inc eax
  memcpy(again, fresh, sizeof fresh);
  say("written anew", call(again, 3), 21);
  // Something else is mapped: still nobody touches what was written.
  munmap(map(MAP_PRIVATE, PROT_READ | PROT_EXEC), kPage);
  say("and after a mapping", call(again, 3), 21);
  end_count(first, 0);
  end_count(second, 0);
  // The last descriptor's closing shows in the code as soon as the supervisor hears of it.
  for (int tries = 0; memcmp(code, kCode, sizeof kCode) != 0 && tries < 10000; ++tries) sleep_ms(1);
  CHECK(memcmp(again, fresh, sizeof fresh) == 0);
  CHECK(memcmp(code, kCode, sizeof kCode) == 0);
  CHECK(call(code, 3) == 126 && call(again, 3) == 3);
  CHECK(file_is_intact());
  unlink(path);
  reload_library();
  printf("done\n");
}
