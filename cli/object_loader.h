// SPDX-License-Identifier: Apache-2.0
// libbpf at work on one ELF object: each program that is wanted is loaded alone, through bpf() as any tool calls it.
#pragma once

#include "cli/load_objects.h"
#include "cli/verify_table.h"

namespace bpfemu {

// Prints logs, and why programs did not get as far as the verifier. 0, or the errno of an object that cannot be read.
int load_object(const std::string& path, const LoadWish& wish, std::vector<VerifyRow>& rows);

}  // namespace bpfemu
