// SPDX-License-Identifier: Apache-2.0
#include "emu/hook/binprm.h"

#include <algorithm>
#include <cstring>

namespace bpfemu {

u64 task_member(Occasion& on, std::string_view member) {
  const HookServices& services = on.services();
  const u64 task = services.task_struct(on.task().tid());
  const u64 at = task ? KernelObject(task, services.objects.structure("task_struct")).address(member) : 0;
  return at ? load<u64>(reinterpret_cast<const void*>(at)) : 0;
}

void set_secure(const KernelStruct& type, u64 address, bool secure) {
  KernelObject(address, type).set_bit("secureexec", secure);
}

bool is_secure(const Occasion& on, u64 address) {
  return address && KernelObject(address, on.services().objects.structure("linux_binprm")).bit("secureexec");
}

u64 place_binprm(Occasion& on, const BinprmFacts& facts) {
  constexpr size_t kHead = 256;  // kernel: BINPRM_BUF_SIZE
  const HookServices& services = on.services();
  const KernelObject binprm = local(on, "linux_binprm");
  if (!binprm) return 0;
  binprm.set("file", facts.file ? services.files.file(*facts.file).address() : u64{0});
  binprm.set("filename", services.objects.text(facts.filename));
  binprm.set("interp", services.objects.text(facts.interpreter));
  binprm.set("argc", static_cast<s32>(facts.arguments));
  binprm.set("envc", static_cast<s32>(facts.variables));
  binprm.set_bit("secureexec", facts.secure);
  binprm.set("cred", task_member(on, "cred"));
  if (const u64 head = binprm.address("buf"); head && !facts.head.empty())
    memcpy(reinterpret_cast<void*>(head), facts.head.data(), std::min(facts.head.size(), kHead));
  if (facts.has_memory) {
    const u64 mm = task_member(on, "mm");
    const KernelObject stack = local(on, "vm_area_struct");
    stack.set("vm_mm", mm);
    binprm.set("mm", mm);
    binprm.set("vma", stack.address());
  }
  return binprm.address();
}

}  // namespace bpfemu
