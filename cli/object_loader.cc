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

// What libbpf complained of, for programs that never reached the verifier. Its print function has no context, so this
// has to be global.
std::string& complaints() {
  static std::string text;
  return text;
}

int keep_complaint(libbpf_print_level level, const char* format, va_list args) {
  if (level != LIBBPF_WARN) return 0;
  char line[1024];
  std::vsnprintf(line, sizeof line, format, args);
  complaints() += line;
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
void complete(bpf_object* object, bpf_program* program) {
  bpf_map* map;
  bpf_object__for_each_map(map, object) {
    (void)bpf_map__set_pin_path(map, nullptr);
    const bool sized =
        bpf_map__type(map) != BPF_MAP_TYPE_SK_STORAGE && bpf_map__type(map) != BPF_MAP_TYPE_INODE_STORAGE &&
        bpf_map__type(map) != BPF_MAP_TYPE_TASK_STORAGE && bpf_map__type(map) != BPF_MAP_TYPE_CGROUP_STORAGE &&
        bpf_map__type(map) != BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE && bpf_map__type(map) != BPF_MAP_TYPE_STRUCT_OPS &&
        bpf_map__type(map) != BPF_MAP_TYPE_PERF_EVENT_ARRAY;
    if (sized && bpf_map__max_entries(map) == 0) (void)bpf_map__set_max_entries(map, 1);
  }
  // A replacement is checked against the function that it replaces, which is not here.
  if (bpf_program__type(program) != BPF_PROG_TYPE_EXT) return;
  const bpf_prog_type type = type_by_context(object, program);
  if (type == BPF_PROG_TYPE_UNSPEC) return;
  (void)bpf_program__set_type(program, type);
  (void)bpf_program__set_expected_attach_type(program, static_cast<bpf_attach_type>(0));
  fmt::print(stderr, "bpfemu: {}: what it replaces is not known, checked as {}\n", bpf_program__name(program),
             name_of_type(type));
}

class Loader {
 public:
  explicit Loader(const LoadWish& wish) : wish_(wish), log_(wish.verbose ? kVerboseLog : kQuietLog) {}

  // errno when the object cannot be read.
  int load_all(const std::string& path) {
    const Object object = open_object(path);
    if (!object) return errno;
    bpf_program* program;
    bpf_object__for_each_program(program, object.get()) {
      const std::string name = bpf_program__name(program);
      if (is_wanted(name)) load(path, name);
    }
    return 0;
  }

  std::vector<VerifyRow> take_rows() { return std::move(rows_); }

 private:
  bool is_wanted(const std::string& name) const {
    return wish_.filters.empty() || std::any_of(wish_.filters.begin(), wish_.filters.end(), [&](const std::string& f) {
             return ::fnmatch(f.c_str(), name.c_str(), 0) == 0;
           });
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
    complete(object.get(), wanted);
    log_[0] = '\0';
    (void)bpf_program__set_log_buf(wanted, log_.data(), log_.size());
    (void)bpf_program__set_log_level(wanted, static_cast<u32>(kLogStats | wish_.verbose));
    complaints().clear();
    const int error = bpf_object__load(object.get());
    const std::string_view log = log_.data();
    rows_.push_back(row_of(path.substr(path.rfind('/') + 1), name, error == 0, log));
    if (wish_.verbose) fmt::print("{}/{}:\n{}\n", rows_.back().file, name, log);
    if (error != 0 && log.empty()) {
      fmt::print(stderr, "bpfemu: {}/{}: refused before verification: {}\n{}", rows_.back().file, name,
                 std::strerror(-error), complaints());
    }
  }

  const LoadWish& wish_;
  std::vector<char> log_;
  std::vector<VerifyRow> rows_;
};

}  // namespace

int load_object(const std::string& path, const LoadWish& wish, std::vector<VerifyRow>& rows) {
  libbpf_set_print(keep_complaint);
  // libbpf's own handler would look for the function that is replaced.
  (void)libbpf_register_prog_handler("freplace+", BPF_PROG_TYPE_EXT, static_cast<bpf_attach_type>(0), nullptr);
  Loader loader(wish);
  const int error = loader.load_all(path);
  rows = loader.take_rows();
  return error;
}

}  // namespace bpfemu
