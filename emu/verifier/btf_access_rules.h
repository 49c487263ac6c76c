// SPDX-License-Identifier: Apache-2.0
// The parts of check_attach_target() and set_attach_target() that have files of their own.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>

#include "emu/verifier/btf_access.h"

namespace bpfemu {

// btf_access_lsm.cc: is the function that an LSM program attaches to a hook (kernel: bpf_lsm_verify_prog)?
Result<void> check_lsm_hook(const ProgInfo& prog, VerifierLog& log);

// btf_access_proto.cc: can a trampoline be made for this function (kernel: btf_distill_func_proto)?
Result<void> check_function_model(const Btf& btf, const btf_type& proto, std::string_view name, VerifierLog& log);
// May the program's main function stand in for `function` (kernel: btf_check_type_match)?
Result<void> check_replacement(const OwnFunction& main, const Btf& btf, const btf_type& function, VerifierLog& log);

// Logs why and gives the error.
template <class... Args>
std::unexpected<Errno> refuse(VerifierLog& log, int error, fmt::format_string<Args...> format, Args&&... args) {
  log.print(format, std::forward<Args>(args)...);
  return fail(error);
}

template <size_t kCount>
bool contains(const std::array<std::string_view, kCount>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace bpfemu
