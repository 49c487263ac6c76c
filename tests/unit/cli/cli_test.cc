// SPDX-License-Identifier: Apache-2.0
#include <signal.h>

#include <catch2/catch.hpp>

#include "cli/report.h"
#include "cli/verify_table.h"

using namespace bpfemu;

namespace {

Parsed parse(std::vector<const char*> words) {
  words.insert(words.begin(), "bpfemu");
  return parse_arguments(static_cast<int>(words.size()), words.data());
}

using Words = std::vector<std::string>;

Ending ending(Outcome outcome, std::vector<std::string> unmodelled = {}, bool strict = false) {
  Invocation run;
  run.command.argv = {"tool"};
  run.strict = strict;
  return ending_of({outcome, std::move(unmodelled)}, run);
}

using Kind = Outcome::Kind;

}  // namespace

TEST_CASE("statistics are one line at the end, when asked for") {
  Invocation run;
  run.command.argv = {"tool"};
  const RunReport report{{Kind::kEnded, 0}, {}, {.stops = 12, .requests = 34}, 5};
  CHECK(ending_of(report, run).text.empty());
  run.stats = true;
  CHECK(ending_of(report, run).text == "bpfemu: 12 stops, 34 ptrace requests, 5 calls answered, 0 call sites patched\n");
}

TEST_CASE("options end at the first word that is none") {
  CHECK(parse({"ls", "-l"}).invocation->command.argv == Words{"ls", "-l"});
  CHECK(parse({"--", "ls", "--help"}).invocation->command.argv == Words{"ls", "--help"});
  CHECK(parse({"--", "--odd"}).invocation->command.argv == Words{"--odd"});
  CHECK(parse({"--trace", "ls", "--", "x"}).invocation->command.argv == Words{"ls", "--", "x"});
  CHECK(parse({"--btf", "none", "ls"}).invocation->command.argv == Words{"ls"});
  CHECK(parse({"--btf=none", "ls"}).invocation->options.btf == "none");
}

TEST_CASE("options mean what they say") {
  const Parsed parsed = parse({"--as-user", "--cpus", "2/4", "--stats", "--strict", "--timeout", "1.5", "--trace", "--wait-all",
                               "-v", "--btf", "host", "--", "x"});
  REQUIRE(parsed.invocation);
  const Invocation& run = *parsed.invocation;
  CHECK(run.options.as_user);
  CHECK(run.command.verbose);
  CHECK(run.options.cpus_online == 2);
  CHECK(run.options.cpus_possible == 4);
  CHECK(run.strict);
  CHECK(run.command.timeout_ns == 1'500'000'000);
  CHECK(run.options.trace);
  CHECK(run.stats);
  CHECK(run.command.wait_all);
  CHECK(run.options.btf == "host");
  CHECK(parse({"--cpus", "3", "x"}).invocation->options.cpus_possible == 3);
  CHECK(parse({"x"}).invocation->options.cpus_online == 0);
}

TEST_CASE("bad command lines print the usage and give 125") {
  for (const auto& words : std::vector<std::vector<const char*>>{{},
                                                                 {"--"},
                                                                 {"--bad", "ls"},
                                                                 {"--btf"},
                                                                 {"--timeout", "soon", "ls"},
                                                                 {"--timeout", "-1", "ls"},
                                                                 {"--cpus", "0", "ls"},
                                                                 {"--cpus", "4/2", "ls"},
                                                                 {"--cpus", "2/", "ls"},
                                                                 {"--cpus", "2x", "ls"},
                                                                 {"--cpus", "1000", "ls"}}) {
    const Parsed parsed = parse(words);
    INFO(parsed.text);
    CHECK_FALSE(parsed.invocation);
    CHECK(parsed.status == 125);
    CHECK(parsed.text.find("Usage: bpfemu") != std::string::npos);
  }
}

TEST_CASE("help and version succeed") {
  CHECK(parse({"--help"}).status == 0);
  CHECK(parse({"--help"}).text.find("--wait-all") != std::string::npos);
  CHECK(parse({"--version"}).status == 0);
  CHECK(parse({"--version"}).text.starts_with("bpfemu "));
}

TEST_CASE("exit statuses") {
  CHECK(ending({Kind::kEnded, 7 << 8}).status == 7);
  CHECK(ending({Kind::kEnded, 7 << 8}).signal == 0);
  CHECK(ending({Kind::kEnded, SIGTERM}).signal == SIGTERM);
  CHECK(ending({Kind::kEnded, SIGTERM}).status == 128 + SIGTERM);
  CHECK(ending({Kind::kTimedOut, 0}).status == 124);
  CHECK(ending({Kind::kFailed, ENOMEM}).status == 125);
  CHECK(ending({Kind::kOutOfCpu, 0}).status == 125);
  CHECK(ending({Kind::kNested, 0}).status == 125);
  CHECK(ending({Kind::kPtraceDenied, EPERM}).status == 125);
  CHECK(ending({Kind::kNotExecutable, EACCES}).status == 126);
  CHECK(ending({Kind::kNotFound, ENOENT}).status == 127);
  for (Kind kind :
       {Kind::kTimedOut, Kind::kOutOfCpu, Kind::kFailed, Kind::kNested, Kind::kPtraceDenied, Kind::kNotExecutable,
        Kind::kNotFound}) {
    const std::string text = ending({kind, EPERM}).text;
    CHECK(text.starts_with("bpfemu: "));
    CHECK(std::count(text.begin(), text.end(), '\n') == 1);
  }
}

TEST_CASE("what was not modelled is said, and with --strict it is the status") {
  const Ending loose = ending({Kind::kEnded, 0}, {"a map", "b link"});
  CHECK(loose.text == "bpfemu: not modelled: a map\nbpfemu: not modelled: b link\n");
  CHECK(loose.status == 0);
  CHECK(ending({Kind::kEnded, SIGTERM}, {"a map"}, true).status == 120);
  CHECK(ending({Kind::kEnded, SIGTERM}, {"a map"}, true).signal == 0);
  CHECK(ending({Kind::kEnded, 0}, {}, true).status == 0);
  CHECK(ending({Kind::kTimedOut, 0}, {"a map"}, true).status == 124);
}

TEST_CASE("what was not modelled is summed up: how often, and many of a kind in one line") {
  Unmodelled unmodelled;
  CHECK(unmodelled.lines().empty());
  for (int i = 0; i < 3; ++i) unmodelled.note("a mount");
  for (const char* name : {"c", "a", "b", "a"}) unmodelled.note("kprobe", name);
  CHECK(unmodelled.lines() == Words{"a mount (3 times)", "kprobe a (2 times)", "kprobe b", "kprobe c"});
  for (int i = 0; i < 997; ++i) unmodelled.note("kprobe", "d" + std::to_string(i));
  CHECK(unmodelled.lines() == Words{"1000 kprobes: a, b, c and 997 more", "a mount (3 times)"});
}

namespace {

Parsed parse_verify_words(std::vector<const char*> words) {
  words.insert(words.begin(), "verify");
  return parse_verify(static_cast<int>(words.size()), words.data());
}

}  // namespace

TEST_CASE("which programs are explained") {
  CHECK(parse({"x"}).invocation->options.explain == ExplainMode::kAuto);
  CHECK(parse({"--explain=always", "x"}).invocation->options.explain == ExplainMode::kAlways);
  CHECK(parse({"--explain", "never", "x"}).invocation->command.argv == Words{"x"});
  CHECK(parse({"--explain=often", "x"}).status == 125);
}

TEST_CASE("verify runs bpfemu itself as the process that loads") {
  const Parsed parsed = parse_verify_words({"-f", "a*", "-f", "b", "-v", "x.o", "y.o"});
  REQUIRE(parsed.invocation);
  CHECK(parsed.invocation->options.explain == ExplainMode::kAlways);
  Words argv = parsed.invocation->command.argv;
  REQUIRE(argv.size() > 2);
  CHECK(argv[0].find("cli_test") != std::string::npos);
  argv.erase(argv.begin());
  const LoadWish wish = from_arguments(argv);
  CHECK(wish.objects == Words{"x.o", "y.o"});
  CHECK(wish.filters == Words{"a*", "b"});
  CHECK(wish.verbose == 1);
  CHECK(!wish.csv);
  CHECK(parse_verify_words({"--csv", "x.o"}).invocation);
  CHECK(parse_verify_words({}).status == 2);
  CHECK(parse_verify_words({"--csv", "-v", "x.o"}).status == 2);
  CHECK(parse_verify_words({"--help"}).status == 0);
}

TEST_CASE("verify's rows come from the end of the log") {
  const VerifyRow row = row_of("x.o", "p", false,
                               "0: (95) exit\nR0 !read_ok\nverification time 12 usec\nstack depth 0\nprocessed 3 insns "
                               "(limit 1000000) max_states_per_insn 1 total_states 4 peak_states 2 mark_read 5\n");
  CHECK(csv_text({row}) ==
        "file_name,prog_name,verdict,duration,total_insns,total_states,peak_states,max_states_per_insn,"
        "max_mark_read_len\nx.o,p,failure,12,3,4,2,1,5\n");
  CHECK(table_text({row}) ==
        "File  Program  Verdict  Duration (us)  Insns  States  Peak states\n"
        "----  -------  -------  -------------  -----  ------  -----------\n"
        "x.o   p        failure             12      3       4            2\n"
        "1 program: 0 accepted, 1 refused\n");
  CHECK(csv_text({row_of("x.o", "p", false, "")}).ends_with("x.o,p,failure,0,0,0,0,0,0\n"));
}
