// SPDX-License-Identifier: Apache-2.0
// Places of a process' code as build ids and offsets (kernel: stack_map_get_build_id_offset, lib/buildid.c).
#pragma once

#include <linux/bpf.h>

#include <array>
#include <optional>
#include <span>

#include "emu/ports/task.h"

namespace bpfemu {

// The build id that the first page of an ELF file holds; none: it is no ELF file, or has its note elsewhere.
std::optional<std::array<u8, BPF_BUILD_ID_SIZE>> build_id_in(std::span<const u8> page);
// A record for each address. One that no file with a build id is mapped at says the address itself.
void show_build_ids(Task& task, std::span<const u64> addresses, bpf_stack_build_id* to);

}  // namespace bpfemu
