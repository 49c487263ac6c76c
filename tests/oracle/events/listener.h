// SPDX-License-Identifier: Apache-2.0
// A row attached in one of its ways.
#pragma once

#include "tests/oracle/events/program.h"

namespace events {

struct Listener {
  Way way;
  std::string target;
  std::vector<Value> values;
  bool in_any_task = false;
  std::string left_out_in;
  // What holds the attachment, or why there is none.
  int fd = -1;
  std::string error;
};

// All rows in all their ways, in the table's order, as the running kernel lets them. Their index is in the records.
std::vector<Listener> attach(const std::vector<Row>& rows, const Types& types, const Target& target);

// The offset of a function of this program in its file.
u64 offset_in_file(const std::string& symbol);
// Of the USDT probe "events:name" in this program's file.
u64 offset_of_usdt(const std::string& name);

}  // namespace events
