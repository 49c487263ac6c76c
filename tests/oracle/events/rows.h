// SPDX-License-Identifier: Apache-2.0
// The families of rows.
#pragma once

#include "tests/oracle/events/events.h"

namespace events {

std::span<const Row> file_rows();
std::span<const Row> name_rows();
std::span<const Row> security_rows();
std::span<const Row> process_rows();
std::span<const Row> memory_rows();
std::span<const Row> socket_rows();
std::span<const Row> call_rows();

}  // namespace events
