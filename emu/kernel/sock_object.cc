// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/sock_object.h"

#include <cstring>

#include "emu/base/bytes.h"

namespace bpfemu {

namespace {

// A field of struct sock and what it holds. The path is that of the claimed kernel; one without it has it left out.
struct Field {
  const char* path;
  void (*set)(u8* at, const RunSock& sock);
};
template <class T, auto member>
void number(u8* at, const RunSock& sock) {
  store(at, static_cast<T>(sock.*member));
}
template <class T, T value>
void constant(u8* at, const RunSock&) {
  store(at, value);
}
void local_port(u8* at, const RunSock& sock) {
  store(at, static_cast<u16>(sock.src_port));
}
void local_ip6(u8* at, const RunSock& sock) {
  std::memcpy(at, sock.src_ip6, sizeof sock.src_ip6);
}
void remote_ip6(u8* at, const RunSock& sock) {
  std::memcpy(at, sock.dst_ip6, sizeof sock.dst_ip6);
}

constexpr Field kFields[] = {
    {"__sk_common.skc_daddr", number<u32, &RunSock::dst_ip4>},
    {"__sk_common.skc_rcv_saddr", number<u32, &RunSock::src_ip4>},
    {"__sk_common.skc_dport", number<u16, &RunSock::dst_port>},
    {"__sk_common.skc_num", local_port},
    {"__sk_common.skc_family", number<u16, &RunSock::family>},
    {"__sk_common.skc_state", number<u8, &RunSock::state>},
    {"__sk_common.skc_bound_dev_if", number<s32, &RunSock::bound_dev_if>},
    {"__sk_common.skc_v6_daddr", remote_ip6},
    {"__sk_common.skc_v6_rcv_saddr", local_ip6},
    {"__sk_common.skc_refcnt", constant<u32, 1>},
    {"__sk_common.skc_rx_queue_mapping", number<u16, &RunSock::rx_queue_mapping>},
    {"__sk_common.skc_tx_queue_mapping", constant<u16, 0xffff>},
    {"sk_type", number<u16, &RunSock::type>},
    {"sk_protocol", number<u16, &RunSock::protocol>},
    {"sk_mark", number<u32, &RunSock::mark>},
    {"sk_priority", number<u32, &RunSock::priority>},
};

}  // namespace

bool SockObjects::lay_out() {
  if (!btf_) return false;
  if (!offsets_.empty()) return true;
  auto id = btf_->find("sock", BTF_KIND_STRUCT);
  if (!id || btf_->size_of(*id).value_or(~u32{0}) > sizeof RunSock::object) return false;
  for (const Field& field : kFields) {
    auto offset = btf_->offset_of("sock", field.path);
    offsets_.push_back(offset ? std::optional<u32>(*offset) : std::nullopt);
  }
  return true;
}

bool SockObjects::show(RunSock& sock) {
  if (!lay_out()) return false;
  for (size_t i = 0; i < std::size(kFields); ++i) {
    if (offsets_[i]) kFields[i].set(sock.object + *offsets_[i], sock);
  }
  return true;
}

}  // namespace bpfemu
