#!/usr/bin/env bash
# Whether what systemd is given is sound: units, how much they let the gateway do, the journal's catalog; and with a package,
# what lintian says of it.
#
#   packaging/check.sh [PACKAGE.deb]      needs systemd's tools (and lintian)
set -euo pipefail
cd "$(dirname "$0")/.."
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# The program need not be installed for its unit to be looked at.
sed 's#/usr/bin/etims-gateway#/bin/true#' systemd/etims-gateway.service > "$dir/etims-gateway.service"
cp systemd/*.socket "$dir/"
said=$(systemd-analyze verify --man=no "$dir"/*.service "$dir"/*.socket 2>&1 || echo failed)
[ -z "$said" ] || { echo "systemd-analyze verify: $said" >&2; exit 1; }
systemd-analyze security --offline=yes --threshold=15 --no-pager "$dir/etims-gateway.service" | tail -n 1

mkdir -p "$dir/root/usr/lib/systemd/catalog" "$dir/root/var/lib/systemd/catalog"
cp systemd/etims-gateway.catalog "$dir/root/usr/lib/systemd/catalog/"
said=$(journalctl --root="$dir/root" --update-catalog 2>&1)
[ -z "$said" ] || { echo "journalctl --update-catalog: $said" >&2; exit 1; }
listed=$(journalctl --root="$dir/root" --list-catalog | wc -l)
written=$(grep -c '^-- ' systemd/etims-gateway.catalog)
[ "$listed" = "$written" ] || { echo "of $written entries of the catalog journald knows $listed" >&2; exit 1; }
echo "the journal's catalog: $listed entries"

if [ $# -gt 0 ]; then
    # As root it warns of that alone.
    lintian --fail-on error,warning --allow-root "$1"
    echo "lintian: clean"
fi
