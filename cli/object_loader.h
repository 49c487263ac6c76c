// SPDX-License-Identifier: Apache-2.0
// libbpf at work on one ELF object: each program that is wanted is loaded alone, through bpf() as any tool calls it.
#pragma once

#include "cli/load_objects.h"
#include "cli/verify_table.h"

namespace bpfemu {

// Prints logs, why programs were refused in libbpf's words, and what it made up for a program to be checked at all.
// A VerifyStatus: kRefused also for an object whose programs are accepted one by one and do not fit together.
int load_object(const std::string& path, const LoadWish& wish, std::vector<VerifyRow>& rows);

}  // namespace bpfemu
