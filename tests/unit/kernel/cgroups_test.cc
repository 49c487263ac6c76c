// SPDX-License-Identifier: Apache-2.0
#include "emu/kernel/cgroup_stats.h"
#include "emu/kernel/cgroups.h"

#include <catch2/catch.hpp>

#include "tests/fakes/ports.h"

namespace bpfemu {
namespace {

struct World {
  fakes::FakeHost host;
  Cgroups cgroups{host};
  std::vector<std::unique_ptr<fakes::FakeTask>> tasks;

  void add(pid_t tid, pid_t tgid) {
    tasks.push_back(std::make_unique<fakes::FakeTask>(tid, tgid));
    host.tasks[tid] = tasks.back().get();
  }
  std::shared_ptr<Cgroup> make(const std::shared_ptr<Cgroup>& parent, const char* name) {
    auto made = cgroups.make(parent, name, 17);
    REQUIRE(made);
    return *made;
  }
};

std::shared_ptr<Program> program() {
  return std::make_shared<Program>();
}

int error_of(const Result<void>& result) {
  return result ? 0 : result.error().value;
}

TEST_CASE("statistics of cgroups go up from the newest leaf") {
  World w;
  const auto& root = w.cgroups.root();
  const auto a = w.make(root, "a"), b = w.make(a, "b"), c = w.make(a, "c"), d = w.make(root, "d");
  CgroupStats stats;
  using Order = std::vector<std::shared_ptr<Cgroup>>;
  CHECK(stats.take(*root, 0).empty());
  for (const auto& each : {b, d, c, b}) stats.updated(each, 0);
  stats.updated(d, 1);
  CHECK(stats.take(*b, 0) == Order{b});
  CHECK(stats.take(*b, 0).empty());
  CHECK(stats.take(*root, 0) == Order{d, c, a, root});
  CHECK(stats.take(*root, 1) == Order{d, root});
  stats.updated(nullptr, 0);
  CHECK(stats.take(*root, 0).empty());
}

TEST_CASE("cgroups have names, numbers and ancestors") {
  World w;
  const auto a = w.make(w.cgroups.root(), "a"), b = w.make(a, "b");
  CHECK(w.cgroups.root()->path() == "/");
  CHECK(b->path() == "/a/b");
  CHECK(w.cgroups.root()->id() == 1);
  CHECK(b->id() == a->id() + 17);
  CHECK(b->ancestor(1) == a.get());
  CHECK(b->ancestor(3) == nullptr);
  CHECK(b->is_under(*a));
  CHECK_FALSE(a->is_under(*b));
  CHECK(error_of(w.cgroups.remove(*a)) == EBUSY);
  CHECK(error_of(w.cgroups.remove(*b)) == 0);
  CHECK(b->dead);
  CHECK(w.cgroups.make(b, "c", 17).error().value == ENODEV);
  CHECK(error_of(w.cgroups.remove(*a)) == 0);
  CHECK(error_of(w.cgroups.remove(*w.cgroups.root())) == EBUSY);
}

TEST_CASE("a cgroup is found by its number as long as it is there") {
  World w;
  const auto a = w.make(w.cgroups.root(), "a"), b = w.make(a, "b");
  CHECK(w.cgroups.find(1) == w.cgroups.root());
  CHECK(w.cgroups.find(b->id()) == b);
  CHECK_FALSE(w.cgroups.find(b->id() + 1000));
  CHECK(w.cgroups.remove(*b));
  CHECK_FALSE(w.cgroups.find(b->id()));
}

TEST_CASE("limits count descendants and depth from where they are set") {
  World w;
  const auto a = w.make(w.cgroups.root(), "a");
  a->max_depth = 1;
  const auto b = w.make(a, "b");
  CHECK(w.cgroups.make(b, "c", 17).error().value == EAGAIN);
  a->max_depth = -1, a->max_descendants = 1;
  CHECK(w.cgroups.make(a, "c", 17).error().value == EAGAIN);
  CHECK(w.cgroups.make(w.cgroups.root(), "c", 17));
}

TEST_CASE("a process moves with its threads, and its children stay with it") {
  World w;
  w.add(10, 10), w.add(11, 10), w.add(20, 20);
  const auto a = w.make(w.cgroups.root(), "a");
  int entered = 0;
  w.cgroups.entered = [&](Task&) { ++entered; };
  REQUIRE(w.cgroups.move(10, a));
  CHECK(entered == 1);
  CHECK(w.cgroups.threads(*a) == std::vector<pid_t>{10, 11});
  CHECK(w.cgroups.processes(*a) == std::vector<pid_t>{10});
  CHECK(w.cgroups.of(20) == w.cgroups.root());
  w.cgroups.forked(11, 30);
  CHECK(w.cgroups.of(30) == a);
  w.cgroups.executed(10, 11);  // another thread's exec: it is the leader from then on
  CHECK(w.cgroups.of(10) == a);
  CHECK(w.cgroups.of(11) == w.cgroups.root());
  CHECK(error_of(w.cgroups.remove(*a)) == EBUSY);
  w.cgroups.gone(10), w.cgroups.gone(30);
  CHECK_FALSE(w.cgroups.populated(*a));
  CHECK(error_of(w.cgroups.remove(*a)) == 0);
  CHECK(error_of(w.cgroups.move(20, a)) == ENODEV);
}

TEST_CASE("a socket stays in the cgroup that made it") {
  World w;
  const auto a = w.make(w.cgroups.root(), "a");
  w.cgroups.keep_socket(77, a);
  CHECK(w.cgroups.of_socket(77) == a);
  CHECK(w.cgroups.of_socket(78) == w.cgroups.root());
}

TEST_CASE("what is attached above says who may be attached below") {
  World w;
  const auto a = w.make(w.cgroups.root(), "a"), b = w.make(a, "b");
  const auto one = program(), two = program();
  constexpr u32 type = BPF_CGROUP_INET4_BIND, multi = BPF_F_ALLOW_MULTI, override = BPF_F_ALLOW_OVERRIDE;
  const auto attach = [&](Cgroup& cgroup, const std::shared_ptr<Program>& what, u32 flags,
                          std::shared_ptr<Program> replaces = {}) {
    return error_of(
        attach_to_cgroup(cgroup, {.type = type, .place = type, .flags = flags, .program = what, .replaces = std::move(replaces)}));
  };
  const auto order = [&](const Cgroup& cgroup) {
    std::vector<const Program*> programs;
    for (const CgroupProgram& each : effective_programs(cgroup, type)) programs.push_back(each.runs().get());
    return programs;
  };
  using List = std::vector<const Program*>;
  SECTION("one alone") {
    CHECK(attach(*a, one, 0) == 0);
    CHECK(attach(*b, two, 0) == EPERM);
    CHECK(attach(*b, two, multi) == EPERM);
    CHECK(attach(*a, two, override) == EPERM);
    CHECK(attach(*a, two, 0) == 0);
    CHECK(order(*b) == List{two.get()});
    CHECK(has_programs(*w.cgroups.root(), type));
    CHECK_FALSE(has_programs(*b, type));
    CHECK_FALSE(has_programs(*w.cgroups.root(), kLsmPlaces));
    CHECK(error_of(detach_from_cgroup(*a, type, nullptr)) == 0);
    CHECK_FALSE(has_programs(*w.cgroups.root(), type));
    CHECK(error_of(detach_from_cgroup(*a, type, nullptr)) == ENOENT);
  }
  SECTION("the nearest of those that may be overridden") {
    CHECK(attach(*a, one, override) == 0);
    CHECK(attach(*b, two, override) == 0);
    CHECK(order(*b) == List{two.get()});
    CHECK(error_of(detach_from_cgroup(*b, type, two.get())) == 0);
    CHECK(order(*b) == List{one.get()});
  }
  SECTION("many, its own first") {
    CHECK(attach(*a, one, multi) == 0);
    CHECK(attach(*a, two, multi) == 0);
    CHECK(attach(*a, two, multi) == EINVAL);
    CHECK(attach(*b, two, multi) == 0);
    CHECK(order(*b) == List{two.get(), one.get(), two.get()});
    const auto three = program();
    CHECK(attach(*a, three, multi | BPF_F_REPLACE, program()) == ENOENT);
    CHECK(attach(*a, three, multi | BPF_F_REPLACE, one) == 0);
    CHECK(order(*a) == List{three.get(), two.get()});
    CHECK(error_of(detach_from_cgroup(*a, type, nullptr)) == EINVAL);
    CHECK(error_of(detach_from_cgroup(*a, type, one.get())) == ENOENT);
    for (size_t i = 2; i < 64; ++i) CHECK(attach(*a, program(), multi) == 0);
    CHECK(attach(*a, program(), multi) == E2BIG);
  }
  SECTION("flags that go together") {
    CHECK(attach(*a, one, multi | override) == EINVAL);
    CHECK(attach(*a, one, BPF_F_REPLACE, two) == EINVAL);
    CHECK(attach(*a, one, multi, two) == EINVAL);
  }
}

TEST_CASE("a link leaves with its last reference and stays when the cgroup goes") {
  World w;
  const auto a = w.make(w.cgroups.root(), "a");
  w.cgroups.removed = release_programs;
  auto link = std::make_shared<CgroupLink>(program(), BPF_CGROUP_INET4_BIND, BPF_CGROUP_INET4_BIND);
  REQUIRE(link->join(a));
  CHECK(effective_programs(*a, BPF_CGROUP_INET4_BIND).size() == 1);
  CHECK(error_of(detach_from_cgroup(*a, BPF_CGROUP_INET4_BIND, link->program().get())) == ENOENT);
  SECTION("the last reference") {
    link.reset();
    CHECK(effective_programs(*a, BPF_CGROUP_INET4_BIND).empty());
  }
  SECTION("the cgroup") {
    REQUIRE(w.cgroups.remove(*a));
    bpf_link_info info{};
    std::string name;
    link->fill_info(info, name);
    CHECK(info.cgroup.cgroup_id == 0);
    CHECK(error_of(link->update(program(), 0, nullptr)) == ENOLINK);
    CHECK(error_of(link->detach()) == 0);
  }
}

}  // namespace
}  // namespace bpfemu
