# $1: how many versions will be there: 1 at the first installation.
systemd-sysusers etims-gateway.conf || :
systemd-tmpfiles --create etims-gateway.conf || :
journalctl --update-catalog || :
[ -d /var/lib/etims-gateway ] || install -d -m 0700 -o etims-gateway -g etims-gateway /var/lib/etims-gateway
[ -d /run/systemd/system ] && systemctl daemon-reload
if [ "$1" -eq 1 ]; then
    runuser -u etims-gateway -- /usr/bin/etims-gateway store init ||
        echo "etims-gateway: no store was made: see above" >&2
    systemctl enable etims-gateway.socket etims-gateway-tcp.socket etims-gateway.service || :
    [ -d /run/systemd/system ] && systemctl start etims-gateway.socket etims-gateway-tcp.socket etims-gateway.service
elif [ -d /run/systemd/system ]; then
    systemctl try-restart etims-gateway.service
fi
:
