// SPDX-License-Identifier: Apache-2.0
// kprobe_events, uprobe_events, dynamic_events, error_log and the profiles, against what a real 6.1 answered to the same
// commands: dynamic_events-6.1.txt, written there by record_dynamic_events from the commands of dynamic_events.txt.
#include "emu/kernel/dynamic_events.h"

#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <regex>

#include "tests/fakes/ports.h"

namespace bpfemu {
namespace {

using Sort = DynamicEvents::Sort;

class Answers {
 public:
  // What the recorder prints for one command.
  std::string to(const std::string& line) {
    std::string argument = line.size() > 2 ? line.substr(2) : "";
    switch (line[0]) {
      case 'k': return written(Sort::kKprobe, argument);
      case 'u': return written(Sort::kUprobe, argument);
      case 'd': return written(Sort::kAny, argument);
      case 'w': return written(Sort::kKprobe, std::regex_replace(argument, std::regex(R"(\\n)"), "\n"));
      case 'T': return cleared(Sort::kKprobe) + cleared(Sort::kUprobe) + cleared(Sort::kAny);
      case 'l': return listings();
      case 'L': return listings() + profiles();
      default: return format(argument);
    }
  }

 private:
  static std::string error(const Result<void>& done) {
    return fmt::format("errno {}\n", done ? 0 : done.error().value);
  }
  std::string cleared(Sort sort) { return error(events_.clear(sort)); }
  std::string written(Sort sort, const std::string& text) {
    events_.errors.clear();
    std::string out = error(events_.write(sort, text, &writer_));
    std::smatch entry;
    std::string log = events_.errors.listing();
    static const std::regex kEntry(R"(\[ *\d+\.\d+\] (.*)\n  Command: (.*)\n( *)\^\n)");
    while (std::regex_search(log, entry, kEntry)) {
      out += fmt::format("log {} {} | {}\n", entry[3].length() - 11, entry[1].str(), entry[2].str());
      log = entry.suffix();
    }
    return out;
  }
  std::string listings() const {
    return "= kprobe_events\n" + events_.listing(Sort::kKprobe) + "= uprobe_events\n" + events_.listing(Sort::kUprobe);
  }
  std::string profiles() const {
    return "= dynamic_events\n" + events_.listing(Sort::kAny) + "= kprobe_profile\n" + events_.profile(false) +
           "= uprobe_profile\n" + events_.profile(true);
  }
  std::string format(const std::string& path) const {
    size_t slash = path.find('/');
    auto event = events_.find(path.substr(0, slash), path.substr(slash + 1));
    return event ? std::regex_replace(event->format(), std::regex("\nID: [^\n]*"), "") : "(error 2)\n";
  }

  Profile profile_ = default_profile();
  KernelData kernel_{profile_};
  Unmodelled unmodelled_;
  fakes::FakeTask writer_;
  DynamicEvents events_{kernel_, unmodelled_, 2};
};

// Addresses of %p are hashed with a key of each boot's own.
std::string without_hashes(const std::string& text) {
  return std::regex_replace(text, std::regex("0x00000000[0-9a-f]{8}(?![0-9a-f(])"), "0x(hash)");
}

TEST_CASE("dynamic events as on 6.1") {
  std::ifstream recorded(RECORDED);
  REQUIRE(recorded);
  Answers answers;
  std::string line, command, expected;
  size_t commands = 0;
  auto compare = [&] {
    if (command.empty()) return;
    INFO(command);
    CHECK(without_hashes(answers.to(command)) == without_hashes(expected));
    ++commands;
  };
  while (std::getline(recorded, line)) {
    if (!line.starts_with("@ ")) {
      expected += line + "\n";
      continue;
    }
    compare();
    command = line.substr(2);
    expected.clear();
  }
  compare();
  CHECK(commands > 250);
}

}  // namespace
}  // namespace bpfemu
