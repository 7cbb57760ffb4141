#!/usr/bin/env bash
# Builds the dense pjsua2 (1,024 call legs a process) as a wheel and prints the wheel's path,
# the only thing it writes to stdout. Progress goes to stderr, compiler output to a log file.
#
#   PYTHON         interpreter to build for; needs setuptools, and wheel if setuptools < 70.1
#                  (default: python3)
#   CACHE_DIR      where wheels, downloads and the log live
#                  (default: ${XDG_CACHE_HOME:-$HOME/.cache}/callcenter/dense)
#   PJPROJECT_SRC  a pjproject tree to build instead of Debian's; it is copied, never modified
#   JOBS           compilers at once (default: nproc)
#
# The wheel unpacked stands beside it in site/: put that directory first on PYTHONPATH to use
# the dense library, leave it out to use the stock one.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
script=$here/$(basename -- "${BASH_SOURCE[0]}")
config_site=$here/config_site.h
figures=$here/figures.c
: "${PYTHON:=python3}"
: "${JOBS:=$(nproc)}"
: "${CACHE_DIR:=${XDG_CACHE_HOME:-$HOME/.cache}/callcenter/dense}"
PJPROJECT_SRC=${PJPROJECT_SRC:-}

say() { printf '[dense %4ds] %s\n' "$SECONDS" "$*" >&2; }
die() { say "error: $*"; exit 1; }

# --- what would be built, and is it there already? -------------------------------------------

tree_hash() { # every file of a source tree that can change the result
    (cd -- "$1" && find . -type f \( -name '*.[chiS]' -o -name '*.cpp' -o -name '*.hpp' \
        -o -name '*.mak' -o -name '*.in' -o -name 'aconfigure*' -o -name 'Makefile' \) \
        ! -name config_site.h ! -name os_auto.h -print0 | LC_ALL=C sort -z | xargs -0 sha256sum)
}

python_abi() {
    "$PYTHON" -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"), sysconfig.get_platform())'
}

key_of_build() {
    {
        sha256sum <"$script"
        sha256sum <"$config_site"
        sha256sum <"$figures"
        python_abi
        uname -m
        if [[ -n $PJPROJECT_SRC ]]; then tree_hash "$PJPROJECT_SRC"; fi
    } | sha256sum | cut -c1-12
}

[[ -r $config_site ]] || die "config_site.h is not beside $(basename -- "$script")"
command -v -- "$PYTHON" >/dev/null || die "PYTHON=$PYTHON is not an interpreter"
PYTHON=$(realpath -s -- "$(command -v -- "$PYTHON")") # we change directory; a venv's link stays a link
if [[ -n $PJPROJECT_SRC ]]; then
    [[ -r $PJPROJECT_SRC/version.mak ]] || die "PJPROJECT_SRC=$PJPROJECT_SRC has no version.mak"
    PJPROJECT_SRC=$(cd -- "$PJPROJECT_SRC" && pwd)
fi
mkdir -p -- "$CACHE_DIR"
CACHE_DIR=$(cd -- "$CACHE_DIR" && pwd)
key=$(key_of_build)
store=$CACHE_DIR/$key
log=$CACHE_DIR/build.log

print_cached_wheel() {
    local found
    found=$(compgen -G "$store/*.whl" | head -n 1) || return 1
    printf '%s\n' "$found"
}

if print_cached_wheel; then exit 0; fi

# One build at a time; whoever waited finds the wheel made.
exec 9>"$CACHE_DIR/lock"
flock 9
if print_cached_wheel; then exit 0; fi

# --- are the tools there? --------------------------------------------------------------------

missing=()
need_command() { command -v "$1" >/dev/null || missing+=("$2"); }
need_header() { echo "#include <$1>" | "${CC:-gcc}" "-I$python_include" -E - >/dev/null 2>&1 || missing+=("$2"); }

python_include=$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("include"))')
need_command gcc gcc
need_command g++ g++
need_command make make
need_command swig swig
need_command patch patch
need_command xz xz-utils
if command -v gcc >/dev/null; then
    need_header stdlib.h libc6-dev
    need_header openssl/ssl.h libssl-dev
    need_header uuid/uuid.h uuid-dev # without it Call-IDs come from an unseeded rand()
    need_header Python.h python3-dev
fi
if ((${#missing[@]})); then die "missing; run: apt-get install ${missing[*]}"; fi
"$PYTHON" - <<'PY' || die "$PYTHON has no setuptools (or no wheel); run: $PYTHON -m pip install setuptools wheel"
import setuptools
if tuple(int(n) for n in setuptools.__version__.split(".")[:2]) < (70, 1):
    import wheel
PY

# --- run steps, keep their output in the log -------------------------------------------------

rm -rf -- "$CACHE_DIR"/build.?????? # left by a build that was killed; we hold the lock
work=$(mktemp -d -- "$CACHE_DIR/build.XXXXXX")
background=
cleanup() {
    local status=$?
    if [[ -n $background ]]; then kill "$background" 2>/dev/null || true; fi
    if ((status)); then
        say "failed; the last lines of $log:"
        tail -n 25 -- "$log" >&2 || true
    fi
    if [[ -n ${KEEP_BUILD:-} ]]; then say "kept $work"; else rm -rf -- "$work"; fi
}
trap cleanup EXIT
: >"$log"

# --- source ----------------------------------------------------------------------------------

# The system's own Debian sources, as deb-src, in an apt directory of our own.
write_source_list() {
    local file
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [[ -r $file ]] || continue
        sed -nE '\#/debian(-security)?(/|[[:space:]])#s/^[[:space:]]*deb(-src)?[[:space:]]/deb-src /p' "$file"
    done >"$1/debian.list"
    for file in /etc/apt/sources.list.d/*.sources; do
        [[ -r $file ]] || continue
        awk -v RS= -v ORS='\n\n' '/\/debian(-security)?(\/|[[:space:]])/' "$file"
    done | sed -E 's/^Types:.*/Types: deb-src/; /^#/d' >"$1/debian.sources"
}

fetch_debian_source() {
    local apt=$CACHE_DIR/apt downloads=$CACHE_DIR/downloads
    command -v apt-get >/dev/null || die "no apt-get here; set PJPROJECT_SRC to a pjproject tree"
    mkdir -p -- "$apt/sources.d" "$apt/lists/partial" "$apt/cache" "$downloads"
    write_source_list "$apt/sources.d"
    local options=(-q -y
        -o "Dir::Etc::sourcelist=/dev/null" -o "Dir::Etc::sourceparts=$apt/sources.d"
        -o "Dir::State::lists=$apt/lists" -o "Dir::Cache=$apt/cache"
        -o "APT::Sandbox::User=$(id -un)")
    say "reading Debian's source lists"
    apt-get "${options[@]}" update >>"$log" 2>&1 || say "apt-get update complained; trying what we have"
    say "downloading source package ring (30 MB)"
    # apt checks each file against the signed list; we only ever unpack the two parts we use.
    (cd -- "$downloads" && apt-get "${options[@]}" --download-only --only-source source ring) >>"$log" 2>&1 ||
        die "this machine's Debian release offers no source package 'ring'; set PJPROJECT_SRC to a pjproject tree"

    local dsc orig debian
    dsc=$(cd -- "$downloads" && compgen -G 'ring_*.dsc' | sort -V | tail -n 1)
    orig=$(awk '$3 ~ /\.orig\.tar\./ && !seen++ {print $3}' "$downloads/$dsc")
    debian=$(awk '$3 ~ /\.debian\.tar\./ && !seen++ {print $3}' "$downloads/$dsc")
    say "unpacking pjproject out of $orig"
    mkdir -- "$work/ring"
    tar -C "$work/ring" -xf "$downloads/$orig" --wildcards '*/daemon/contrib/tarballs-unpacked/pjproject-*'
    tar -C "$work/ring" -xf "$downloads/$debian" --wildcards 'debian/patches/CVE-2023-27585*'

    local version_mak
    version_mak=$(compgen -G "$work/ring/*/daemon/contrib/tarballs-unpacked/pjproject-*/*/version.mak") ||
        die "no pjproject in $orig"
    mv -- "$(dirname -- "$version_mak")" "$work/pj"
    say "applying Debian's patch for CVE-2023-27585"
    patch -d "$work/pj" -p6 --forward <"$(compgen -G "$work/ring/debian/patches/CVE-2023-27585*")" >>"$log"
}

if [[ -n $PJPROJECT_SRC ]]; then
    say "copying $PJPROJECT_SRC"
    mkdir -- "$work/pj"
    (cd -- "$PJPROJECT_SRC" && tar -cf - --exclude=.git --exclude='*.o' --exclude='*.a' --exclude='*.depend' .) |
        tar -C "$work/pj" -xf -
else
    fetch_debian_source
fi
cp -- "$config_site" "$work/pj/pjlib/include/pj/config_site.h"
cd -- "$work/pj"
# A datagram nobody reads yet (RTP ahead of the answer) would put the media thread, and with it
# the sound of every call, to sleep for the whole poll timeout, 500 ms. Upstream mended it later.
sed -i 's/pj_thread_sleep(msec);/pj_thread_sleep(msec < 2 ? msec : 2);/' pjlib/src/pj/ioqueue_epoll.c
# Of the C++ layer's callbacks only those that the worker listens to cross into Python, and of transaction
# events only those of requests inside a call: each crossing copies whole messages and takes the interpreter.
perl -0pi -e 's/\n    ua_cfg\.cb\.(?:on_call_sdp_created|on_stream_precreate|on_stream_created2|on_call_media_transport_state|on_create_media_transport|on_call_media_event|on_call_rx_offer|on_call_rx_reinvite|on_call_tx_offer|on_call_redirected|on_call_replaced)\s*=\s*&Endpoint::\w+;//g;
    s/(void Endpoint::on_call_tsx_state\([^{]*\{)/$1\n    if (tsx->method.id == PJSIP_INVITE_METHOD || tsx->method.id == PJSIP_ACK_METHOD ||\n\te->body.tsx_state.type == PJSIP_EVENT_TX_MSG) return;/;
    s/(OnCallStateParam prm;\s*)prm\.e\.fromPj\(\*e\);/$1prm.e.pjEvent = (void*)e;/' pjsip/src/pjsua2/endpoint.cpp
# The 100 that is not sent (see config_site.h) must be given back, or every call keeps one message's memory.
perl -0pi -e 's/(Unable to send 100 response.*?\n)(#endif\n)/$1#else\n\tpjsip_tx_data_dec_ref(response);\n$2/s' \
    pjsip/src/pjsua-lib/pjsua_call.c
# A socket that is bound to one address is reached there: no need to ask the system for each call's Contact.
perl -0pi -e 's/(\tif \(status == PJ_SUCCESS\) \{\n\t    )(if \(prm->local_if\) \{\n\t\tstatus = get_net_interface\(\(pjsip_transport_type_e\)\s*tp->key\.type)/$1if (prm->local_if && pj_sockaddr_has_addr(&tp->local_addr)) {\n\t\tpj_sockaddr_print(&tp->local_addr, tmp_str.ptr, PJ_INET6_ADDRSTRLEN, 0);\n\t\ttmp_str.slen = pj_ansi_strlen(tmp_str.ptr);\n\t\tpj_strdup(pool, &prm->ret_addr, &tmp_str);\n\t\tprm->ret_port = pj_sockaddr_get_port(&tp->local_addr);\n\t\tprm->ret_tp = tp;\n\t    } else $2/' \
    pjsip/src/pjsip/sip_transport.c
cat -- "$figures" >>pjsip/src/pjsua-lib/pjsua_call.c
# Memory of calls that ended serves the next ones.
sed -i 's/pj_caching_pool_init(&pjsua_var.cp, NULL, 0)/pj_caching_pool_init(\&pjsua_var.cp, NULL, 64*1024*1024)/' \
    pjsip/src/pjsua-lib/pjsua_core.c
version=$(sed -nE 's/^export PJ_VERSION_(MAJOR|MINOR|REV) *:= *([0-9]+).*/\2/p' version.mak | paste -sd.)

# --- pjproject's libraries -------------------------------------------------------------------

say "configuring pjproject $version"
export CFLAGS="-O2 -DNDEBUG -fPIC" CXXFLAGS="-O2 -DNDEBUG -fPIC" EXCLUDE_APP=1
options=(--enable-epoll
    --disable-sound --disable-video --disable-sdl --disable-ffmpeg --disable-v4l2
    --disable-openh264 --disable-vpx --disable-libyuv --disable-libwebrtc
    --disable-speex-aec --disable-speex-codec --disable-gsm-codec --disable-ilbc-codec
    --disable-g7221-codec --disable-opencore-amr --disable-silk --disable-opus --disable-bcg729)
# A tree without the bundled libraries (Debian's repackaged ones) takes the system's libsrtp.
if [[ ! -d third_party/srtp ]]; then options+=(--with-external-srtp); fi
if [[ ! -d third_party/resample ]]; then options+=(--disable-resample); fi
sh ./aconfigure "${options[@]}" >>"$log" 2>&1

# The wrapper is one big file: compile it beside the libraries instead of after them.
wrapper=$work/pj/pjsip-apps/src/swig/python
flags_of() { make --no-print-directory -C "$wrapper" -f helper.mak "$1" | paste -sd' '; }
compile_wrapper() {
    make -C "$wrapper" pjsua2_wrap.cpp USE_THREADS=-threads GEN_DOC=
    # shellcheck disable=SC2046 # one word a flag
    (cd -- "$wrapper" && g++ $(flags_of cflags) -O1 -g0 -fPIC "-I$python_include" -c pjsua2_wrap.cpp -o pjsua2_wrap.o)
}
say "generating and compiling the Python wrapper in the background"
compile_wrapper >"$work/wrapper.log" 2>&1 &
background=$!
for part in pjlib pjlib-util pjnath third_party pjmedia pjsip; do
    say "compiling $part"
    make -j"$JOBS" -C "$part/build" >>"$log" 2>&1
done
say "waiting for the wrapper"
wait "$background" || { cat -- "$work/wrapper.log" >>"$log"; die "the wrapper did not compile"; }
background=

# --- the wheel -------------------------------------------------------------------------------

# Laid out like the stock wheel: a package pjsua2 holding pjsua2.py and _pjsua2.
say "linking and packing"
pack=$work/pack
mkdir -p -- "$pack/pjsua2"
cp -- "$wrapper/pjsua2.py" "$pack/pjsua2/pjsua2.py"
max_calls=$(awk '$2 == "PJSUA_MAX_CALLS" {print $3}' "$config_site")
cat >"$pack/pjsua2/__init__.py" <<PY
"""pjproject $version built for many calls in one process."""

from .pjsua2 import *  # noqa: F403

__version__ = "$version+dense.$key"
DENSE_MAX_CALLS = $max_calls
PY
cat >"$pack/setup.py" <<'PY'
import os

from setuptools import Extension, setup

setup(
    name="pjsua2-dense",
    version=os.environ["DENSE_VERSION"],
    description="pjsua2 built for many calls in one process",
    license="GPL-2.0-or-later",
    packages=["pjsua2"],
    ext_modules=[
        Extension(
            "pjsua2._pjsua2",
            sources=[],
            language="c++",
            extra_objects=[os.environ["DENSE_OBJECT"]],
            # pjproject's own order matters: paths, then archives, then system libraries
            extra_link_args=os.environ["DENSE_LINK"].split() + ["-s"],
        )
    ],
)
PY
link_flags="$(flags_of ldflags) $(flags_of libs | sed -E 's/(^| )([^ ]+)/\1-l\2/g')"
(
    unset CFLAGS CXXFLAGS
    cd -- "$pack"
    DENSE_VERSION=$version+dense.$key DENSE_OBJECT=$wrapper/pjsua2_wrap.o DENSE_LINK=$link_flags \
        "$PYTHON" setup.py -q bdist_wheel
) >>"$log" 2>&1
wheel=$(compgen -G "$pack/dist/*.whl")
mkdir -- "$work/store" "$work/store/site"
mv -- "$wheel" "$work/store/"
"$PYTHON" -m zipfile -e "$work/store/$(basename -- "$wheel")" "$work/store/site"

say "trying it"
PYTHONPATH=$work/store/site "$PYTHON" - "$max_calls" <<'PY' >>"$log" 2>&1 || die "the new library does not start"
import sys

import pjsua2 as pj

wanted = int(sys.argv[1])
config = pj.EpConfig()
config.uaConfig.maxCalls = wanted
config.uaConfig.threadCnt = 0
config.medConfig.threadCnt = 0
config.logConfig.level = config.logConfig.consoleLevel = 0
assert pj.EpConfig().uaConfig.maxCalls == wanted
endpoint = pj.Endpoint()
endpoint.libCreate()
endpoint.libInit(config)
endpoint.libDestroy()
PY

rm -rf -- "$store"
mv -- "$work/store" "$store"
say "done"
print_cached_wheel
