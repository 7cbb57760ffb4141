#!/usr/bin/env bash
# Install the programs that tests and the dense build need, where we may; say which are missing where not.
set -euo pipefail

declare -A package_of=(
    [sipp]=sip-tester [baresip]=baresip-core [chromium]=chromium [kamailio]=kamailio [espeak-ng]=espeak-ng [sox]=sox
    [swig]=swig [g++]=g++ [make]=make [patch]=patch [xz]=xz-utils
    [smtp-source]=postfix [swaks]=swaks [dovecot]=dovecot-imapd
)
headers=(libspandsp2 libssl-dev uuid-dev python3-dev fonts-noto-cjk postgresql)
PATH=$PATH:/usr/sbin

missing=()
for program in "${!package_of[@]}"; do
    command -v "$program" >/dev/null || missing+=("${package_of[$program]}")
done
if command -v dpkg-query >/dev/null; then
    for package in "${headers[@]}"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
    done
fi
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    echo "installing: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    # only tests start them; as services they would take the ports of this machine
    for service in kamailio postfix dovecot postgresql; do
        systemctl is-enabled "$service" >/dev/null 2>&1 || systemctl mask "$service" >/dev/null 2>&1 || true
    done
    # nor does their installation start them
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
    fi
    apt-get update -qq || true
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null && exit 0
fi
echo "missing; tests that need them are skipped. To install: apt-get install ${missing[*]}" >&2
[ -z "${CI:-}" ]
