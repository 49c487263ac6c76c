// SPDX-License-Identifier: Apache-2.0
#include "cli/object_loader.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "cli/context_types.h"
#include "cli/verify_table.h"

namespace bpfemu {

namespace {

constexpr size_t kQuietLog = size_t{1} << 20, kVerboseLog = size_t{1} << 26;
constexpr int kLogStats = 4;  // BPF_LOG_STATS

struct CloseObject {
  void operator()(bpf_object* object) const { bpf_object__close(object); }
};
using Object = std::unique_ptr<bpf_object, CloseObject>;

// What libbpf said while it loaded an object. Its print function has no context, so this has to be global.
struct Heard {
  std::string complaints;
  const bpf_program* program = nullptr;
  // The program had been loaded by the time of a complaint: the complaint is about something else. Looked at then,
  // since libbpf unloads everything before it says that it failed.
  bool loaded = false;
};
Heard& heard() {
  static Heard all;
  return all;
}

int listen(libbpf_print_level level, const char* format, va_list args) {
  if (level != LIBBPF_WARN) return 0;
  char line[1024];
  std::vsnprintf(line, sizeof line, format, args);
  heard().complaints += line;
  if (heard().program && bpf_program__fd(heard().program) >= 0) heard().loaded = true;
  return 0;
}

Object open_object(const std::string& path) {
  bpf_object* object = bpf_object__open_file(path.c_str(), nullptr);
  return Object(libbpf_get_error(object) ? nullptr : object);
}

// The type of program whose context is what the program's first argument points to, UNSPEC when it is none's.
bpf_prog_type type_by_context(const bpf_object* object, const bpf_program* program) {
  const btf* types = bpf_object__btf(object);
  const s32 id = types ? btf__find_by_name_kind(types, bpf_program__name(program), BTF_KIND_FUNC) : -1;
  if (id < 0) return BPF_PROG_TYPE_UNSPEC;
  const btf_type* proto = btf__type_by_id(types, btf__type_by_id(types, static_cast<u32>(id))->type);
  if (btf_vlen(proto) == 0) return BPF_PROG_TYPE_UNSPEC;
  const btf_type* argument = btf__type_by_id(types, btf_params(proto)->type);
  while (argument && (btf_is_mod(argument) || btf_is_ptr(argument) || btf_is_typedef(argument)))
    argument = btf__type_by_id(types, argument->type);
  const std::string_view name = argument ? btf__name_by_offset(types, argument->name_off) : "";
  return static_cast<bpf_prog_type>(type_of_context(name));
}

// What the object leaves to its loader and verification does not depend on.
void complete_maps(bpf_object* object, const bpf_program* program) {
  bpf_map* map;
  bpf_object__for_each_map(map, object) {
    (void)bpf_map__set_pin_path(map, nullptr);
    // libbpf dies of operations of a kernel structure when none of the programs needs the kernel's BTF. Theirs do.
    if (bpf_map__type(map) == BPF_MAP_TYPE_STRUCT_OPS && bpf_program__type(program) != BPF_PROG_TYPE_STRUCT_OPS)
      (void)bpf_map__set_type(map, BPF_MAP_TYPE_ARRAY);
    const bool sized =
        bpf_map__type(map) != BPF_MAP_TYPE_SK_STORAGE && bpf_map__type(map) != BPF_MAP_TYPE_INODE_STORAGE &&
        bpf_map__type(map) != BPF_MAP_TYPE_TASK_STORAGE && bpf_map__type(map) != BPF_MAP_TYPE_CGROUP_STORAGE &&
        bpf_map__type(map) != BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE && bpf_map__type(map) != BPF_MAP_TYPE_STRUCT_OPS &&
        bpf_map__type(map) != BPF_MAP_TYPE_PERF_EVENT_ARRAY;
    if (sized && bpf_map__max_entries(map) == 0) (void)bpf_map__set_max_entries(map, 1);
  }
}

// A program whose type only its loader knows is checked as one with the context that it takes. What is said of that, ""
// when there is nothing to say.
std::string complete_type(const bpf_object* object, bpf_program* program) {
  const bool replaces = bpf_program__type(program) == BPF_PROG_TYPE_EXT;
  if (!replaces && bpf_program__type(program) != BPF_PROG_TYPE_UNSPEC) return {};
  // A replacement is checked against the function that it replaces, which is not here.
  const std::string unknown =
      replaces ? "what it replaces is not known"
               : fmt::format("libbpf does not know the type of SEC(\"{}\")", bpf_program__section_name(program));
  const bpf_prog_type type = type_by_context(object, program);
  if (type == BPF_PROG_TYPE_UNSPEC) return unknown + ", and its first argument is no program type's context";
  (void)bpf_program__set_type(program, type);
  (void)bpf_program__set_expected_attach_type(program, static_cast<bpf_attach_type>(0));
  return fmt::format("{}, checked as {}", unknown, name_of_type(type));
}

// Did the verifier say anything but its statistics?
bool has_words(std::string_view log) {
  for (size_t at = 0, end; at < log.size(); at = end + 1) {
    end = std::min(log.find('\n', at), log.size());
    const std::string_view line = log.substr(at, end - at);
    if (!line.empty() && !line.starts_with("processed ") && !line.starts_with("verification time ") &&
        !line.starts_with("stack depth "))
      return true;
  }
  return false;
}

class Loader {
 public:
  explicit Loader(const LoadWish& wish) : wish_(wish), log_(wish.verbose ? kVerboseLog : kQuietLog) {}

  // errno when the object cannot be read.
  int load_all(const std::string& path) {
    const Object object = open_object(path);
    if (!object) return errno;
    name_ = path.substr(path.rfind('/') + 1);
    bool any = false;
    bpf_program* program;
    bpf_object__for_each_program(program, object.get()) {
      // A lone function without a section of its own is there to be linked.
      if (bpf_program__section_name(program) == std::string_view(".text")) continue;
      any = true;
      const std::string name = bpf_program__name(program);
      if (is_wanted(name)) load(path, name);
    }
    if (!any) say(name_, "there are no programs in it");
    const bool refused = std::any_of(rows_.begin(), rows_.end(), [](const VerifyRow& row) { return !row.accepted; });
    if (incomplete_ && !refused) load_whole(path);
    return 0;
  }

  bool whole() const { return whole_; }
  std::vector<VerifyRow> take_rows() { return std::move(rows_); }

 private:
  bool is_wanted(const std::string& name) const {
    return wish_.filters.empty() || std::any_of(wish_.filters.begin(), wish_.filters.end(), [&](const std::string& f) {
             return ::fnmatch(f.c_str(), name.c_str(), 0) == 0;
           });
  }

  void say(const std::string& what, const std::string& words, const std::string& detail = {}) const {
    if (wish_.reasons) fmt::print(stderr, "bpfemu: {}: {}\n{}", what, words, detail);
  }

  // One program alone, so that another's rejection does not hide its verdict.
  void load(const std::string& path, const std::string& name) {
    const Object object = open_object(path);
    if (!object) return;
    bpf_program *program, *wanted = nullptr;
    bpf_object__for_each_program(program, object.get()) {
      const bool is_it = name == bpf_program__name(program);
      (void)bpf_program__set_autoload(program, is_it);
      if (is_it) wanted = program;
    }
    if (!wanted) return;
    complete_maps(object.get(), wanted);
    const std::string type_note = complete_type(object.get(), wanted);
    if (!type_note.empty()) say(name_ + '/' + name, type_note);
    log_[0] = '\0';
    (void)bpf_program__set_log_buf(wanted, log_.data(), log_.size());
    (void)bpf_program__set_log_level(wanted, static_cast<u32>(kLogStats | wish_.verbose));
    if (bpf_program__type(wanted) == BPF_PROG_TYPE_EXT) {
      rows_.push_back(row_of(name_, name, false, {}));  // and that was said
      return;
    }
    heard() = {.complaints = {}, .program = wanted};
    const int error = bpf_object__load(object.get());
    heard().program = nullptr;
    // What fails after the program was loaded is another's fault: a program array's that is to hold it, for instance.
    incomplete_ |= error != 0 && heard().loaded;
    const bool accepted = error == 0 || heard().loaded;
    const std::string_view log = log_.data();
    rows_.push_back(row_of(name_, name, accepted, log));
    if (wish_.verbose) fmt::print("{}/{}:\n{}\n", name_, name, log);
    if (!accepted) say_why(name, error, has_words(log));
  }

  // The verifier's own words were shown as an explanation; what it did not see has no words but libbpf's.
  void say_why(const std::string& name, int error, bool explained) const {
    const std::string& all = heard().complaints;
    say(name_ + '/' + name,
        fmt::format("{}: {}", explained ? "refused" : "refused without the verifier's saying why",
                    std::strerror(-error)),
        explained ? all.substr(0, all.find('\n') + 1) : all);
  }

  // Programs that were accepted one by one may not fit together.
  void load_whole(const std::string& path) {
    const Object object = open_object(path);
    if (!object) return;
    bpf_program *program, *any = nullptr;
    bpf_object__for_each_program(program, object.get()) {
      (void)complete_type(object.get(), program);
      if (!any || bpf_program__type(program) == BPF_PROG_TYPE_STRUCT_OPS) any = program;
    }
    complete_maps(object.get(), any);
    heard() = {};
    const int error = bpf_object__load(object.get());
    if (error == 0) return;
    whole_ = false;
    say(name_, fmt::format("its programs are accepted, but it does not load as a whole: {}", std::strerror(-error)),
        heard().complaints);
  }

  const LoadWish& wish_;
  std::string name_;
  std::vector<char> log_;
  std::vector<VerifyRow> rows_;
  bool incomplete_ = false;  // something failed that concerns not one program alone
  bool whole_ = true;
};

}  // namespace

int load_object(const std::string& path, const LoadWish& wish, std::vector<VerifyRow>& rows) {
  libbpf_set_print(listen);
  // libbpf's own handler would look for the function that is replaced.
  (void)libbpf_register_prog_handler("freplace+", BPF_PROG_TYPE_EXT, static_cast<bpf_attach_type>(0), nullptr);
  Loader loader(wish);
  const int error = loader.load_all(path);
  rows = loader.take_rows();
  if (error != 0) {
    fmt::print(stderr, "bpfemu: {}: {}\n{}", path, std::strerror(error), heard().complaints);
    return kUnreadable;
  }
  const bool accepted = std::all_of(rows.begin(), rows.end(), [](const VerifyRow& row) { return row.accepted; });
  return accepted && loader.whole() ? kAccepted : kRefused;
}

}  // namespace bpfemu
