#!/bin/sh
# service.sh NAME ACTION: through systemd where it runs, else through service(8).
name=$1
action=$2
if [ -d /run/systemd/system ] && command -v systemctl >/dev/null 2>&1; then
    if [ "$action" = status ]; then
        exec systemctl --no-pager --full status -- "$name"
    fi
    systemctl --no-ask-password "$action" -- "$name" || exit
    case $action in
        stop) echo "$name: stopped" ;;
        *) echo "$name: $(systemctl is-active -- "$name")" ;;
    esac
    exit 0
fi
PATH=$PATH:/usr/sbin:/sbin
if command -v service >/dev/null 2>&1; then
    exec service "$name" "$action"
fi
echo "neither systemd nor the program service is here" >&2
exit 127
