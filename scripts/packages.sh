# SPDX-License-Identifier: Apache-2.0
# Sourced by the other scripts: what they need from Debian 12, and how to get it.
# shellcheck shell=bash

build_packages="g++ meson ninja-build pkg-config libseccomp-dev libbpf-dev libelf-dev libfmt-dev libxbyak-dev catch2 libzydis-dev
  libcli11-dev nlohmann-json3-dev zlib1g-dev libzstd-dev linux-libc-dev"
tool_packages="bpftool bpftrace libbpf-tools linux-perf clang strace util-linux python3 golang-go cargo-web musl-tools"

# Installs what is missing of the named packages; anyone but root is told the command and the script ends with 1.
# A tool that is on PATH from elsewhere (a newer Go or Rust) counts as there.
require_packages() {
  local package missing=()
  for package in "$@"; do
    case $package in
      golang-go) command -v go >/dev/null && continue ;;
      cargo-web) command -v cargo >/dev/null && continue ;;
    esac
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" != 0 ]; then
    echo "missing packages; as root: apt-get install -y ${missing[*]}" >&2
    exit 1
  fi
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
}

# Runs a command as uid 65534 without capabilities when we are root, else as we are.
as_nobody() {
  if [ "$(id -u)" = 0 ]; then
    setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all --bounding-set=-all "$@"
  else
    "$@"
  fi
}

# build/bpfemu, optimised.
build_bpfemu() {
  local root=$1
  [ -e "$root/build/build.ninja" ] || meson setup "$root/build" "$root" --buildtype=release >/dev/null
  ninja -C "$root/build" --quiet bpfemu
}
