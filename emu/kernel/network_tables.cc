// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/network_tables.h"

#include <algorithm>
#include <string_view>

#include "emu/base/proc_files.h"
#include "emu/base/words.h"

namespace bpfemu {

namespace {

using Words = std::vector<std::string>;

u64 number(const std::string& word, int base) {
  return ::strtoull(word.c_str(), nullptr, base);
}

std::array<u8, 16> address(const std::string& digits) {
  std::array<u8, 16> bytes{};
  for (size_t i = 0; i < bytes.size() && digits.size() >= 2 * i + 2; ++i)
    bytes[i] = static_cast<u8>(number(digits.substr(2 * i, 2), 16));
  return bytes;
}

// A row for each line that has as many words as the table has columns.
template <class Row>
Result<std::vector<Row>> read_table(pid_t tid, const char* name, size_t headings, size_t columns,
                                    Row (*row_of)(const Words& words)) {
  const std::string text = TRY(read_proc(tid, name));
  std::vector<Row> rows;
  for (size_t at = 0, line = 0; at < text.size(); ++line) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const Words words = words_of(std::string_view(text).substr(at, end - at));
    if (line >= headings && words.size() >= columns) rows.push_back(row_of(words));
    at = end + 1;
  }
  return rows;
}

// sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode
NetlinkSocket netlink_socket(const Words& words) {
  return {.protocol = static_cast<u32>(number(words[1], 10)),
          .port = static_cast<u32>(number(words[2], 10)),
          .groups = static_cast<u32>(number(words[3], 16)),
          .unread = static_cast<s32>(number(words[4], 10)),
          .unsent = static_cast<s32>(number(words[5], 10)),
          .dumping = number(words[6], 10) != 0,
          .references = static_cast<u32>(number(words[7], 10)),
          .drops = static_cast<s32>(number(words[8], 10)),
          .inode = number(words[9], 10)};
}

// target, its length, source, its length, gateway, metric, references, uses, flags, device
Route6 route(const Words& words) {
  return {.target = address(words[0]),
          .source = address(words[2]),
          .gateway = address(words[4]),
          .target_bits = static_cast<u8>(number(words[1], 16)),
          .source_bits = static_cast<u8>(number(words[3], 16)),
          .metric = static_cast<u32>(number(words[5], 16)),
          .references = static_cast<u32>(number(words[6], 16)),
          .flags = static_cast<u32>(number(words[8], 16)),
          .device = words[9]};
}

}  // namespace

Result<std::vector<NetlinkSocket>> netlink_sockets(pid_t tid) {
  return read_table(tid, "net/netlink", 1, 10, netlink_socket);
}

Result<std::vector<Route6>> routes6(pid_t tid) {
  return read_table(tid, "net/ipv6_route", 0, 10, route);
}

}  // namespace bpfemu
