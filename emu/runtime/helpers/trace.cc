// SPDX-License-Identifier: Apache-2.0
// bpf_trace_printk, bpf_trace_vprintk, bpf_snprintf.
#include "emu/runtime/helpers/call.h"
#include "emu/runtime/helpers/format.h"

namespace bpfemu {

namespace {

constexpr u32 kPrintkArgs = 3;   // MAX_TRACE_PRINTK_VARARGS
constexpr u32 kLineSize = 1024;  // MAX_BPRINTF_BUF

s64 print_line(Run* run, u64 format, u32 format_size, const u64* args, u32 arg_count) {
  char line[kLineSize];
  s64 length = format_text(run, line, sizeof line, pointer_to<const char>(format), format_size, args, arg_count);
  if (length < 0) return length;
  u64 shown = 0;  // the trace event takes the line up to its first NUL
  while (shown < sizeof line - 1 && line[shown]) ++shown;
  if (run->env->trace_printk) run->env->trace_printk(run->env->self, run, line, shown);
  return length;
}

bool bad_args(u64 args, u32 size) {
  return size % 8 || size > kMaxFormatArgs * 8 || (size && !args);
}

}  // namespace

HELPER(help_trace_printk) {
  u64 args[kPrintkArgs] = {r3, r4, r5};
  return result(print_line(run, r1, low32(r2), args, kPrintkArgs));
}

HELPER(help_trace_vprintk) {
  if (bad_args(r3, low32(r4))) return result(-EINVAL);
  return result(print_line(run, r1, low32(r2), pointer_to<const u64>(r3), low32(r4) / 8));
}

// The verifier has seen that the format is a constant string with its NUL.
HELPER(help_snprintf) {
  if (bad_args(r4, low32(r5))) return result(-EINVAL);
  s64 length = format_text(run, pointer_to<char>(r1), low32(r2), pointer_to<const char>(r3), 0xffffffff,
                           pointer_to<const u64>(r4), low32(r5) / 8);
  return result(length < 0 ? length : length + 1);
}

}  // namespace bpfemu
