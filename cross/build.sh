#!/usr/bin/env bash
# Makes the Debian packages for arm64 and armhf (and amd64) machines on this one, and runs each program before it is packaged.
#
#   cross/build.sh [TARGET...]        without one: aarch64-unknown-linux-gnu armv7-unknown-linux-gnueabihf
#
# Needs root, and from Debian mmdebstrap and qemu-user-static; pip for Python 3; cargo-deb. The compiler is Debian's own, in a
# chroot that is made once (2 GB in ${XDG_CACHE_HOME:-~/.cache}/cross): see cross/cross. Who has containers may use the
# cargo subcommand `cross` with cross/Cross.toml instead.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- aarch64-unknown-linux-gnu armv7-unknown-linux-gnueabihf

for target in "$@"; do
    SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}" cross/cross build "$target"
    program=target/cross/$target/release/etims-gateway
    packaging/smoke.sh cross/cross run "$target" "$program"
    packaging/build.sh --for "$target" "$program"
done
