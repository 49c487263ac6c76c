// SPDX-License-Identifier: Apache-2.0
// Which refused programs are explained, and when.
#include <catch2/catch.hpp>

#include "emu/syscalls/explanations.h"
#include "tests/unit/verifier/program.h"

using namespace bpfemu;

namespace {

constexpr pid_t kTool = 7;

// Refused for its last instruction; `length` in all.
LoadRequest program(std::string name, size_t length) {
  LoadRequest request;
  request.type = BPF_PROG_TYPE_SOCKET_FILTER;
  request.name = std::move(name);
  while (request.insns.size() + 2 < length) request.insns.push_back(mov(6, 0));
  request.insns.push_back(copy(0, 3));
  request.insns.push_back(leave());
  return request;
}

struct Explained {
  explicit Explained(ExplainMode mode) : explanations(mode) {
    explanations.on_text([this](const std::string& text) { texts.push_back(text); });
  }
  void refuse(const std::string& name, size_t length = 20) {
    explanations.refused(kTool, world, program(name, length));
  }
  size_t shown() const { return texts.size(); }

  VerifierWorld world;
  Explanations explanations;
  std::vector<std::string> texts;
};

}  // namespace

TEST_CASE("auto: shown when the process has failed, and not before") {
  Explained e(ExplainMode::kAuto);
  e.refuse("a");
  e.refuse("a");  // once more, for its log
  CHECK(e.shown() == 0);
  e.explanations.process_ended(8, true);
  CHECK(e.shown() == 0);
  e.explanations.process_ended(kTool, true);
  REQUIRE(e.shown() == 1);
  CHECK(e.texts[0].starts_with("error[BV012]: "));
  e.explanations.finish();
  CHECK(e.shown() == 1);
}

TEST_CASE("auto: a process that ends well is shown only when it loaded nothing at all") {
  Explained nothing(ExplainMode::kAuto), other(ExplainMode::kAuto);
  nothing.refuse("a");
  nothing.explanations.process_ended(kTool, false);
  CHECK(nothing.shown() == 1);
  other.refuse("a");
  other.explanations.loaded(kTool, program("b", 20));
  other.explanations.process_ended(kTool, false);
  CHECK(other.shown() == 0);
}

TEST_CASE("auto: not shown when the program was loaded in the end") {
  Explained e(ExplainMode::kAuto);
  e.refuse("a");
  e.refuse("b");
  e.explanations.loaded(kTool, program("a", 20));
  e.explanations.process_ended(kTool, true);
  REQUIRE(e.shown() == 1);
  CHECK(e.texts[0].find("program b") != std::string::npos);
}

TEST_CASE("auto: probes of loaders are silent, and a flood has an end") {
  Explained e(ExplainMode::kAuto);
  for (int i = 0; i < 300; ++i) e.refuse("probe" + std::to_string(i), 4);
  for (int i = 0; i < 20; ++i) e.refuse("real" + std::to_string(i));
  e.explanations.process_ended(kTool, true);
  CHECK(e.shown() == 8);
  e.explanations.finish();
  REQUIRE(e.shown() == 9);
  CHECK(e.texts.back() == "bpfemu: 12 more refused programs are not explained; --explain=always explains all\n");
}

TEST_CASE("auto: a short program with functions in BTF, but no lines, is a probe") {
  Explained e(ExplainMode::kAuto);
  LoadRequest request = program("det_arg_ctx_tag", 4);
  request.func_info_cnt = 2;
  e.explanations.refused(kTool, e.world, request);
  e.explanations.process_ended(kTool, true);
  CHECK(e.shown() == 0);
}

TEST_CASE("auto: of a process that goes on for long only the last reports are held") {
  Explained e(ExplainMode::kAuto);
  for (int i = 0; i < 1000; ++i) e.refuse("real" + std::to_string(i));
  e.explanations.finish();
  REQUIRE(e.shown() == 9);
  CHECK(e.texts[0].find("program real936") != std::string::npos);
  CHECK(e.texts.back() == "bpfemu: 992 more refused programs are not explained; --explain=always explains all\n");
}

TEST_CASE("auto: what is held when all ends is shown") {
  Explained e(ExplainMode::kAuto);
  e.refuse("a");
  e.explanations.finish();
  CHECK(e.shown() == 1);
}

TEST_CASE("always: each at once, the same only once; never: none") {
  Explained always(ExplainMode::kAlways), never(ExplainMode::kNever);
  for (Explained* e : {&always, &never}) {
    e->refuse("a", 3);
    e->refuse("a", 3);
    e->refuse("b", 3);
    e->explanations.process_ended(kTool, true);
    e->explanations.finish();
  }
  CHECK(always.shown() == 2);
  CHECK(never.shown() == 0);
}
