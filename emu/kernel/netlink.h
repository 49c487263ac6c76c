// SPDX-License-Identifier: Apache-2.0
// Netlink messages as bytes: see netlink(7).
#pragma once

#include <linux/netlink.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "emu/base/types.h"

namespace bpfemu {

// The struct at `at` of the bytes; none: they end before it does.
template <class T>
std::optional<T> struct_at(std::string_view bytes, size_t at) {
  T value;
  if (bytes.size() < at || bytes.size() - at < sizeof value) return std::nullopt;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

// The message at the beginning of the bytes, cut to its length; empty: there is none.
inline std::string_view first_message(std::string_view bytes) {
  const auto head = struct_at<nlmsghdr>(bytes, 0);
  if (!head || head->nlmsg_len < sizeof *head || head->nlmsg_len > bytes.size()) return {};
  return bytes.substr(0, head->nlmsg_len);
}

// The struct behind a message's header, and the attributes behind that.
template <class T>
std::optional<T> body_of(std::string_view message) {
  return struct_at<T>(message, NLMSG_HDRLEN);
}
template <class T>
std::string_view attributes_of(std::string_view message) {
  const size_t at = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(T));
  return message.size() < at ? std::string_view() : message.substr(at);
}

// Calls `visit(type, payload, whole)` for each attribute, `whole` being all its bytes, until it returns false.
template <class Visit>
void for_each_attribute(std::string_view attributes, Visit visit) {
  while (const auto head = struct_at<nlattr>(attributes, 0)) {
    if (head->nla_len < sizeof *head || head->nla_len > attributes.size()) return;
    const size_t step = std::min<size_t>(NLA_ALIGN(head->nla_len), attributes.size());
    const std::string_view payload = attributes.substr(sizeof *head, head->nla_len - sizeof *head);
    if (!visit(static_cast<u16>(head->nla_type & NLA_TYPE_MASK), payload, attributes.substr(0, step))) return;
    attributes.remove_prefix(step);
  }
}

// The payload of the last of a type, as the kernel takes it; none: there is none.
inline std::optional<std::string_view> attribute(std::string_view attributes, u16 type) {
  std::optional<std::string_view> found;
  for_each_attribute(attributes, [&](u16 each, std::string_view payload, std::string_view) {
    if (each == type) found = payload;
    return true;
  });
  return found;
}
template <class T>
std::optional<T> number_attribute(std::string_view attributes, u16 type) {
  const auto payload = attribute(attributes, type);
  return payload ? struct_at<T>(*payload, 0) : std::nullopt;
}
// A text without its NUL; "": there is none.
inline std::string text_attribute(std::string_view attributes, u16 type) {
  const std::string_view payload = attribute(attributes, type).value_or(std::string_view());
  return std::string(payload.substr(0, payload.find('\0')));
}

// Adds one with its padding.
inline void put_attribute(std::string& to, u16 type, std::string_view payload) {
  const nlattr head{static_cast<u16>(sizeof head + payload.size()), type};
  to.append(reinterpret_cast<const char*>(&head), sizeof head).append(payload);
  to.resize(NLA_ALIGN(to.size()), '\0');
}
template <class T>
void put_number(std::string& to, u16 type, T value) {
  put_attribute(to, type, {reinterpret_cast<const char*>(&value), sizeof value});
}

}  // namespace bpfemu
