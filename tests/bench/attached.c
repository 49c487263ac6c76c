// SPDX-License-Identifier: Apache-2.0
// Runs a command while a program of ours counts the entries of getppid. usage: attached MAP COMMAND...
// Maps: array (an atomic addition), hash (per CPU and by process, the way bpftrace has it).
#include "event_programs.h"

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const enum counting counting = strcmp(argv[1], "array") == 0 ? kInArray : kInPerCpuHash;
  const struct tally tally = start_tally(counting, (struct place){"sys_enter_getppid", 0, 0});
  if (tally.link < 0) return perror(argv[1]), 1;
  fcntl(tally.link, F_SETFD, 0);  // stays attached, as the command holds it
  execvp(argv[2], argv + 2);
  return 127;
}
