#!/usr/bin/env bash
# Starts a private SLURM cluster on this machine, without systemd, as root or as any user; README.md says more.
#
#   up.sh PREFIX      PREFIX: a folder, new or empty; everything lies in it. Called again, it starts what is
#                     not running (a daemon that was stopped or has died) and leaves the rest as it is.
#
# Settings, from the environment of the first call; a PREFIX keeps them:
#   TESTBED_ACCOUNTING=dbd|none   dbd: slurmdbd with a MariaDB of its own, so that sacct works (the default where both
#                                 are installed); none: sacct fails, as it does on many small clusters
#   TESTBED_NODES=2  TESTBED_CPUS=4  TESTBED_MEMORY=8000  TESTBED_GPUS=2     nodes, and what each of them has (MB)
#   TESTBED_MAX_ARRAY=10001                                                  MaxArraySize of slurm.conf
# (They are not called SLURM_...: those names are SLURM's own.)
#
# Then ". PREFIX/env.sh" in a shell; any other program sets SLURM_CONF=PREFIX/etc/slurm.conf and drops SLURM_*.
set -euo pipefail
PREFIX=$(realpath -m -- "${1:?usage: up.sh PREFIX}")

fail() {
    echo "testbed: $1" >&2
    exit 2
}
# the path of a Unix socket ends at 107 characters
[ ${#PREFIX} -le 80 ] || fail "$PREFIX is too long; take a short folder, such as one in /tmp"
[[ $PREFIX =~ ^[A-Za-z0-9/._+-]+$ ]] || fail "$PREFIX has a character that a configuration of SLURM cannot hold"
# shellcheck source-path=SCRIPTDIR source=common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
umask 077 # the folder is for one user: MariaDB below has no password, its socket lies in here
mkdir -p "$PREFIX"
[ -e "$PREFIX/.testbed" ] || [ -z "$(ls -A "$PREFIX")" ] || fail "$PREFIX holds something else"
lock || fail "another up.sh or down.sh works on $PREFIX"
mkdir -p "$ETC" "$RUN" "$LOG" "$PREFIX"/{state,spool,tmp}
use_cluster
unset "${!MYSQL_@}" "${!MARIADB_@}"
export MYSQL_UNIX_PORT=$RUN/mariadb.sock # where slurmdbd looks for its database
me=$(id -un)
trap 'echo "testbed: failed at line $LINENO; the logs are in $LOG" >&2; tail -qn 3 "$LOG"/*.err >&2 || true' ERR

wait_for() { # wait_for SECONDS WHAT FUNCTION: the function must end by itself
    local end=$((SECONDS + $1))
    until "$3" >/dev/null 2>&1; do
        if [ "$SECONDS" -ge "$end" ]; then
            echo "testbed: $2: not within $1 s; the logs are in $LOG" >&2
            return 1
        fi
        sleep 0.05
    done
}

start() { # start PROGRAM ARGUMENT...: a daemon that goes to the background by itself
    timeout 30 "$@" </dev/null >/dev/null 2>>"$LOG/$1.err" 9>&-
}

write() { # write FILE: its new content from the standard input, at once, as daemons and clients may be reading it
    cat >"$1.new"
    mv "$1.new" "$1"
}

# ---- settings ------------------------------------------------------------------------------------------------------
if [ -s "$ETC/settings" ]; then
    while IFS='=' read -r name value; do
        [ "${!name:-$value}" = "$value" ] || fail "$PREFIX has $name=$value; for another value take another PREFIX"
        printf -v "$name" %s "$value"
    done <"$ETC/settings"
else
    if [ -z "${TESTBED_ACCOUNTING:-}" ]; then
        TESTBED_ACCOUNTING=none
        if command -v slurmdbd && command -v mariadbd; then TESTBED_ACCOUNTING=dbd; fi >/dev/null
    fi
    for default in NODES=2 CPUS=4 MEMORY=8000 GPUS=2 MAX_ARRAY=10001; do
        name=TESTBED_${default%=*}
        printf -v "$name" %s "${!name:-${default#*=}}"
        [[ ${!name} =~ ^[0-9]+$ ]] || fail "$name is not a number: ${!name}"
    done
fi
programs=()
case $TESTBED_ACCOUNTING in
dbd) programs=(slurmdbd mariadb mariadbd mariadb-install-db) ;;
none) ;;
*) fail "TESTBED_ACCOUNTING is dbd or none, not $TESTBED_ACCOUNTING" ;;
esac
for program in munged slurmctld slurmd srun "${programs[@]}"; do
    command -v "$program" >/dev/null || fail "$program is not installed (Debian: make slurm)"
done
# Any character devices, each its own, pass for GPUs: SLURM makes CUDA_VISIBLE_DEVICES of them. A gres of a count alone
# drains the node, and plain files set no CUDA_VISIBLE_DEVICES.
devices=(/dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty /dev/ptmx)
[ "$TESTBED_GPUS" -le ${#devices[@]} ] || fail "TESTBED_GPUS is at most ${#devices[@]}"
[[ $TESTBED_NODES -ge 1 && $TESTBED_NODES -le 80 ]] || fail "TESTBED_NODES is a number from 1 to 80"
for name in TESTBED_{ACCOUNTING,NODES,CPUS,MEMORY,GPUS,MAX_ARRAY}; do
    echo "$name=${!name}"
done | write "$ETC/settings"

# The nodes are called 127.0.0.1, 127.0.0.2, ...: names that resolve everywhere, so that several processes of a job can
# meet at the first of them (MASTER_ADDR of torch.distributed) without a line in /etc/hosts.
nodes=()
for ((i = 1; i <= TESTBED_NODES; i++)); do nodes+=("127.0.0.$i"); done

# A block of ports on which nobody answers; below the range from which Linux gives ports to clients.
base=$(cat "$ETC/ports" 2>/dev/null || true)
for ((try = 0; try < 100 && ${base:-0} == 0; try++)); do
    base=$((10000 + (RANDOM % 110) * 200))
    for offset in 17 19 $(seq 101 $((100 + TESTBED_NODES))); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$((base + offset))") 2>/dev/null; then base=0; fi
    done
done
[ "$base" != 0 ] || fail "no free ports found"
echo "$base" | write "$ETC/ports"

# A new cluster would count its jobs from 1. Job ids go into names of files (submitit's, for one), and what an earlier
# cluster left under an id would pass for the new job's. So they start from the clock: 60 for a second, below MaxJobId.
[ -s "$ETC/first_job" ] || echo $(($(date +%s) % 1000000 * 60 + 1)) | write "$ETC/first_job"

# ---- munge: a key and a socket of its own --------------------------------------------------------------------------
munge_answers() { timeout 5 munge --socket="$RUN/munge.sock" -n | timeout 5 unmunge --socket="$RUN/munge.sock"; }
[ -s "$ETC/munge.key" ] || head -c 128 /dev/urandom | write "$ETC/munge.key"
if ! alive "$RUN/munged.pid"; then
    rm -f "$RUN/munge.sock" "$RUN/munge.sock.lock"
    # --force: else it refuses a socket in a folder that is not open to everybody
    start munged --force --key-file="$ETC/munge.key" --socket="$RUN/munge.sock" --pid-file="$RUN/munged.pid" \
        --log-file="$LOG/munged.log" --seed-file="$PREFIX/state/munge.seed"
fi
wait_for 10 "munged answers" munge_answers

# ---- configuration -------------------------------------------------------------------------------------------------
gres=
write "$ETC/gres.conf" </dev/null
if [ "$TESTBED_GPUS" -gt 0 ]; then
    gres=Gres=gpu:$TESTBED_GPUS
    (IFS=, && echo "Name=gpu File=${devices[*]:0:TESTBED_GPUS}") | write "$ETC/gres.conf"
fi
accounting=AccountingStorageType=accounting_storage/none
if [ "$TESTBED_ACCOUNTING" = dbd ]; then
    # AccountingStoragePass: the socket of munge; without it sacct looks for munge in the system's place
    accounting="AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=localhost
AccountingStoragePort=$((base + 19))
AccountingStoragePass=$RUN/munge.sock
AccountingStorageEnforce=limits,qos"
fi
write "$ETC/plugstack.conf" </dev/null # the system's own must not be read
# slurmd loads a plugin for cgroups even where nothing uses it, and its own search for the version kills it in many
# containers. v1, named outright, does nothing unless asked.
echo "CgroupPlugin=cgroup/v1" | write "$ETC/cgroup.conf"
# Of what follows, less obvious:
# - cred_expire: how long a requeued job waits before it starts again (about 6 s; 120 s by default).
# - batch_sched_delay, sched_interval, bf_interval: 0.6 s from submission to start; 2.5 s by default.
# - preempt_send_user_signal with GraceTime: a job that is pre-empted first gets the signal that it asked for with
#   --signal, and time to save its state. Without them it gets SIGTERM at once, which submitit ignores.
# - MinJobAge: squeue and scontrol know a finished job for an hour; tests without accounting need that.
# - task/none, linuxproc, no cgroups: nothing enforces memory or cores.
write "$ETC/slurm.conf" <<END
ClusterName=testbed
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort=$((base + 17))
AuthType=auth/munge
AuthInfo=socket=$RUN/munge.sock,cred_expire=5
CredType=cred/munge
SlurmUser=$me
SlurmdUser=$me
StateSaveLocation=$PREFIX/state
SlurmdSpoolDir=$PREFIX/spool/%n
SlurmctldPidFile=$RUN/slurmctld.pid
SlurmdPidFile=$RUN/slurmd-%n.pid
SlurmctldLogFile=$LOG/slurmctld.log
SlurmdLogFile=$LOG/slurmd-%n.log
SlurmctldDebug=info
SlurmdDebug=info
PlugStackConfig=$ETC/plugstack.conf
MpiDefault=none
SwitchType=switch/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/none
$accounting
ReturnToService=2
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=100
GresTypes=gpu
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1,bf_window=1440
PriorityType=priority/basic
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal
JobRequeue=1
KillWait=2
CompleteWait=0
InactiveLimit=0
MinJobAge=3600
FirstJobId=$(cat "$ETC/first_job")
MaxArraySize=$TESTBED_MAX_ARRAY
MaxJobCount=20000
SlurmctldTimeout=30
SlurmdTimeout=60
MessageTimeout=10
NodeName=127.0.0.[1-$TESTBED_NODES] NodeHostname=localhost NodeAddr=127.0.0.1 \\
    Port=[$((base + 101))-$((base + 100 + TESTBED_NODES))] CPUs=$TESTBED_CPUS RealMemory=$TESTBED_MEMORY $gres
PartitionName=debug Nodes=ALL MaxTime=INFINITE DefaultTime=10 PriorityTier=10 PreemptMode=OFF State=UP Default=YES
PartitionName=gpu Nodes=ALL MaxTime=INFINITE DefaultTime=10 PriorityTier=10 PreemptMode=OFF State=UP
PartitionName=low Nodes=ALL MaxTime=INFINITE DefaultTime=10 PriorityTier=1 PreemptMode=REQUEUE GraceTime=30 State=UP
PartitionName=high Nodes=ALL MaxTime=INFINITE DefaultTime=10 PriorityTier=100 PreemptMode=OFF State=UP
END
write "$PREFIX/env.sh" <<END
# Read this with "." in a shell that is to use the testbed. What a job around it left would reach sbatch and srun.
for _name in \$(env | sed -nE 's/^((SLURM|SBATCH|SRUN|SALLOC|SACCT|SQUEUE|SINFO|SUBMITIT)_[A-Za-z0-9_]*)=.*/\\1/p'); do
    unset "\$_name"
done
unset _name
export SLURM_CONF=$ETC/slurm.conf
END

# ---- accounting ----------------------------------------------------------------------------------------------------
database_answers() { timeout 5 mariadb --no-defaults -uroot -S "$RUN/mariadb.sock" -e 'select 1'; }
accounting_answers() { timeout 10 sacctmgr -n list cluster; }
if [ "$TESTBED_ACCOUNTING" = dbd ]; then
    # --tmpdir: a mariadbd that starts deletes every #sql* file of its tmpdir, another instance's too
    options=(--no-defaults --tmpdir="$PREFIX/tmp" --user="$me" --datadir="$PREFIX/db/" --innodb-log-file-size=4M)
    if [ ! -d "$PREFIX/db/mysql" ]; then
        rm -rf "$PREFIX/db"
        # in memory where that is possible: 0.5 s instead of 4 s
        if [ -w /dev/shm ] && [ "$(df -Pk /dev/shm | awk 'NR == 2 { print $4 }')" -gt 100000 ]; then
            ln -s "$(mktemp -d /dev/shm/testbed.XXXXXX)" "$PREFIX/db"
        else
            mkdir "$PREFIX/db"
        fi
        timeout 60 mariadb-install-db "${options[@]}" --skip-test-db --skip-name-resolve \
            --auth-root-authentication-method=normal </dev/null >"$LOG/mariadb-install-db.err" 2>&1 9>&-
    fi
    if ! alive "$RUN/mariadbd.pid"; then
        rm -f "$RUN/mariadb.sock"
        setsid mariadbd "${options[@]}" --socket="$RUN/mariadb.sock" --pid-file="$RUN/mariadbd.pid" \
            --log-error="$LOG/mariadbd.log" --skip-networking --innodb-flush-log-at-trx-commit=0 \
            --innodb-buffer-pool-size=64M --innodb-lock-wait-timeout=900 </dev/null >/dev/null 2>&1 9>&- &
        disown
    fi
    wait_for 30 "mariadbd answers" database_answers
    write "$ETC/slurmdbd.conf" <<END
AuthType=auth/munge
AuthInfo=socket=$RUN/munge.sock
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort=$((base + 19))
SlurmUser=$me
PidFile=$RUN/slurmdbd.pid
LogFile=$LOG/slurmdbd.log
DebugLevel=info
CommitDelay=0
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm_acct_db
END
    alive "$RUN/slurmdbd.pid" || start slurmdbd
    wait_for 30 "slurmdbd answers" accounting_answers
    # limits are enforced, as on a real cluster: who submits needs an account
    if [ -z "$(timeout 15 sacctmgr -n list account testbed)" ]; then
        for entity in "cluster testbed" "account testbed" "user $me account=testbed"; do
            # shellcheck disable=SC2086 # words
            timeout 15 sacctmgr -i add $entity >/dev/null || true # there already
        done
    fi
fi

# ---- controller and nodes ------------------------------------------------------------------------------------------
controller_answers() { timeout 15 scontrol ping | grep -q "is UP"; }
# Every slurmd has registered (a node whose slurmd never spoke is "idle" at first, too), and every node is of use
# ("idle*" means that its slurmd does not answer).
nodes_ready() {
    [ "$(timeout 15 scontrol -o show node | grep -cE 'SlurmdStartTime=[0-9]')" -eq "$TESTBED_NODES" ] &&
        [ "$(timeout 15 sinfo -h -N -p debug -o '%t' | grep -cxE 'idle|mix|alloc')" -eq "$TESTBED_NODES" ]
}
was_up=
for daemon in slurmctld "${nodes[@]/#/slurmd-}"; do
    if alive "$RUN/$daemon.pid"; then was_up=yes; fi
done
# Without -c, which would forget all jobs, those that still run too, and give their ids again.
alive "$RUN/slurmctld.pid" || start slurmctld
wait_for 30 "slurmctld answers" controller_answers
for node in "${nodes[@]}"; do
    mkdir -p "$PREFIX/spool/$node"
    alive "$RUN/slurmd-$node.pid" || start slurmd -N "$node"
done
if ! wait_for 60 "nodes are ready" nodes_ready; then
    timeout 15 sinfo -N -l >&2 || true
    grep -h fatal "$LOG"/slurm*.log >&2 || true
    exit 1
fi

# ---- does it work? -------------------------------------------------------------------------------------------------
# A slurmd can die while sinfo calls its node idle, so a job says more. Not where jobs may hold all cores.
job_recorded() { timeout 10 sacct -n -X -j "$job" -o State | grep -q COMPLETED; }
if [ -z "$was_up" ] && [ -z "$(timeout 15 squeue -h)" ]; then
    # shellcheck disable=SC2016 # for the job's shell
    job=$(timeout 30 srun -J smoke -N1 -n1 -t1 bash -c 'echo $SLURM_JOB_ID')
    # the first records of a new slurmctld may take some 4 s to slurmdbd, later ones 0.2 s
    if [ "$TESTBED_ACCOUNTING" = dbd ]; then wait_for 30 "sacct shows a finished job" job_recorded; fi
fi
echo "testbed: up (accounting: $TESTBED_ACCOUNTING); now: . $PREFIX/env.sh"
