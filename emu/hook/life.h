// SPDX-License-Identifier: Apache-2.0
// Which hooks are passed when a task forks, executes a program, ends or is signalled.
#pragma once

#include <string>

#include "emu/hook/occasion.h"

namespace bpfemu {

void pass_fork(Occasion& occasion, pid_t child);
// `filename` as EventSink::task_executed has it.
void pass_exec(Occasion& occasion, pid_t old_tid, const std::string& filename);
void pass_exit(Occasion& occasion);
void pass_signal(Occasion& occasion, const GeneratedSignal& signal);

}  // namespace bpfemu
