// SPDX-License-Identifier: Apache-2.0
#include "cli/options.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <CLI/CLI.hpp>

#include "emu/arena/layout.h"

namespace bpfemu {

namespace {

constexpr const char* kAbout =
    "Runs COMMAND, and all that it starts, as if the kernel had eBPF for it: bpf(), perf events, kprobes, uprobes,\n"
    "tracepoints and the files around them are emulated, without root.";

constexpr const char* kAfter =
    "The exit status is COMMAND's. bpfemu's own: 120 something was not modelled (--strict), 124 timeout,\n"
    "125 bpfemu failed, 126 COMMAND cannot be executed, 127 COMMAND not found.";

class Help final : public CLI::Formatter {
 public:
  std::string make_usage(const CLI::App*, std::string) const override {
    return "Usage: bpfemu [OPTIONS] [--] COMMAND [ARGS...]\n\n";
  }
};

// "ONLINE/POSSIBLE" or one number for both.
std::string read_cpus(const std::string& text, Options& options) {
  unsigned online = 0, possible = 0;
  int end = 0;
  const int fields = std::sscanf(text.c_str(), "%u%n/%u%n", &online, &end, &possible, &end);
  if (fields == 1) possible = online;
  if (fields < 1 || static_cast<size_t>(end) != text.size() || online == 0 || online > possible || possible > kMaxCpus)
    return fmt::format("--cpus: '{}' is not ONLINE/POSSIBLE, numbers from 1 to {}", text, kMaxCpus);
  options.cpus_online = online;
  options.cpus_possible = possible;
  return {};
}

// How many of the arguments are bpfemu's own: up to the first that is no option, or "--".
int count_own(const CLI::App& app, int argc, const char* const* argv) {
  int i = 1;
  for (; i < argc && argv[i][0] == '-' && argv[i][1] != '\0'; ++i) {
    const std::string word = argv[i];
    if (word == "--") break;
    const CLI::Option* option = app.get_option_no_throw(word);
    if (option && option->get_items_expected_min() > 0) ++i;
  }
  return std::min(i, argc);
}

}  // namespace

Parsed parse_arguments(int argc, const char* const* argv) {
  Invocation run;
  std::string cpus;
  double timeout = 0;
  CLI::App app(kAbout, "bpfemu");
  app.formatter(std::make_shared<Help>());
  app.footer(kAfter);
  app.set_help_flag("-h,--help", "Print this help and exit");
  app.set_version_flag("--version", "bpfemu " BPFEMU_VERSION);
  app.add_flag("--as-user", run.options.as_user, "Give what an unprivileged user gets, instead of root's view");
  app.add_option("--btf", run.options.btf, "Kernel BTF: a file, 'host', or 'none' (default: the claimed kernel's)");
  app.add_option("--cpus", cpus, "CPUs that the tools see, ONLINE/POSSIBLE (default: this machine's)");
  app.add_flag("--strict", run.strict, "Exit with 120 when something that the kernel has was not modelled");
  app.add_option("--timeout", timeout, "Kill everything after so many seconds and exit with 124")
      ->check(CLI::PositiveNumber);
  app.add_flag("--trace", run.options.trace, "One line on stderr for each call that was answered");
  app.add_flag("--wait-all", run.command.wait_all, "Go on until everything that COMMAND started has ended");

  const int own = count_own(app, argc, argv);
  try {
    app.parse(own, argv);
  } catch (const CLI::CallForHelp&) {
    return {std::nullopt, app.help(), 0};
  } catch (const CLI::CallForVersion& version) {
    return {std::nullopt, fmt::format("{}\n", version.what()), 0};
  } catch (const CLI::ParseError& error) {
    return {std::nullopt, fmt::format("bpfemu: {}\n{}", error.what(), app.help()), kFailed};
  }
  const int first = own + (own < argc && std::string_view(argv[own]) == "--");
  run.command.argv.assign(argv + first, argv + argc);
  run.command.timeout_ns = static_cast<u64>(timeout * 1e9);
  std::string problem = run.command.argv.empty() ? "no COMMAND given" : "";
  if (problem.empty() && !cpus.empty()) problem = read_cpus(cpus, run.options);
  const std::string& btf = run.options.btf;
  if (problem.empty() && !btf.empty() && btf != "host" && btf != "none" && ::access(btf.c_str(), R_OK) != 0)
    problem = fmt::format("--btf: {}: {}", btf, std::strerror(errno));
  if (!problem.empty()) return {std::nullopt, fmt::format("bpfemu: {}\n{}", problem, app.help()), kFailed};
  return {std::move(run), {}, 0};
}

}  // namespace bpfemu
