# shellcheck shell=bash disable=SC2034
# What up.sh and down.sh share. Read with "." once PREFIX is set.
ETC=$PREFIX/etc RUN=$PREFIX/run LOG=$PREFIX/log
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin # where Debian keeps the daemons; not on the PATH of every user
export PATH

use_cluster() { # the cluster of PREFIX, and nothing of a job or a cluster that this shell may be part of
    local name
    for name in $(compgen -e | grep -E '^(SLURM|SBATCH|SRUN|SALLOC|SACCT|SQUEUE|SINFO|SUBMITIT)_'); do
        unset "$name"
    done
    export SLURM_CONF=$ETC/slurm.conf
}

# Does the pid file name a living daemon of this cluster? "kill -0" is no answer: it succeeds on a zombie, which stays
# where process 1 of a container does not reap, and on a stranger that got the number of a daemon that crashed.
# A zombie has an empty environment, a stranger one without our SLURM_CONF.
alive() { # alive PIDFILE
    local pid name
    pid=$(cat "$1" 2>/dev/null) && [ -n "$pid" ] || return 1
    name=$(basename "$1" .pid) # slurmctld, or slurmd-127.0.0.1
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "${name%%-*}" ] || return 1
    grep -qzxF "SLURM_CONF=$SLURM_CONF" "/proc/$pid/environ" 2>/dev/null
}

lock() { # one up.sh or down.sh at a time for a PREFIX; daemons are started with 9>&-, so as not to keep it
    exec 9>"$PREFIX/.testbed"
    flock --wait 60 9
}
