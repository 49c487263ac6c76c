// SPDX-License-Identifier: Apache-2.0
#include "cli/options.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <map>

#include "emu/arena/layout.h"

namespace bpfemu {

namespace {

constexpr const char* kAbout =
    "Runs COMMAND, and all that it starts, as if the kernel had eBPF for it: bpf(), perf events, kprobes, uprobes,\n"
    "tracepoints and the files around them are emulated, without root.";

constexpr const char* kCommands =
    "bpfemu verify OBJECT... loads the programs of ELF objects without running them and prints each one's verdict\n"
    "(bpfemu verify --help). A COMMAND named verify needs the --.\n\n";

constexpr const char* kExplain =
    "--explain=auto explains a refused program once the process that loaded it has failed, or has ended without any\n"
    "program loaded. Left out are programs that it loaded in the end under the same name, and those by which loaders\n"
    "ask what a kernel can do: short, and without lines of source. At most 8 are explained, the same one once.\n"
    "always: each, at once.\n\n";

constexpr const char* kVerifyAbout =
    "Loads the programs of ELF objects one by one, as libbpf would, without running them, and prints what the\n"
    "verifier says of each.";

constexpr const char* kVerifyAfter =
    "Exit status: 0 all programs were accepted, 1 some were refused or do not fit together, 2 bad usage or an object\n"
    "that cannot be read,\n"
    "125 bpfemu failed.";

constexpr const char* kAfter =
    "The exit status is COMMAND's. bpfemu's own: 120 something was not modelled (--strict), 124 timeout,\n"
    "125 bpfemu failed, 126 COMMAND cannot be executed, 127 COMMAND not found.";

class Help final : public CLI::Formatter {
 public:
  explicit Help(std::string usage) : usage_(std::move(usage)) {}
  std::string make_usage(const CLI::App*, std::string) const override { return usage_; }

 private:
  std::string usage_;
};

const std::map<std::string, ExplainMode> kExplainModes = {
    {"auto", ExplainMode::kAuto}, {"always", ExplainMode::kAlways}, {"never", ExplainMode::kNever}};

// What every way to run bpfemu takes.
struct Common {
  std::string cpus;
  double timeout = 0;

  void add_to(CLI::App& app, Options& options) {
    app.set_help_flag("-h,--help", "Print this help and exit");
    app.add_flag("--as-user", options.as_user, "Give what an unprivileged user gets, instead of root's view");
    app.add_option("--btf", options.btf, "Kernel BTF: a file, 'host', or 'none' (default: the claimed kernel's)");
    app.add_option("--cpus", cpus, "CPUs that the tools see, ONLINE/POSSIBLE (default: this machine's)");
    app.add_option("--timeout", timeout, "Kill everything after so many seconds and exit with 124")
        ->check(CLI::PositiveNumber);
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

Parsed misused(const CLI::App& app, std::string_view problem, int status) {
  return {std::nullopt, fmt::format("bpfemu: {}\n{}", problem, app.help()), status};
}

// Nothing: all is well.
std::optional<Parsed> parse(CLI::App& app, int argc, const char* const* argv, int misuse) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return Parsed{std::nullopt, app.help(), 0};
  } catch (const CLI::CallForVersion& version) {
    return Parsed{std::nullopt, fmt::format("{}\n", version.what()), 0};
  } catch (const CLI::ParseError& error) {
    return misused(app, error.what(), misuse);
  }
  return std::nullopt;
}

Parsed completed(const CLI::App& app, const Common& common, Invocation run, int misuse) {
  run.command.timeout_ns = static_cast<u64>(common.timeout * 1e9);
  std::string problem = common.cpus.empty() ? "" : read_cpus(common.cpus, run.options);
  const std::string& btf = run.options.btf;
  if (problem.empty() && !btf.empty() && btf != "host" && btf != "none" && ::access(btf.c_str(), R_OK) != 0)
    problem = fmt::format("--btf: {}: {}", btf, std::strerror(errno));
  if (!problem.empty()) return misused(app, problem, misuse);
  return {std::move(run), {}, 0};
}

}  // namespace

Parsed parse_arguments(int argc, const char* const* argv) {
  Invocation run;
  Common common;
  CLI::App app(kAbout, "bpfemu");
  app.formatter(
      std::make_shared<Help>("Usage: bpfemu [OPTIONS] [--] COMMAND [ARGS...]\n"
                             "       bpfemu verify [OPTIONS] OBJECT...\n\n"));
  app.footer(std::string(kCommands) + kExplain + kAfter);
  common.add_to(app, run.options);
  app.set_version_flag("--version", "bpfemu " BPFEMU_VERSION);
  app.add_option("--explain", run.options.explain, "Explain refused programs on stderr (default: auto, see below)")
      ->transform(CLI::CheckedTransformer(kExplainModes))
      ->option_text("auto|always|never");
  app.add_option("--io-uring", run.options.native_io_uring,
                 "io_uring is absent (default), or the host's: bpfemu does not see what is done through it")
      ->transform(CLI::CheckedTransformer(std::map<std::string, bool>{{"absent", false}, {"native", true}}))
      ->option_text("absent|native");
  app.add_flag_callback(
      "--slow", [&run] { run.command.hot = 0; },
      "Stop at every call with a path, instead of letting processes decide often repeated ones by themselves");
  app.add_option("--hot", run.command.hot, "After so many stops of a place they decide")->group("");  // for tests
  app.add_flag("--stats", run.stats,
               "One line on stderr at the end: how often threads stopped, how many calls were answered");
  app.add_flag("--strict", run.strict, "Exit with 120 when something that the kernel has was not modelled");
  app.add_flag("--trace", run.options.trace, "One line on stderr for each call that was answered");
  app.add_flag("-v,--verbose", run.command.verbose, "Say on stderr in which way COMMAND is root");
  app.add_flag("--wait-all", run.command.wait_all, "Go on until everything that COMMAND started has ended");

  const int own = count_own(app, argc, argv);
  const std::optional<Parsed> ended = parse(app, own, argv, kFailed);
  if (ended) return *ended;
  const int first = own + (own < argc && std::string_view(argv[own]) == "--");
  run.command.argv.assign(argv + first, argv + argc);
  if (run.command.argv.empty()) return misused(app, "no COMMAND given", kFailed);
  return completed(app, common, std::move(run), kFailed);
}

Parsed parse_verify(int argc, const char* const* argv) {
  Invocation run;
  Common common;
  LoadWish wish;
  run.options.explain = ExplainMode::kAlways;
  run.options.btf_at_start = true;
  CLI::App app(kVerifyAbout, "bpfemu verify");
  app.formatter(std::make_shared<Help>("Usage: bpfemu verify [OPTIONS] OBJECT...\n\n"));
  app.footer(kVerifyAfter);
  common.add_to(app, run.options);
  auto* csv = app.add_flag("--csv", wish.csv, "Print CSV with veristat's column names");
  app.add_option("--explain", run.options.explain, "Explain refused programs on stderr: always (default), never")
      ->transform(CLI::CheckedTransformer(kExplainModes))
      ->option_text("always|never");
  app.add_option("-f,--filter", wish.filters, "Only programs whose name fits this glob pattern; may be repeated")
      ->allow_extra_args(false);
  app.add_flag("-v,--verbose", wish.verbose, "Print the verifier's log; -vv with every state")->excludes(csv);
  app.add_option("OBJECT", wish.objects, "ELF files, as clang or bpftool gen object makes them")->required();

  if (const std::optional<Parsed> ended = parse(app, argc, argv, kBadVerify)) return *ended;
  wish.verbose = std::min(wish.verbose, 2);
  wish.reasons = run.options.explain != ExplainMode::kNever;
  run.command.argv = to_arguments(wish);
  run.command.argv.insert(run.command.argv.begin(), std::filesystem::read_symlink("/proc/self/exe"));
  return completed(app, common, std::move(run), kBadVerify);
}

}  // namespace bpfemu
