// SPDX-License-Identifier: Apache-2.0
// Memory that is held back for the end of memory: a small allocation that fails gets it, and until there is as much again
// calls that would make something new are refused.
#pragma once

namespace bpfemu {

class Reserve {
 public:
  // Of the process: at most one.
  Reserve();
  ~Reserve();
  Reserve(const Reserve&) = delete;
  Reserve& operator=(const Reserve&) = delete;

  // Nothing was taken of it, or it could be filled again.
  bool whole();
};

}  // namespace bpfemu
