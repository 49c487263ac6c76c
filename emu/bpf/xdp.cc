// SPDX-License-Identifier: Apache-2.0
#include "emu/bpf/xdp.h"

#include <fmt/format.h>
#include <linux/if_link.h>

#include <algorithm>
#include <bit>
#include <utility>

namespace bpfemu {

namespace {

std::unexpected<XdpRefusal> refuse(int error, const char* message = "") {
  return std::unexpected(XdpRefusal{error, message});
}

}  // namespace

XdpMode xdp_mode(const XdpDriver& driver, u32 flags) {
  if (flags & XDP_FLAGS_HW_MODE) return XdpMode::kOffloaded;
  if (flags & XDP_FLAGS_DRV_MODE) return XdpMode::kNative;
  if (flags & XDP_FLAGS_SKB_MODE) return XdpMode::kGeneric;
  return driver.native ? XdpMode::kNative : XdpMode::kGeneric;
}

std::shared_ptr<Program> XdpDevice::program(XdpMode mode) const {
  const Slot& slot = slots_[static_cast<size_t>(mode)];
  return slot.link ? slot.link->program() : slot.program;
}

bool XdpDevice::any() const {
  return std::ranges::any_of(slots_, [](const Slot& slot) { return slot.program || slot.link; });
}

XdpResult XdpDevice::check(XdpMode mode, const Program& program) const {
  const XdpMode other = mode == XdpMode::kGeneric ? XdpMode::kNative : XdpMode::kGeneric;
  if (mode != XdpMode::kOffloaded && this->program(other))
    return refuse(EEXIST, "Native and generic XDP can't be active at the same time");
  if (program.expected_attach_type == BPF_XDP_DEVMAP)
    return refuse(EINVAL, "BPF_XDP_DEVMAP programs can not be attached to a device");
  if (program.expected_attach_type == BPF_XDP_CPUMAP)
    return refuse(EINVAL, "BPF_XDP_CPUMAP programs can not be attached to a device");
  return {};
}

XdpResult XdpDevice::attach(const XdpDriver& driver, const XdpAttach& attach, bool upper_has_one) {
  const u32 flags = attach.flags;
  const int modes = std::popcount(flags & XDP_FLAGS_MODES);
  if (attach.link && (flags & ~u32{XDP_FLAGS_MODES}))
    return refuse(EINVAL, "Invalid XDP flags for BPF link attachment");
  if (modes > 1) return refuse(EINVAL, "Only one XDP mode flag can be set");
  if (!modes && std::ranges::count_if(slots_, [](const Slot& slot) { return slot.program || slot.link; }) > 1)
    return refuse(EINVAL, "More than one program loaded, unset mode is ambiguous");
  if (attach.old && !(flags & XDP_FLAGS_REPLACE)) return refuse(EINVAL, "XDP_FLAGS_REPLACE is not specified");
  const XdpMode mode = xdp_mode(driver, flags);
  Slot& there = slot(mode);
  if (there.link) return refuse(EBUSY, "Can't replace active BPF XDP link");
  if (upper_has_one) return refuse(EEXIST, "Cannot attach when an upper device already has a program");
  if (attach.link && there.program) return refuse(EBUSY, "Can't replace active XDP program with BPF link");
  if ((flags & XDP_FLAGS_REPLACE) && there.program != attach.old)
    return refuse(EEXIST, "Active program does not match expected");
  const std::shared_ptr<Program> program = attach.link ? attach.link->program() : attach.program;
  if (program && (flags & XDP_FLAGS_UPDATE_IF_NOEXIST) && there.program)
    return refuse(EBUSY, "XDP program already attached");
  if (program != there.program) {
    if (mode != XdpMode::kGeneric && !driver.native)
      return refuse(EOPNOTSUPP, "Underlying driver does not support XDP in native mode");
    if (program)
      if (const XdpResult fits = check(mode, *program); !fits) return fits;
    if (mode == XdpMode::kOffloaded) return refuse(EINVAL);  // no driver of the model's offloads
    if (program && mode == XdpMode::kNative && driver.refuses.error) return std::unexpected(driver.refuses);
  }
  there = attach.link ? Slot{nullptr, attach.link} : Slot{attach.program, nullptr};
  return {};
}

void XdpDevice::leave(const XdpLink& link) {
  for (Slot& slot : slots_)
    if (slot.link == &link) slot = {};
}

void XdpDevice::gone() {
  for (Slot& slot : slots_)
    if (XdpLink* const link = std::exchange(slot, {}).link) link->orphan();
}

XdpResult XdpLink::join(std::shared_ptr<XdpDevice> device, const XdpDriver& driver, bool upper_has_one) {
  const XdpResult joined = device->attach(driver, {.link = this, .flags = flags_}, upper_has_one);
  if (!joined) return joined;
  mode_ = xdp_mode(driver, flags_);
  device_ = std::move(device);
  return {};
}

void XdpLink::leave() {
  if (device_) device_->leave(*this);
  device_.reset();
}

void XdpLink::fill_info(bpf_link_info& info, std::string&) const {
  info.xdp.ifindex = index();
}

std::string XdpLink::fdinfo() const {
  return fmt::format("ifindex:\t{}\n", index());
}

Result<void> XdpLink::detach() {
  leave();
  return {};
}

Result<void> XdpLink::update(std::shared_ptr<Program> program, u32, std::shared_ptr<Program> old) {
  if (!device_) return fail(ENOLINK);
  if (old && old != program_) return fail(EPERM);
  if (program->type != program_->type || program->expected_attach_type != program_->expected_attach_type)
    return fail(EINVAL);
  if (program == program_) return {};
  if (const XdpResult fits = device_->check(mode_, *program); !fits) return fail(fits.error().error);
  program_ = std::move(program);
  return {};
}

}  // namespace bpfemu
