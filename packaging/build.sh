#!/usr/bin/env bash
# Makes the Debian package of this machine's architecture, and with --rpm the RPM too, from the release build.
#
#   packaging/build.sh [--rpm]                     needs cargo-deb (and cargo-generate-rpm)
#   packaging/build.sh --for TARGET PROGRAM        packages a program that was built for another machine (cross/build.sh)
#
# What was made is told, one path a line. SOURCE_DATE_EPOCH, or the last commit, is the time of everything in it.
set -euo pipefail
cd "$(dirname "$0")/.."

rpm=no target='' program=''
while [ $# -gt 0 ]; do
    case "$1" in
        --rpm) rpm=yes; shift ;;
        --for) target=$2 program=$3; shift 3 ;;
        *) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0" >&2; exit 64 ;;
    esac
done
cargo build --release --locked >&2
# Not before: the build takes the last commit's time by itself, and another variable would have it made anew.
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}"
built=$(cargo metadata --format-version 1 --no-deps --offline | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')

# The same pages for every architecture.
rm -rf target/package/manual
"$built/release/etims-gateway" manual --out target/package/manual

if [ -n "$target" ]; then
    install -D -m 755 "$program" "$built/$target/release/etims-gateway"
    cargo deb --no-build --no-strip --quiet --target "$target" --variant cross --output target/package/
else
    cargo deb --no-build --no-strip --quiet --output target/package/
fi
if [ "$rpm" = yes ]; then
    cargo generate-rpm --output target/package/ >&2
    ls target/package/*.rpm
fi
