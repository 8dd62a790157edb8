#!/bin/sh
# Installs what the tests need from the system and is not there: OpenSSH's server, Redis, Chromium, sudo, doas, and the
# half of Python's venv that Debian packages apart. With arguments: only those packages. Needs root, or sudo without a password.
set -eu

python=${PYTHON:-python3}

have() {
    case $1 in
        openssh-server) PATH=$PATH:/usr/sbin:/usr/local/sbin command -v sshd ;;
        redis-server) command -v redis-server || command -v valkey-server ;;
        chromium) command -v chromium || command -v chromium-browser || command -v google-chrome ;;
        opendoas) command -v doas ;;
        sudo) command -v sudo ;;
        python3-venv) "$python" -c 'import ensurepip, venv' ;;
        *) false ;;
    esac >/dev/null 2>&1
}

[ $# -gt 0 ] || set -- openssh-server redis-server chromium sudo opendoas python3-venv

missing=
for package in "$@"; do
    have "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

stop() {
    printf '%s\n' "Missing on this machine:$missing" "$@" >&2
    exit 1
}

command -v apt-get >/dev/null || stop "Install them with this system's package manager, then try again."
if [ "$(id -u)" -eq 0 ]; then
    sudo=
elif sudo -n true 2>/dev/null; then
    sudo='sudo -n'
else
    stop "Install them, then try again:" "    sudo apt-get install --no-install-recommends$missing"
fi

echo "Installing$missing ..." >&2
# The tests start servers of their own: Debian's packages must not start system-wide ones (policy-rc.d, exit code 101).
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    trap '$sudo rm -f $policy' EXIT
    trap 'exit 130' INT TERM
    printf '#!/bin/sh\nexit 101\n' | $sudo tee $policy >/dev/null
    $sudo chmod 755 $policy
fi
log=$(mktemp)
install() {
    # shellcheck disable=SC2086  # a list of words
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing >"$log" 2>&1 </dev/null
}
# A package list that is old, or absent as in fresh containers, is the usual reason for a first failure.
if ! install && ! { $sudo apt-get update >"$log" 2>&1 </dev/null && install; }; then
    tail -n 20 "$log" >&2
    rm -f "$log"
    stop "apt-get could not install them."
fi
rm -f "$log"
