// SPDX-License-Identifier: Apache-2.0
#include "tests/fakes/bell_file.h"

namespace bpfemu::fakes {

BellFile::~BellFile() { gone_ = true; }
std::string BellFile::link_name() const { return "anon_inode:bell"; }

}  // namespace bpfemu::fakes
