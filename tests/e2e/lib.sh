# SPDX-License-Identifier: Apache-2.0
# Sourced by the end-to-end cases: each is a program that exits 0 when the tool under bpfemu printed what it should.
# shellcheck shell=bash
set -u
root=$(dirname "$(dirname "$(dirname "$(realpath "${BASH_SOURCE[0]}")")")")
. "$root/scripts/packages.sh"
bpfemu=${BPFEMU:-$root/build/bpfemu}
dir=$(mktemp -d)
chmod 777 "$dir"
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
# A checkout that uid 65534 cannot read, such as one in root's home: a copy of what runs.
if ! as_nobody test -x "$bpfemu"; then
  mkdir "$dir/build" && cp "$bpfemu" "$dir/build/bpfemu" && cp -r "$root/data" "$dir/data" && chmod -R a+rX "$dir"
  bpfemu=$dir/build/bpfemu
fi
export TMPDIR=$dir LC_ALL=C.UTF-8
failures=0
# For scripts that run there: ends $tool. bpftrace does not see a SIGINT that arrives just when its epoll_wait times out,
# on real kernels either; then the next one ends it.
# shellcheck disable=SC2016,SC2034
end_tool='while kill -INT $tool 2>/dev/null; do sleep 0.2; done; wait $tool'

# run COMMAND...: under $prefix bpfemu $OPTIONS as uid 65534; its output (both streams) in $out, its status in $status.
run() { out=$(as_nobody env HOME="$dir" timeout -k 5 "${LIMIT:-120}" ${prefix:-} "$bpfemu" ${OPTIONS:-} -- "$@" 2>&1); status=$?; }
fail() { echo "FAIL: $*"; failures=$((failures + 1)); }
expect_status() { [ "$status" = "$1" ] || { fail "exit status $status, not $1"; echo "$out" | tail -20; }; }
# Every argument is an extended regular expression that some line of the output must match.
expect() {
  local pattern
  for pattern in "$@"; do
    grep -qE -- "$pattern" <<<"$out" || { fail "no line matches: $pattern"; echo "$out" | tail -20; }
  done
}
finish() { exit $((failures > 0)); }
