// SPDX-License-Identifier: Apache-2.0
#include "cli/load_objects.h"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "cli/object_loader.h"
#include "emu/base/fd.h"

namespace bpfemu {

namespace {

// Arguments before the filters and the objects.
constexpr long kFixed = 5;

// How rows come back from the process that loaded an object: a line each, the name last.
std::string to_line(const VerifyRow& row) {
  return fmt::format("{:d} {} {} {} {} {} {} {}\n", row.accepted, row.microseconds, row.insns, row.states,
                     row.peak_states, row.max_states_per_insn, row.mark_read, row.program);
}

VerifyRow from_line(const std::string& line) {
  VerifyRow row;
  int accepted = 0, end = 0;
  std::sscanf(line.c_str(), "%d %lu %lu %lu %lu %lu %lu %n", &accepted, &row.microseconds, &row.insns, &row.states,
              &row.peak_states, &row.max_states_per_insn, &row.mark_read, &end);
  row.accepted = accepted != 0;
  row.program = line.substr(static_cast<size_t>(end));
  return row;
}

void write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t done = ::write(fd, text.data(), text.size());
    if (done <= 0) return;
    text.remove_prefix(static_cast<size_t>(done));
  }
}

std::string read_all(int fd) {
  std::string text;
  char part[4096];
  ssize_t got;
  while ((got = ::read(fd, part, sizeof part)) > 0) text.append(part, static_cast<size_t>(got));
  return text;
}

[[noreturn]] void be_loader(const std::string& path, const LoadWish& wish, int out) {
  std::vector<VerifyRow> rows;
  const int loaded = load_object(path, wish, rows);
  std::string lines;
  for (const VerifyRow& row : rows) lines += to_line(row);
  write_all(out, lines);
  std::fflush(nullptr);
  ::_exit(loaded);
}

// In a process of its own: an object can be so broken that libbpf dies of it. A VerifyStatus.
int load_apart(const std::string& path, const LoadWish& wish, std::vector<VerifyRow>& rows) {
  int ends[2];
  if (::pipe(ends) != 0) return kUnreadable;
  const UniqueFd in(ends[0]);
  UniqueFd out(ends[1]);
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child < 0) return kUnreadable;
  if (child == 0) be_loader(path, wish, out.get());
  out = UniqueFd();
  const std::string lines = read_all(in.get());
  int status = 0;
  ::waitpid(child, &status, 0);
  for (size_t at = 0, end; (end = lines.find('\n', at)) != std::string::npos; at = end + 1) {
    rows.push_back(from_line(lines.substr(at, end - at)));
    rows.back().file = path.substr(path.rfind('/') + 1);
  }
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  fmt::print(stderr, "bpfemu: {}: libbpf fails on it: {}\n", path, ::strsignal(WTERMSIG(status)));
  return kUnreadable;
}

}  // namespace

std::vector<std::string> to_arguments(const LoadWish& wish) {
  std::vector<std::string> arguments = {kLoadObjects, wish.csv ? "csv" : "table", wish.reasons ? "reasons" : "quiet",
                                        std::to_string(wish.verbose), std::to_string(wish.filters.size())};
  arguments.insert(arguments.end(), wish.filters.begin(), wish.filters.end());
  arguments.insert(arguments.end(), wish.objects.begin(), wish.objects.end());
  return arguments;
}

LoadWish from_arguments(const std::vector<std::string>& arguments) {
  LoadWish wish;
  if (arguments.size() < size_t{kFixed}) return wish;
  wish.csv = arguments[1] == "csv";
  wish.reasons = arguments[2] == "reasons";
  wish.verbose = std::atoi(arguments[3].c_str());
  const size_t rest = arguments.size() - size_t{kFixed};
  const auto filters = arguments.begin() + kFixed;
  const auto objects =
      filters + static_cast<long>(std::min<size_t>(std::strtoul(arguments[4].c_str(), nullptr, 10), rest));
  wish.filters.assign(filters, objects);
  wish.objects.assign(objects, arguments.end());
  return wish;
}

int load_objects(const LoadWish& wish) {
  std::vector<VerifyRow> rows;
  int status = kAccepted;
  for (const std::string& path : wish.objects) status = std::max(status, load_apart(path, wish, rows));
  fmt::print("{}", wish.csv ? csv_text(rows) : table_text(rows));
  return status;
}

}  // namespace bpfemu
