// SPDX-License-Identifier: Apache-2.0
// The functions that emu/abi/iter_targets.inc names. Errors are those of the kernel's attach_target.
#pragma once

#include "emu/iter/target.h"

namespace bpfemu {

// id_targets.cc
Result<std::unique_ptr<IterSubject>> bpf_map_subject(const IterRequest& request);
Result<std::unique_ptr<IterSubject>> bpf_prog_subject(const IterRequest& request);
Result<std::unique_ptr<IterSubject>> bpf_link_subject(const IterRequest& request);
// cgroup_target.cc: EINVAL, EBADF, ENOENT.
Result<std::unique_ptr<IterSubject>> cgroup_subject(const IterRequest& request);
// map_elements.cc: EBADF, EINVAL; EACCES: the program reads more than a key or a value has.
Result<std::unique_ptr<IterSubject>> map_element_subject(const IterRequest& request);
// task_targets.cc: EINVAL, EBADF.
Result<std::unique_ptr<IterSubject>> socket_map_subject(const IterRequest& request);
Result<std::unique_ptr<IterSubject>> task_subject(const IterRequest& request);
Result<std::unique_ptr<IterSubject>> task_file_subject(const IterRequest& request);
Result<std::unique_ptr<IterSubject>> task_vma_subject(const IterRequest& request);
// socket_targets.cc; of sk_storage: EBADF, EINVAL; EACCES: the program reads or writes more than a value has.
Result<std::unique_ptr<IterSubject>> sk_storage_subject(const IterRequest& request);
Result<std::unique_ptr<IterSubject>> tcp_subject(const IterRequest& request);
Result<std::unique_ptr<IterSubject>> udp_subject(const IterRequest& request);
Result<std::unique_ptr<IterSubject>> unix_subject(const IterRequest& request);
// network_targets.cc
Result<std::unique_ptr<IterSubject>> netlink_subject(const IterRequest& request);
Result<std::unique_ptr<IterSubject>> ipv6_route_subject(const IterRequest& request);
// ksym.cc
Result<std::unique_ptr<IterSubject>> ksym_subject(const IterRequest& request);

}  // namespace bpfemu
