// SPDX-License-Identifier: Apache-2.0
// A task takes another name (kernel: __set_task_comm).
#pragma once

#include <optional>
#include <string>

#include "emu/hook/transit.h"

namespace bpfemu {

class OpenFile;

bool rename_awaited(const Occasion& occasion);
// `task` is what it was until then.
void pass_rename(Occasion& occasion, const TaskFacts& task, const std::string& name, bool by_exec);
// prctl, as far as it sets a name.
void pass_own_rename(Transit& call);
// What it is now.
std::string name_of(pid_t tid);
// What is known of the thread, with that name. None: it is gone.
std::optional<TaskFacts> named_facts(const Occasion& occasion, pid_t tid);
// Whose name a write to this file sets: /proc/PID/comm. None: nobody's.
std::optional<TaskFacts> renamed_by_writing(Occasion& occasion, OpenFile& file);

}  // namespace bpfemu
