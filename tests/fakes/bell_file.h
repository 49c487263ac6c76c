// SPDX-License-Identifier: Apache-2.0
// An open file that is readable when the test says so.
#pragma once

#include "emu/syscalls/files.h"

namespace bpfemu::fakes {

// Built without RTTI as File is, so tests use it rather than derive from File themselves.
class BellFile : public File {
 public:
  explicit BellFile(bool& gone) : gone_(gone) {}
  ~BellFile() override;
  std::string link_name() const override;
  bool pollable() const override { return true; }
  bool readable() const override { return rings; }
  const void* ring() const override { return this; }

  bool rings = false;

 private:
  bool& gone_;   // set when the last reference goes
};

}  // namespace bpfemu::fakes
