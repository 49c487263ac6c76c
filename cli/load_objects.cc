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
  const int error = load_object(path, wish, rows);
  if (error != 0) fmt::print(stderr, "bpfemu: {}: {}\n", path, std::strerror(error));
  std::string lines;
  for (const VerifyRow& row : rows) lines += to_line(row);
  write_all(out, lines);
  std::fflush(nullptr);
  ::_exit(error != 0);
}

// In a process of its own: an object can be so broken that libbpf dies of it. False: it could not be read.
bool load_apart(const std::string& path, const LoadWish& wish, std::vector<VerifyRow>& rows) {
  int ends[2];
  if (::pipe(ends) != 0) return false;
  const UniqueFd in(ends[0]);
  UniqueFd out(ends[1]);
  std::fflush(nullptr);
  const pid_t child = ::fork();
  if (child < 0) return false;
  if (child == 0) be_loader(path, wish, out.get());
  out = UniqueFd();
  const std::string lines = read_all(in.get());
  int status = 0;
  ::waitpid(child, &status, 0);
  for (size_t at = 0, end; (end = lines.find('\n', at)) != std::string::npos; at = end + 1) {
    rows.push_back(from_line(lines.substr(at, end - at)));
    rows.back().file = path.substr(path.rfind('/') + 1);
  }
  if (WIFSIGNALED(status))
    fmt::print(stderr, "bpfemu: {}: libbpf fails on it: {}\n", path, ::strsignal(WTERMSIG(status)));
  return status == 0;
}

}  // namespace

std::vector<std::string> to_arguments(const LoadWish& wish) {
  std::vector<std::string> arguments = {kLoadObjects, wish.csv ? "csv" : "table", std::to_string(wish.verbose),
                                        std::to_string(wish.filters.size())};
  arguments.insert(arguments.end(), wish.filters.begin(), wish.filters.end());
  arguments.insert(arguments.end(), wish.objects.begin(), wish.objects.end());
  return arguments;
}

LoadWish from_arguments(const std::vector<std::string>& arguments) {
  LoadWish wish;
  if (arguments.size() < 4) return wish;
  wish.csv = arguments[1] == "csv";
  wish.verbose = std::atoi(arguments[2].c_str());
  const size_t rest = arguments.size() - 4;
  const auto filters = arguments.begin() + 4;
  const auto objects =
      filters + static_cast<long>(std::min<size_t>(std::strtoul(arguments[3].c_str(), nullptr, 10), rest));
  wish.filters.assign(filters, objects);
  wish.objects.assign(objects, arguments.end());
  return wish;
}

int load_objects(const LoadWish& wish) {
  std::vector<VerifyRow> rows;
  bool all_read = true;
  for (const std::string& path : wish.objects) all_read &= load_apart(path, wish, rows);
  fmt::print("{}", wish.csv ? csv_text(rows) : table_text(rows));
  if (!all_read) return 2;
  return std::all_of(rows.begin(), rows.end(), [](const VerifyRow& row) { return row.accepted; }) ? 0 : 1;
}

}  // namespace bpfemu
