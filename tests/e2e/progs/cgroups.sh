# SPDX-License-Identifier: Apache-2.0
# What bpftool shows of a program that is attached to a cgroup, and what the program does. Ids are left out.
bind_to() {
  python3 -c "import socket; s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(('127.0.0.1', $1))" 2>&1 |
    grep -o 'Operation not permitted' || echo bound
}
top=/sys/fs/cgroup
mkdir $top/outer $top/outer/inner || exit 1
bpftool prog load cgroups.bpf.o /sys/fs/bpf/refuses pinmaps /sys/fs/bpf || exit 1
echo $$ >$top/outer/inner/cgroup.procs
grep 0:: /proc/self/cgroup
bind_to 7003
bpftool cgroup attach $top/outer bind4 pinned /sys/fs/bpf/refuses multi || exit 1
bind_to 7003
bind_to 7005
bpftool cgroup show $top/outer | sed -n "s/ *$//; s/^[0-9][0-9]* */ID /p"
bpftool cgroup show $top/outer/inner effective | sed -n "s/ *$//; s/^[0-9][0-9]* */ID /p"
bpftool -j map dump pinned /sys/fs/bpf/binds | grep -oE '"value":[0-9]+'
bpftool cgroup attach $top/outer/inner bind4 pinned /sys/fs/bpf/refuses 2>&1
bpftool cgroup detach $top/outer bind4 pinned /sys/fs/bpf/refuses
bind_to 7003
echo $$ >$top/cgroup.procs
rmdir $top/outer/inner $top/outer
bpftool -j map dump pinned /sys/fs/bpf/binds
rm /sys/fs/bpf/refuses /sys/fs/bpf/binds
