// SPDX-License-Identifier: Apache-2.0
// Errors are values: a Result<T> is a T or the errno that the kernel would give.
// Runtime code (freestanding) does not use this; its functions return a negative errno as the kernel's do.
#pragma once

#include <cerrno>
#include <expected>
#include <utility>

#include "emu/base/errors.h"
#include "emu/base/types.h"

namespace bpfemu {

// A positive errno. ESRCH from a port means that the tracee is gone; it is an ordinary value.
struct Errno {
  int value;
  friend bool operator==(Errno, Errno) = default;
};

template <class T>
using Result = std::expected<T, Errno>;

// `return fail(EINVAL);` from a function that returns a Result.
inline std::unexpected<Errno> fail(int error) { return std::unexpected(Errno{error}); }

// The kernel's convention, as it goes into a result register: value, or -errno.
inline s64 as_return(const Result<u64>& r) { return r ? static_cast<s64>(*r) : -s64{r.error().value}; }
inline s64 as_return(const Result<void>& r) { return r ? 0 : -s64{r.error().value}; }

// The other way round, for runtime functions that return a negative errno.
inline Result<u64> from_return(s64 r) {
  if (r < 0 && r >= -4095) return fail(static_cast<int>(-r));
  return static_cast<u64>(r);
}

namespace detail {
template <class T>
T take(Result<T>&& r) {
  return std::move(*r);
}
inline void take(Result<void>&&) {}
}  // namespace detail

}  // namespace bpfemu

// `T x = TRY(f());` hands an error on to the caller. A statement expression: gcc and clang both have it.
#define TRY(expression)                                                     \
  __extension__({                                                           \
    auto try_result_ = (expression);                                        \
    if (!try_result_) return ::std::unexpected(try_result_.error());        \
    ::bpfemu::detail::take(std::move(try_result_));                         \
  })
