// SPDX-License-Identifier: Apache-2.0
// XDP programs of a network device, and the rules of what may be attached next to what (kernel: dev_xdp_attach).
#pragma once

#include <array>
#include <expected>
#include <memory>

#include "emu/bpf/link.h"

namespace bpfemu {

class XdpLink;

enum class XdpMode : u8 { kGeneric, kNative, kOffloaded };  // kernel: enum bpf_xdp_mode
inline constexpr size_t kXdpModes = 3;

// Why not: the errno, and the sentence that netlink adds to it; "": none.
struct XdpRefusal {
  int error;
  const char* message = "";
};
using XdpResult = std::expected<void, XdpRefusal>;

// What a device's driver makes of programs of its own.
struct XdpDriver {
  bool native = false;                     // it has a way to take them (kernel: ndo_bpf)
  XdpRefusal refuses{.error = 0};          // a program in native mode; error 0: it takes it
};
// The mode that flags (XDP_FLAGS_*) ask for (kernel: dev_xdp_mode).
XdpMode xdp_mode(const XdpDriver& driver, u32 flags);

// A program itself, or a link's; neither: what is there is taken away. `old` is what has to be there.
struct XdpAttach {
  std::shared_ptr<Program> program = {}, old = {};
  XdpLink* link = nullptr;
  u32 flags = 0;
};

class XdpDevice {
 public:
  explicit XdpDevice(u32 index) : index_(index) {}

  u32 index() const { return index_; }
  // What runs in the mode; null: nothing.
  std::shared_ptr<Program> program(XdpMode mode) const;
  bool any() const;
  // `upper_has_one`: a device on top of this one has a program.
  XdpResult attach(const XdpDriver& driver, const XdpAttach& attach, bool upper_has_one);
  // May the program run in the mode, next to what runs in others (kernel: dev_xdp_install)?
  XdpResult check(XdpMode mode, const Program& program) const;
  void leave(const XdpLink& link);
  // The device is gone: its programs are let go, links stay without one.
  void gone();

 private:
  struct Slot {
    std::shared_ptr<Program> program;  // null with a link
    XdpLink* link = nullptr;
  };
  Slot& slot(XdpMode mode) { return slots_[static_cast<size_t>(mode)]; }

  u32 index_;
  std::array<Slot, kXdpModes> slots_;
};

class XdpLink : public Link {
 public:
  XdpLink(std::shared_ptr<Program> program, u32 flags) : Link(BPF_LINK_TYPE_XDP, std::move(program)), flags_(flags) {}
  ~XdpLink() override { leave(); }

  XdpResult join(std::shared_ptr<XdpDevice> device, const XdpDriver& driver, bool upper_has_one);
  void orphan() { device_.reset(); }

  void fill_info(bpf_link_info& info, std::string& name) const override;
  std::string fdinfo() const override;
  Result<void> detach() override;
  // ENOLINK once its device has gone (kernel: bpf_xdp_link_update).
  Result<void> update(std::shared_ptr<Program> program, u32 flags, std::shared_ptr<Program> old) override;

 private:
  void leave();
  u32 index() const { return device_ ? device_->index() : 0; }

  u32 flags_;
  XdpMode mode_ = XdpMode::kGeneric;
  std::shared_ptr<XdpDevice> device_;
};

}  // namespace bpfemu
