// SPDX-License-Identifier: Apache-2.0
#include "emu/hook/capability_checks.h"

#include <cstring>

#include "emu/hook/open_file.h"

namespace bpfemu {

namespace {

u64 cred_of_caller(Transit& call) {
  const u64 task = call.services().task_struct(call.task().tid());
  const u64 cred = task ? KernelObject(task, call.services().objects.structure("task_struct")).address("cred") : 0;
  return cred ? load<u64>(reinterpret_cast<const void*>(cred)) : 0;
}

// kernel: prepare_creds
u64 copied_cred(Transit& call) {
  const u64 own = cred_of_caller(call);
  const KernelObject copy = local(call, "cred");
  if (own && copy)
    std::memcpy(reinterpret_cast<void*>(copy.address()), reinterpret_cast<const void*>(own),
                call.services().objects.structure("cred").size());
  return copy.address();
}

}  // namespace

void pass_new_user_namespace(Transit& call) {
  call.ask(Hook::security_create_user_ns, [&](Arguments& a) { a.lazily(0, [&] { return copied_cred(call); }); });
}

bool pass_capable(Transit& call, u32 capability, CapabilityOption option) {
  auto arguments = [&](Arguments& a) {
    a.lazily(0, [&] { return cred_of_caller(call); });
    a.lazily(1, [&] { return mount_user_namespace(call); });
    a[2] = capability;
    a[3] = static_cast<u64>(option);
  };
  const auto facts = call.services().host.facts(call.task().tid());
  const bool held = facts && (facts->capabilities >> capability & 1);
  const auto cap_capable = [&] {
    const s64 answer = held ? 0 : -EPERM;
    call.enter(Hook::cap_capable, arguments).leave(answer);
    return answer;
  };
  return call.ask_behind(cap_capable, Hook::security_capable, arguments) && held;
}

}  // namespace bpfemu
