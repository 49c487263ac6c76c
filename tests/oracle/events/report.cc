// SPDX-License-Identifier: Apache-2.0
#include "tests/oracle/events/report.h"

#include <arpa/inet.h>

#include <cstdio>
#include <cstring>

namespace events {
namespace {

s64 number(const Value& value, const u8* at) {
  u64 bits = 0;
  memcpy(&bits, at, sizeof bits);
  const u32 unused = 64 - 8 * std::min(value.size, 8u);
  bits <<= unused;
  return value.is_signed ? static_cast<s64>(bits) >> unused : static_cast<s64>(bits >> unused);
}

// Printable, and without what ends a question.
std::string text(const u8* at) {
  std::string result;
  for (u32 i = 0; i < Value::kTextSize && at[i]; ++i) result += at[i] < ' ' || at[i] > '~' ? '?' : static_cast<char>(at[i]);
  return '"' + result + '"';
}

std::string printed(const char* format, u64 number) {
  char buffer[32];
  snprintf(buffer, sizeof buffer, format, number);
  return buffer;
}

std::string address4(u32 address) {
  char buffer[INET_ADDRSTRLEN];
  return inet_ntop(AF_INET, &address, buffer, sizeof buffer);
}

}  // namespace

// "main", "task 2", ...; what is no task of the workload keeps its id when that is the same everywhere.
std::string Report::task(u32 id) {
  if (id <= 1) return std::to_string(id);
  if (id == root_) return "main";
  auto [found, is_new] = tasks_.try_emplace(id);
  if (is_new) found->second = "task" + std::to_string(tasks_.size() + 1);
  return found->second;
}

std::string Report::value(const Value& value, const u8* at) {
  if (value.slot() != 8) return text(at);
  const s64 n = number(value, at);
  if (value.format == "x") return printed("0x%lx", static_cast<u64>(n));
  if (value.format == "o") return printed("0%lo", static_cast<u64>(n));
  if (value.format == "port") return std::to_string(ntohs(static_cast<u16>(n)));
  if (value.format == "ip") return address4(static_cast<u32>(n));
  if (value.format == "set") return n ? "set" : "0";
  if (value.format == "pid") return n < 0 ? errno_text(n) : task(static_cast<u32>(n));
  if (n < 0 && n >= -4095) return errno_text(n);
  if (value.kind == Value::Kind::kPointer || value.format == "p") return n ? "pointer" : "null";
  return std::to_string(n);
}

std::string Report::values(const Listener& listener, const u8* at) {
  std::string result;
  for (const Value& each : listener.values) {
    result += (result.empty() ? "" : " ") + each.name + "=" + value(each, at);
    at += each.slot();
  }
  return result;
}

void Report::take(const void* record, size_t size) {
  RecordHead head;
  if (size < sizeof head) return;
  memcpy(&head, record, sizeof head);
  if (head.listener >= listeners_.size() || head.step == 0 || head.step > steps_.size()) return;
  if (head.step != step_) {
    step_ = head.step;
    tasks_.clear();
  }
  const Listener& listener = listeners_[head.listener];
  if (listener.left_out_in.find(steps_[head.step - 1].name) != std::string::npos) return;
  const std::string who = std::string(steps_[head.step - 1].name) + "/" + (listener.in_any_task ? "anybody" : task(head.pid));
  const std::string what = std::string(name_of(listener.way)) + " " + listener.target;
  std::string& order = orders_[{head.step, who}];
  order += (order.empty() ? "" : ", ") + what;
  const std::string question = who + " " + what;
  const std::string answer = values(listener, static_cast<const u8*>(record) + sizeof head);
  lines_[head.step].push_back({question + " #" + std::to_string(++asked_[question]), answer});
}

void Report::print() const {
  for (const Listener& listener : listeners_)
    if (!listener.error.empty())
      printf("%s %s: %s\n", name_of(listener.way), listener.target.c_str(), listener.error.c_str());
  for (const auto& [step, lines] : lines_) {
    for (const Line& line : lines) printf("%s: %s\n", line.question.c_str(), line.answer.c_str());
    for (const auto& [who, order] : orders_)
      if (who.first == step) printf("%s order: %s\n", who.second.c_str(), order.c_str());
  }
}

}  // namespace events
