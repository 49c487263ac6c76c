// SPDX-License-Identifier: Apache-2.0
#include "loader/vdso.h"

#include <linux/version.h>
#include <sys/auxv.h>
#include <sys/utsname.h>

#include <catch2/catch.hpp>
#include <cstdio>

#include "emu/base/bytes.h"

using namespace bpfemu;

TEST_CASE("the vDSO's note says the running kernel's version") {
  const auto* image = reinterpret_cast<const u8*>(::getauxval(AT_SYSINFO_EHDR));
  REQUIRE(image != nullptr);
  const size_t offset = version_offset(image);
  REQUIRE(offset != 0);
  utsname name;
  ::uname(&name);
  unsigned major = 0, minor = 0;
  REQUIRE(std::sscanf(name.release, "%u.%u", &major, &minor) == 2);
  CHECK(load<u32>(image + offset) >> 8 == (major << 8 | minor));
}
