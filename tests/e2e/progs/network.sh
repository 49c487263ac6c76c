# SPDX-License-Identifier: Apache-2.0
# XDP programs by bpftool and as ip shows them.
cd "$(dirname "$0")" || exit 1
pin=/sys/fs/bpf/pass
bpftool prog load network.bpf.o $pin || exit 1
id=$(bpftool -j prog show pinned $pin | sed 's/.*"id":\([0-9]*\).*/\1/')
show() { bpftool net show dev lo | sed "s/id $id$/id ID/; /^\$/d; /^tc:/d; /^flow_dissector:/d; /^netfilter:/d"; }
shown_by_ip() { ip link show dev lo | grep -oE "xdp[a-z]*|prog/xdp id $id" | sed "s/ id $id/ id ID/"; }
show
bpftool net attach xdpgeneric pinned $pin dev lo && echo attached
show
shown_by_ip
bpftool net attach xdpgeneric pinned $pin dev lo 2>&1 | sed 's/.*[Kk]ernel error message: //; s/^Error: .*: /Error: /'
bpftool net attach xdpdrv pinned $pin dev lo 2>&1 | sed 's/.*[Kk]ernel error message: //; s/^Error: .*: /Error: /'
bpftool net attach xdpgeneric pinned $pin dev lo overwrite && echo replaced
bpftool net detach xdpgeneric dev lo && echo detached
show
shown_by_ip
rm $pin
