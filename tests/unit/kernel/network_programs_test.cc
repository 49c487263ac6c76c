// SPDX-License-Identifier: Apache-2.0
// Who may be attached next to whom on devices and network namespaces.
#include <linux/if_link.h>

#include <catch2/catch.hpp>

#include "emu/bpf/netns_programs.h"
#include "emu/bpf/xdp.h"

namespace bpfemu::test {
namespace {

std::shared_ptr<Program> program(u32 type, u32 attach = 0) {
  auto made = std::make_shared<Program>();
  made->type = type;
  made->expected_attach_type = attach;
  return made;
}

int error_of(const XdpResult& result) { return result ? 0 : result.error().error; }

TEST_CASE("a device has one program in each mode, generic or native") {
  XdpDevice device(1);
  const XdpDriver generic, native{.native = true};
  const auto first = program(BPF_PROG_TYPE_XDP), second = program(BPF_PROG_TYPE_XDP);
  const auto attach = [&](const XdpDriver& driver, std::shared_ptr<Program> what, u32 flags, bool upper = false,
                          std::shared_ptr<Program> old = nullptr) {
    return error_of(device.attach(driver, {.program = std::move(what), .old = std::move(old), .flags = flags}, upper));
  };
  CHECK(attach(generic, first, XDP_FLAGS_SKB_MODE | XDP_FLAGS_DRV_MODE) == EINVAL);
  CHECK(attach(generic, first, XDP_FLAGS_DRV_MODE) == EOPNOTSUPP);
  CHECK(attach(generic, first, 0, true) == EEXIST);
  CHECK(attach(generic, first, 0, false, second) == EINVAL);
  CHECK(attach(generic, program(BPF_PROG_TYPE_XDP, BPF_XDP_DEVMAP), 0) == EINVAL);
  CHECK(attach(native, first, XDP_FLAGS_HW_MODE) == EINVAL);
  CHECK(attach({.native = true, .refuses = {ERANGE}}, first, 0) == ERANGE);
  CHECK_FALSE(device.any());
  REQUIRE(attach(native, first, 0) == 0);
  CHECK(device.program(XdpMode::kNative) == first);
  CHECK(attach(native, second, XDP_FLAGS_SKB_MODE) == EEXIST);
  CHECK(attach(native, second, XDP_FLAGS_REPLACE, false, second) == EEXIST);
  CHECK(attach(native, second, XDP_FLAGS_UPDATE_IF_NOEXIST) == EBUSY);
  REQUIRE(attach(native, second, XDP_FLAGS_REPLACE, false, first) == 0);
  CHECK(device.program(XdpMode::kNative) == second);
  REQUIRE(attach(native, nullptr, 0) == 0);
  CHECK(attach(native, nullptr, 0) == 0);
  CHECK_FALSE(device.any());
}

TEST_CASE("a link of a device excludes others until it goes, and outlives the device") {
  auto device = std::make_shared<XdpDevice>(7);
  const XdpDriver generic;
  const auto first = program(BPF_PROG_TYPE_XDP), second = program(BPF_PROG_TYPE_XDP);
  bpf_link_info info{};
  std::string name;
  {
    XdpLink link(first, 0), other(second, 0), wrong(second, XDP_FLAGS_REPLACE);
    CHECK(error_of(wrong.join(device, generic, false)) == EINVAL);
    REQUIRE(link.join(device, generic, false));
    CHECK(error_of(other.join(device, generic, false)) == EBUSY);
    CHECK(error_of(device->attach(generic, {.program = second}, false)) == EBUSY);
    CHECK(link.update(second, 0, second).error().value == EPERM);
    CHECK(link.update(program(BPF_PROG_TYPE_XDP, BPF_XDP_CPUMAP), 0, nullptr).error().value == EINVAL);
    REQUIRE(link.update(second, 0, first));
    CHECK(device->program(XdpMode::kGeneric) == second);
    link.fill_info(info, name);
    CHECK(info.xdp.ifindex == 7);
    CHECK(link.fdinfo() == "ifindex:\t7\n");
  }
  CHECK_FALSE(device->any());
  XdpLink link(first, 0);
  REQUIRE(link.join(device, generic, false));
  device->gone();
  link.fill_info(info, name);
  CHECK(info.xdp.ifindex == 0);
  CHECK(link.update(second, 0, nullptr).error().value == ENOLINK);
  CHECK(link.detach());
}

TEST_CASE("a namespace has one flow dissector, and many programs that look sockets up, in order") {
  auto netns = std::make_shared<NetnsPrograms>(42);
  constexpr u32 kFlow = BPF_FLOW_DISSECTOR, kLookup = BPF_SK_LOOKUP;
  const auto first = program(BPF_PROG_TYPE_FLOW_DISSECTOR), second = program(BPF_PROG_TYPE_FLOW_DISSECTOR);
  CHECK(netns->attach(kFlow, first, true).error().value == EEXIST);
  REQUIRE(netns->attach(kFlow, first, false));
  CHECK(netns->attach(kFlow, first, false).error().value == EINVAL);
  NetnsLink link(second, kFlow), other(second, kFlow);
  CHECK(link.join(netns, false).error().value == EEXIST);
  CHECK(netns->detach(kFlow, *second).error().value == ENOENT);
  REQUIRE(netns->detach(kFlow, *first));
  REQUIRE(link.join(netns, false));
  CHECK(other.join(netns, false).error().value == E2BIG);
  CHECK(netns->attach(kFlow, first, false).error().value == EEXIST);
  CHECK(netns->detach(kFlow, *second).error().value == EINVAL);
  CHECK(netns->any(kFlow));
  REQUIRE(link.detach());
  CHECK_FALSE(netns->any(kFlow));

  const auto lookup = program(BPF_PROG_TYPE_SK_LOOKUP, kLookup);
  CHECK(netns->attach(kLookup, lookup, false).error().value == EINVAL);
  NetnsLink one(lookup, kLookup), two(lookup, kLookup);
  REQUIRE(one.join(netns, false));
  REQUIRE(two.join(netns, false));
  CHECK(netns->ids(kLookup).size() == 2);
  CHECK(one.fdinfo() == "netns_ino:\t42\nattach_type:\t36\n");
  netns->gone();
  CHECK(one.fdinfo() == "netns_ino:\t0\nattach_type:\t36\n");
  CHECK(one.update(lookup, 0, nullptr).error().value == ENOLINK);
  CHECK_FALSE(netns->any(kLookup));
}

}  // namespace
}  // namespace bpfemu::test
