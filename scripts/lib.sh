# shellcheck shell=bash disable=SC2034
# lib.sh - what up, down and test share: packages, the build, the hub's user. To be sourced.

top=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")
state=/var/lib/kernelhub run=/run/kernelhub
build=${KERNELHUB_BUILD:-$top/build}

# What the service needs to be built and to run, by Debian's names (12 and 13).
service_packages=(
    build-essential autoconf automake libtool pkg-config
    libzmq3-dev libczmq-dev libjansson-dev libsodium-dev libmicrohttpd-dev libwslay-dev libseccomp-dev libsqlite3-dev zlib1g-dev
    libcurl4-openssl-dev libcmocka-dev
    podman runc crun uidmap mmdebstrap debian-archive-keyring ca-certificates curl procps
)

say() { printf '==> %4d s  %s\n' "$SECONDS" "$*" >&2; }
fail() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        fail "this needs root, and there is no sudo: $*"
    fi
}

# Installs those of the packages that are not there; runs nothing when all are.
install_packages() {
    local missing=()
    command -v dpkg-query >/dev/null ||
        fail "this is no Debian: install what stands for these yourself, then 'make install': $*"
    mapfile -t missing < <(comm -13 \
        <(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" 2>/dev/null | sed -n 's/ installed$//p' | sort) \
        <(printf '%s\n' "$@" | sort))
    [ "${#missing[@]}" -gt 0 ] || return 0
    say "installing ${missing[*]}"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o Acquire::Retries=3 update
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o Acquire::Retries=3 install -y --no-install-recommends "${missing[@]}"
}

make_user() {
    getent passwd kernelhub >/dev/null && return 0
    say 'making the user kernelhub, as whom the hub runs'
    as_root useradd --system --user-group --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin kernelhub
}

# build_tree FOLDER CONFIGURE_ARGUMENT… - out of tree; each step only when needed.
build_tree() {
    local folder=$1
    shift
    if [ ! -e "$top/configure" ] || [ ! -e "$top/Makefile.in" ]; then
        say 'autoreconf'
        (cd "$top" && autoreconf --install)
    fi
    mkdir -p "$folder"
    if [ ! -e "$folder/Makefile" ] || [ "$(cat "$folder/.configured" 2>/dev/null)" != "$*" ]; then
        say "configure $*"
        (cd "$folder" && "$top/configure" --quiet "$@")
        printf '%s' "$*" >"$folder/.configured"
    fi
    make -C "$folder" -s -j "$(nproc)"
}

# The running supervisor's pid, or nothing.
service_pid() {
    local pid start
    [ -r "$run/supervisor.pid" ] || return 0
    read -r pid start <"$run/supervisor.pid" || return 0
    # Field 22 of stat, counted after the name, which may hold anything.
    [ "$(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null | cut -d ' ' -f 20)" != "$start" ] || printf '%s\n' "$pid"
}
