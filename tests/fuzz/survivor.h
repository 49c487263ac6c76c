// SPDX-License-Identifier: Apache-2.0
// A process that owns objects and knows what they must answer, whatever becomes of others.
#pragma once

#include <unordered_map>

#include "emu/base/types.h"

namespace bpfemu::fuzz {

class Survivor {
 public:
  Survivor();
  // False: something is not as it was left; what, is printed.
  bool check();

 private:
  bool check_elements();
  bool check_program();
  bool check_probe();
  bool check_ids();

  int map_ = -1, array_ = -1, program_ = -1;
  u32 map_id_ = 0, program_id_ = 0;
  int counter_ = -1, event_ = -1;  // of a uprobe on a function of ours
  u64 calls_ = 0;
  u64* mapped_ = nullptr;  // the array's values
  u64 round_ = 0;
  std::unordered_map<u32, u64> expected_;
};

}  // namespace bpfemu::fuzz
