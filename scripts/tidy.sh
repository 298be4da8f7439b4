# shellcheck shell=bash disable=SC2154
# tidy.sh - what a run of scripts/test made: one folder for all temporary files, found, judged and removed. To be sourced.

# begin_run - makes $scratch, which is $TMPDIR of all that follows, and a mark that all of it inherits.
begin_run() {
    scratch=$(mktemp -d /tmp/k.XXXXXX) # short: sockets are below it, and their names are at most 107 bytes long
    chmod 1777 "$scratch"              # wardens and kernels have users of their own
    export TMPDIR=$scratch RUN_OF_KERNELHUB="$$-$RANDOM$RANDOM"
}

is_ours() {
    grep -qzxF "RUN_OF_KERNELHUB=$RUN_OF_KERNELHUB" "/proc/$1/environ" 2>/dev/null
}

# The processes of this run; not this one, whose environment is told as it was at the start.
our_processes() {
    local entry pid
    for entry in /proc/[0-9]*; do
        pid=${entry#/proc/}
        if is_ours "$pid"; then printf '%s\n' "$pid"; fi
    done
    return 0
}

# Containers that have something of ours mounted: each sandbox has its socket from there.
our_containers() {
    local all
    command -v podman >/dev/null || return 0
    mapfile -t all < <(podman ps -aq)
    [ "${#all[@]}" != 0 ] || return 0
    # one that ended meanwhile makes it fail; it says all about the others
    { podman inspect --type container --format '{{.Id}}{{range .Mounts}} {{.Source}}{{end}}' "${all[@]}" 2>/dev/null || true; } |
        awk -v below="$scratch/" '{ for (i = 2; i <= NF; i++) if (index($i, below) == 1) { print $1; next } }'
}

our_mounts() {
    sed -nE "s#^[^ ]+ ($scratch/[^ ]*) .*#\1#p" /proc/self/mounts | tac
}

our_files() {
    [ -z "${KERNELHUB_KEEP:-}" ] || return 0
    find "$scratch" -mindepth 1 -maxdepth 1 ! -name 'pytest-of-*' # pytest's own
}

# What may be anybody's, so it can be told only where nobody else runs tests: in CI.
of_the_machine() {
    find /tmp /var/tmp /dev/shm /run /var/lib -maxdepth 1 -mindepth 1 ! -path "$scratch" \
        \( -name 'k.*' -o -name 'kh*' -o -name 'kernelhub*' -o -name 'tmp????????*' -o -name 'pytest-of-*' -o -name 'test_*' \) 2>/dev/null || true
    find /sys/fs/cgroup -maxdepth 6 -type d -name 'kernelhub-*' 2>/dev/null || true
    if command -v podman >/dev/null; then podman ps -a --format 'container {{.Names}}'; fi
}

# What is there now; nothing when all is well. Whoever was told to end gets 5 s to.
what_is_left() {
    local left pid until=$((SECONDS + 5))
    while :; do
        left=$(
            for pid in $(our_processes); do
                printf 'process %s %.120s\n' "$pid" "$(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null)"
            done
            our_containers | sed 's/^/container /'
            our_mounts | sed 's/^/mount /'
            our_files
        )
        if [ -z "$left" ] || [ "$SECONDS" -ge "$until" ]; then break; fi
        sleep 0.2
    done
    printf '%s' "$left"
}

# True when one was there.
end_services() {
    local instance state found=1
    for instance in "$scratch"/*/*/state/keeper/instance; do
        [ -e "$instance" ] || continue
        state=${instance%/keeper/instance} found=0
        say "ending the service that a test left in ${state%/state}"
        KERNELHUB_LIBEXEC=$build KERNELHUB_DATA=$top timeout 120 "$build/cmd/kernelhub" stop \
            --state "$state" --run "${state%/state}/run" || true
    done
    return "$found"
}

end_processes() {
    local pid until=$((SECONDS + 10))
    for pid in $(our_processes); do kill -TERM "$pid" 2>/dev/null || true; done
    while [ -n "$(our_processes)" ] && [ "$SECONDS" -lt "$until" ]; do sleep 0.1; done
    for pid in $(our_processes); do kill -KILL "$pid" 2>/dev/null || true; done
}

# end_run - however it came to its end: nothing of it remains.
end_run() {
    local container mount again=''
    if end_services; then again=1; fi
    end_processes
    if [ -n "$again" ]; then end_services; fi # a keeper without a supervisor had to end first
    for container in $(our_containers); do podman rm -f -t 0 "$container" >/dev/null || true; done
    our_mounts | while read -r mount; do umount -l "$mount" || true; done
    if [ -n "${KERNELHUB_KEEP:-}" ]; then
        say "kept: $scratch"
    elif [ -z "$(our_mounts)" ]; then
        rm -rf -- "$scratch"
    fi
}
