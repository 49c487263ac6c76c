// SPDX-License-Identifier: Apache-2.0
// What LSM programs ask of exec, of files that are measured, and of keys. Runtime code.
#include <linux/bpf.h>

#include "emu/runtime/helpers/call.h"
#include "emu/runtime/helpers/dynptr.h"

namespace bpfemu {

HELPER(help_bprm_opts_set) {
  if (r2 & ~u64{BPF_F_BPRM_SECUREEXEC}) return result(-EINVAL);
  const SecurityServices* services = run->env->security;
  if (services) services->set_secure(run->env->self, r1, r2 & BPF_F_BPRM_SECUREEXEC);
  return 0;
}

// Without a policy nothing has been measured, and an inode alone cannot be (kernel: __ima_inode_hash).
HELPER(help_ima_inode_hash) {
  return result(-EOPNOTSUPP);
}

HELPER(help_ima_file_hash) {
  constexpr u64 kSha256 = 4;  // kernel: HASH_ALGO_SHA256
  u8 digest[kFileHash];
  const SecurityServices* services = run->env->security;
  if (!r1) return result(-EINVAL);
  if (!services || services->file_hash(run->env->self, r1, digest) != 0) return result(-EOPNOTSUPP);
  const u64 size = low32(r3);
  __builtin_memcpy(pointer_to(r2), digest, size < kFileHash ? size : kFileHash);
  return kSha256;
}

HELPER(kfunc_lookup_user_key) {
  constexpr u64 kLookupFlags = 3;  // kernel: KEY_LOOKUP_ALL
  const SecurityServices* services = run->env->security;
  return services && !(r2 & ~kLookupFlags) ? services->user_key(run->env->self, low32(r1), r2) : 0;
}

HELPER(kfunc_lookup_system_key) {
  constexpr u64 kLastId = 2;  // kernel: VERIFY_USE_PLATFORM_KEYRING
  const SecurityServices* services = run->env->security;
  return services && r1 <= kLastId ? services->system_key(run->env->self, r1) : 0;
}

HELPER(kfunc_key_put) {
  if (const SecurityServices* services = run->env->security) services->put_key(run->env->self, r1);
  return 0;
}

// A signature of no bytes is none (kernel: asn1_ber_decoder). All others are not looked into.
HELPER(kfunc_verify_pkcs7_signature) {
  const Dynptr& signature = dynptr_at(r2);
  if (!signature.data || !signature.size) return result(-EBADMSG);
  missing(run, "PKCS#7 signatures");
  return result(-EOPNOTSUPP);
}

}  // namespace bpfemu
