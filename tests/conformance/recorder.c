// SPDX-License-Identifier: Apache-2.0
// Linked into the kernel's test_verifier in front of libbpf (ld --wrap): writes into its output, behind the name of each
// case, what the kernel answered. test_verifier itself stays as it is.
//   @load TYPE INSNS ERRNO       the case's own load; ERRNO 0: accepted
//   @log LEVEL ERRNO BYTES       the same load at log level 1, 2 and 4; then BYTES of log and a newline
//   @run ERRNO RETVAL            each test run
// Programs that it makes with rand() are the same each time.
#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int __real_bpf_prog_load(enum bpf_prog_type type, const char *name, const char *license, const struct bpf_insn *insns,
                         size_t insn_count, const struct bpf_prog_load_opts *opts);
int __real_bpf_prog_test_run_opts(int prog, struct bpf_test_run_opts *opts);
void __real_srand(unsigned seed);

void __wrap_srand(unsigned seed) {
  (void)seed;
  __real_srand(1);
}

static char log_text[16 << 20];

int __wrap_bpf_prog_load(enum bpf_prog_type type, const char *name, const char *license, const struct bpf_insn *insns,
                         size_t insn_count, const struct bpf_prog_load_opts *opts) {
  int prog = __real_bpf_prog_load(type, name, license, insns, insn_count, opts);
  // libbpf's own probes ask for no log.
  if (!opts || !opts->log_buf) return prog;
  int error = errno;
  printf("\n@load %d %zu %d\n", type, insn_count, prog < 0 ? error : 0);
  for (unsigned level = 1; level <= 4; level *= 2) {
    struct bpf_prog_load_opts again = *opts;
    again.log_level = level;
    again.log_buf = log_text;
    again.log_size = sizeof log_text;
    log_text[0] = 0;
    int other = __real_bpf_prog_load(type, name, license, insns, insn_count, &again);
    printf("@log %u %d %zu\n%s\n", level, other < 0 ? errno : 0, strlen(log_text), log_text);
    if (other >= 0) close(other);
  }
  errno = error;
  return prog;
}

int __wrap_bpf_prog_test_run_opts(int prog, struct bpf_test_run_opts *opts) {
  int result = __real_bpf_prog_test_run_opts(prog, opts);
  int error = errno;
  printf("@run %d %u\n", result ? error : 0, result ? 0 : opts->retval);
  errno = error;
  return result;
}
