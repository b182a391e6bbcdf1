#!/usr/bin/env bash
# Stops the cluster that up.sh PREFIX started, its jobs first.
#
#   down.sh PREFIX [--purge]      --purge: deletes PREFIX too; without it, up.sh PREFIX goes on from the same state
set -uo pipefail
PREFIX=$(realpath -m -- "${1:?usage: down.sh PREFIX [--purge]}") || exit 2
[ -d "$PREFIX" ] || exit 0
# never delete a folder that up.sh has not made
[ -e "$PREFIX/.testbed" ] || { echo "testbed: $PREFIX is not of up.sh" >&2 && exit 2; }
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
use_cluster
lock || echo "testbed: an up.sh still works on $PREFIX; stopping all the same" >&2

stop() { # stop PIDFILE SECONDS: asks, and after so many seconds kills
    local pid end=$((SECONDS + $2))
    if alive "$1"; then
        pid=$(cat "$1")
        kill "$pid" 2>/dev/null
        while alive "$1" && [ "$SECONDS" -lt "$end" ]; do sleep 0.05; done
        if alive "$1"; then kill -9 "$pid" 2>/dev/null; fi
    fi
    rm -f "$1"
}

kill_tree() { # kill_tree PID: children first found, then all killed
    local child
    # shellcheck disable=SC2013 # words, not lines
    for child in $(cat /proc/"$1"/task/*/children 2>/dev/null); do kill_tree "$child"; done
    kill -9 "$1" 2>/dev/null
}

if alive "$RUN/slurmctld.pid"; then
    end=$((SECONDS + 15))
    timeout 10 scancel --user="$(id -un)" >/dev/null 2>&1
    # a job that ignores SIGTERM ends after KillWait; one that failed to answer is left to kill_tree below
    while [ "$SECONDS" -lt "$end" ] && [ -n "$(timeout 5 squeue -h 2>/dev/null || echo unknown)" ]; do sleep 0.05; done
fi
for file in "$RUN"/slurmd-*.pid; do stop "$file" 10; done
# The steps of a job outlive their slurmd, and nobody cancelled them where slurmctld was stopped.
for file in /proc/[0-9]*/comm; do
    step=$(basename "$(dirname "$file")")
    if [ "$(cat "$file" 2>/dev/null)" = slurmstepd ] && [ "$(readlink "/proc/$step/cwd")" = "$LOG" ]; then
        kill_tree "$step"
    fi
done
stop "$RUN/slurmctld.pid" 15
stop "$RUN/slurmdbd.pid" 15
stop "$RUN/mariadbd.pid" 20
stop "$RUN/munged.pid" 5
if [ "${2:-}" = --purge ]; then
    if [ -L "$PREFIX/db" ]; then rm -rf "$(readlink "$PREFIX/db")"; fi
    rm -rf "$PREFIX"
fi
