#!/bin/sh
# Prints NAME<tab>VERSION of each installed package whose name contains $1.
LC_ALL=C
export LC_ALL
wanted=${1-}

listed() {
    if command -v dpkg-query >/dev/null 2>&1; then
        dpkg-query -W -f '${db:Status-Abbrev}\t${Package}\t${Version}\n' | sed -n 's/^[a-z]i \{0,1\}	//p'
    elif command -v rpm >/dev/null 2>&1; then
        rpm -qa --queryformat '%{NAME}\t%{VERSION}-%{RELEASE}\n'
    elif command -v apk >/dev/null 2>&1; then
        apk info -v | sed 's/-\([0-9][^-]*-r[0-9]*\)$/	\1/'
    elif command -v pacman >/dev/null 2>&1; then
        pacman -Q | tr ' ' '\t'
    else
        echo "no package manager that is known here (dpkg, rpm, apk, pacman)" >&2
        return 1
    fi
}

# the name travels in the environment: awk's -v would read backslashes in it
all=$(listed) || exit 1
printf '%s\n' "$all" | sort | WANTED=$wanted awk -F '\t' 'index($1, ENVIRON["WANTED"]) || ENVIRON["WANTED"] == ""'
