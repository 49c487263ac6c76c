// SPDX-License-Identifier: Apache-2.0
// Hard case 17: return probes on functions that recurse, are left by longjmp or an exception, call their last function
// by a jump, and are looked at by unwinders.
#include <execinfo.h>
#include <setjmp.h>

#include "probe.h"

#define OUT_OF_LINE __attribute__((noipa, noinline))

namespace {

volatile int sink;
jmp_buf back;

OUT_OF_LINE int leaf(int n) {
  sink = n;
  return n + 1;
}
OUT_OF_LINE int tail(int n) {
  sink = n;
  return leaf(n * 2);  // a jump
}
OUT_OF_LINE int recursive(int n) {
  const int r = n == 0 ? 0 : recursive(n - 1);
  sink = r;
  return r + 1;
}
int jumps(int depth);
int (*volatile next_jump)(int) = jumps;
OUT_OF_LINE int jumps(int depth) {
  if (depth == 0) longjmp(back, 1);
  const int r = next_jump(depth - 1);
  sink = r;
  return r;
}
OUT_OF_LINE int throws(int n) {
  if (n > 0) throw n;
  return 0;
}
// The exception does not leave this one.
OUT_OF_LINE int catches(int n) {
  try {
    if (n > 0) throw n;
  } catch (int thrown) {
    return thrown;
  }
  return 0;
}
OUT_OF_LINE int looks(void) {
  void* frames[32];
  const int count = backtrace(frames, 32);
  sink = count;
  return count > 0 && frames[0] >= reinterpret_cast<void*>(looks) &&
         frames[0] < static_cast<char*>(reinterpret_cast<void*>(looks)) + 256;
}

struct Both {
  counter entry, exit;
  explicit Both(const void* function)
      : entry(probe_function(kEveryone, function, 0)), exit(probe_function(kEveryone, function, 1)) {}
  void say(const char* what, long entries, long exits) const {
    printf("%s: %ld entries, %ld returns\n", what, counted(entry, entries), counted(exit, exits));
  }
};

}  // namespace

int main() {
  const Both in_leaf(reinterpret_cast<void*>(leaf)), in_tail(reinterpret_cast<void*>(tail)),
      in_recursive(reinterpret_cast<void*>(recursive)), in_jumps(reinterpret_cast<void*>(jumps)),
      in_throws(reinterpret_cast<void*>(throws)), in_catches(reinterpret_cast<void*>(catches)),
      in_looks(reinterpret_cast<void*>(looks));
  int sum = 0;
  for (int i = 0; i < 10; ++i) sum += leaf(i);
  printf("leaf %d\n", sum);
  in_leaf.say("leaf", 10, 10);

  sum = 0;
  for (int i = 0; i < 10; ++i) sum += tail(i);
  printf("tail %d\n", sum);
  in_tail.say("tail", 10, 10);
  in_leaf.say("leaf by a jump", 20, 20);

  printf("recursive %d\n", recursive(20));
  in_recursive.say("recursive", 21, 21);
  // Deeper than what the kernel follows: the innermost return unseen.
  printf("recursive %d\n", recursive(99));
  in_recursive.say("deeply recursive", 121, 85);

  for (static int i = 0; i < 5; ++i)
    if (setjmp(back) == 0) jumps(3);
  in_jumps.say("left by longjmp", 20, 0);
  printf("leaf %d\n", leaf(1));
  in_leaf.say("leaf after longjmp", 21, 21);

  printf("catches %d\n", catches(3) + catches(0));
  in_catches.say("catches", 2, 2);

  printf("unwinder %s\n", looks() ? "starts here" : "is lost");
  in_looks.say("looks", 1, 1);

  // The kernel's return address is no frame of the program's: an unwinder ends there, and so does the exception.
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    fclose(stderr);
    int caught = 0;
    try {
      sum = throws(0) + throws(4);
    } catch (int thrown) {
      caught = thrown;
    }
    _exit(caught);
  }
  const int status = ended(child);
  CHECK(status == (in_throws.exit.event < 0 && !demanded() ? 4 : -SIGABRT));
  in_throws.say("throws", 2, 1);
  printf("done\n");
}
