// SPDX-License-Identifier: Apache-2.0
#include "loader/first_text.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>

#include "emu/base/bytes.h"
#include "emu/base/proc_files.h"
#include "loader/auxv.h"

using namespace bpfemu;

namespace {

// A program that stands before its first instruction.
class Begun {
 public:
  explicit Begun(size_t variables) : tid_(::fork()) {
    if (tid_ == 0) {
      for (size_t i = 0; i < variables; ++i) ::setenv(("VARIABLE" + std::to_string(i)).c_str(), "", 1);
      ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
      ::execl("/bin/true", "true", nullptr);
      ::_exit(127);
    }
    ::waitpid(tid_, nullptr, 0);
    ::ptrace(PTRACE_GETREGS, tid_, nullptr, &regs_);
  }
  ~Begun() {
    ::kill(tid_, SIGKILL);
    ::waitpid(tid_, nullptr, 0);
  }
  pid_t tid() const { return tid_; }
  const user_regs_struct& regs() const { return regs_; }

 private:
  pid_t tid_;
  user_regs_struct regs_ = {};
};

}  // namespace

TEST_CASE("the vector on a new program's stack is the one that /proc shows") {
  const Begun program(GENERATE(0, 1, 3000));
  const Result<AuxVector> vector = read_auxv(program.tid(), program.regs().rsp, false);
  const std::string shown = *read_proc(program.tid(), "auxv");
  REQUIRE(vector);
  REQUIRE(vector->words.size() * sizeof(u64) <= shown.size());
  for (size_t i = 0; i < vector->words.size(); ++i) CHECK(vector->words[i] == load<u64>(&shown[i * sizeof(u64)]));
  CHECK(load<u64>(&shown[vector->words.size() * sizeof(u64)]) == AT_NULL);
  CHECK(vector->of(AT_PAGESZ) == 4096);
  CHECK(vector->of(12345) == 0);
}

TEST_CASE("no vector is found where none is") {
  const Begun program(0);
  CHECK(read_auxv(program.tid(), 8, false).error() == Errno{EFAULT});
  CHECK(AuxVector().first_image() == 0);
}

TEST_CASE("the text in which a program begins is what is mapped there") {
  const Begun program(0);
  MemoryFiles files;
  SpaceMemory memory(files, program.tid());
  FirstSites sites;
  const u64 entry = program.regs().rip;
  const u64 image = read_auxv(program.tid(), program.regs().rsp, false)->first_image();
  const Result<FirstText> text = find_first_text(memory, image, entry, sites);
  const std::vector<MapsLine> lines = *memory.maps();
  const auto line = std::ranges::find_if(lines, [=](const MapsLine& m) { return m.start <= entry && entry < m.end; });
  REQUIRE(text);
  REQUIRE(line != lines.end());
  CHECK((text->start == line->start && text->end == line->end && line->execute));
  CHECK((text->spare + text->room == text->end && text->room < 4096));
  CHECK(find_first_text(memory, image, image, sites).error() == Errno{ENOENT});
  CHECK_FALSE(find_first_text(memory, 8, entry, sites));
  SECTION("what is learnt of it is known of the next program, wherever that lies") {
    FirstSites::learn(*text, text->start + 32, 4);
    const Begun next(0);
    SpaceMemory next_memory(files, next.tid());
    const u64 next_image = read_auxv(next.tid(), next.regs().rsp, false)->first_image();
    const Result<FirstText> same = find_first_text(next_memory, next_image, next.regs().rip, sites);
    REQUIRE(same);
    CHECK(*same->calls == FirstCalls{{32, 4}});
  }
}
