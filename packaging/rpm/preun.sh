# $1: how many versions will be left: 0 at the removal. The state is kept: tax law asks for five years of sales.
if [ "$1" -eq 0 ] && [ -d /run/systemd/system ]; then
    systemctl disable --now etims-gateway.socket etims-gateway-tcp.socket etims-gateway.service || :
fi
:
