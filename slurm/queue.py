"""What SLURM says of jobs: one squeue and one sacct for all of them, whatever their number; every call has a deadline.

A job is known by its array's name, which no other launch shares, and its place in the array. Never by its number
alone: a controller that was killed gives numbers out again.
"""

import os
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from getpass import getuser

DEADLINE = 60.0
"""Seconds that a command of SLURM may take."""
_INHERITED = ("SBATCH_", "SRUN_", "SALLOC_", "SQUEUE_", "SACCT_", "SCANCEL_", "SINFO_")
_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}

_OWN_JOBS = ("squeue", "--noheader", f"--user={getuser()}")
"""Of this user alone: else SLURM sends the whole cluster's."""

Key = tuple[str, int | None]
"""Name of the array, and place in it; none where the array has one job alone."""


class Unreachable(Exception):
    """SLURM does not answer, or is not installed here; one line."""


@dataclass(frozen=True)
class Job:
    """What SLURM says of one job."""

    number: str
    """As scancel takes it: 123_4, or 123 outside an array."""
    state: str
    """SLURM's own word, without additions: PENDING, NODE_FAIL ..."""
    reason: str = ""
    """Why it waits."""
    nodes: str = ""
    seconds: int = 0
    """That it has run, since its last start."""
    left: str = ""
    """Until its time limit, as squeue prints it."""
    restarts: int = 0
    exit: tuple[int, int] | None = None
    """Exit code and signal, where they are known."""
    memory: int | None = None
    """Most bytes that a task of it held, where accounting gathers that."""


def call(*command: str, deadline: float = DEADLINE) -> str:
    """What the command prints. Raises Unreachable, also when it has not ended in ``deadline`` seconds."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=deadline,
            env=environment(),
            errors="replace",
        )
    except OSError as error:
        reason = "no such program" if isinstance(error, FileNotFoundError) else error.strerror
        raise Unreachable(f"{command[0]}: {reason}; is this a machine of the cluster?") from None
    except subprocess.TimeoutExpired:
        raise Unreachable(f"{command[0]} has not answered in {deadline:.0f} seconds") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
        raise Unreachable(f"{command[0]}: {said[-1]}")
    return done.stdout


def environment() -> dict[str, str]:
    """This process's, without what an enclosing job or a person's habits would add to SLURM's commands."""
    kept = ("SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_CLUSTERS", "SLURM_JWT")
    found = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_INHERITED) and (not name.startswith("SLURM_") or name in kept)
    }
    return {**found, "SLURM_BITSTR_LEN": "0"}  # lists of places in full


def jobs(names: Iterable[str], since: str) -> dict[Key, Job]:
    """All jobs of the arrays called ``names``; ``since``: when the first of them was submitted, YYYY-MM-DDTHH:MM:SS.

    What the controller has forgotten comes from accounting, where there is some. Raises Unreachable.
    """
    listed = ",".join(names)
    if not listed:
        return {}
    queued = dict(_queued(listed))
    try:
        accounted = dict(_accounted(listed, since))
    except Unreachable:  # no accounting: less detail
        accounted = {}
    # what accounting takes to be alive and the controller does not know was lost with a controller
    found = {**{key: job for key, job in accounted.items() if job.state not in ("PENDING", "RUNNING")}, **queued}
    for key, job in queued.items():
        if past := accounted.get(key):  # which alone tells of memory, and of a task's signal
            found[key] = replace(job, exit=past.exit if past.exit and past.exit[1] else job.exit, memory=past.memory)
    return found


def _queued(names: str) -> Iterator[tuple[Key, Job]]:
    """Without ``--array``, for squeue 22.05 then drops the last of "0-18:2"; jobs that wait stand in one line."""
    names_of_fields = ("Name", "ArrayJobID", "ArrayTaskID", "State", "Reason", "NodeList", "TimeUsed", "TimeLeft")
    fields = ",".join(f"{name}:0|" for name in (*names_of_fields, "RestartCnt", "exit_code"))
    for line in call(*_OWN_JOBS, "--states=all", f"--name={names}", "-O", fields).splitlines():
        name, number, listed, state, reason, nodes, used, left, restarts, status = line.split("|")[:-1]
        job = Job(
            number=number,
            state=state,
            reason="" if reason == "None" else reason,
            nodes=nodes,
            seconds=_seconds(used),
            left=left,
            restarts=int(restarts or 0),
            exit=(int(status) >> 8, int(status) & 127) if status.isdigit() else None,
        )
        if not listed[:1].isdigit():  # N/A: no array
            yield (name, None), job
        for place in places(listed) if listed[:1].isdigit() else ():
            yield (name, place), replace(job, number=f"{number}_{place}")


def _accounted(names: str, since: str) -> Iterator[tuple[Key, Job]]:
    """Lines of one job come one after the other: an incarnation, its steps, the next incarnation."""
    fields = "JobName,JobID,State,ExitCode,NodeList,ElapsedRaw,MaxRSS"
    wanted = set(names.split(","))
    key: Key = ("", None)
    job = Job("", "")
    restarts: dict[Key, int] = {}
    never: dict[Key, Job] = {}
    said = call("sacct", "--noheader", "--parsable2", "--duplicates", f"--name={names}", "-S", since, "-o", fields)
    for line in said.splitlines():
        name, number, state, code, nodes, elapsed, memory = line.split("|")
        status, signal = (int(part or 0) for part in (code or ":").split(":"))  # none of what was requeued
        if "." in number:  # a step of the job above
            if number.partition(".")[0] == job.number:
                held = max(job.memory or 0, _bytes(memory)) if memory else job.memory
                # srun gives a task's signal as its own exit code, which is that of the job
                job = replace(job, memory=held, exit=(0, signal) if signal else job.exit)
                yield key, job
            continue
        _, _, place = number.partition("_")
        if name not in wanted:
            continue
        if place.startswith("["):  # one line for all that have never started
            for one in places(place.strip("[]")):
                never.setdefault((name, one), Job(f"{number.partition('_')[0]}_{one}", state.split()[0]))
            continue
        key = (name, int(place) if place else None)
        restarts[key] = restarts.get(key, -1) + 1
        job = Job(
            number=number,
            state=state.split()[0],  # "CANCELLED by 0"
            nodes="" if nodes == "None assigned" else nodes,
            seconds=int(elapsed or 0),
            restarts=restarts[key],
            exit=(status, signal),
        )
        yield key, job
    yield from ((key, job) for key, job in never.items() if key not in restarts)


def places(listed: str) -> Iterator[int]:
    """Of "0-2,7,10-14:2%4": 0, 1, 2, 7, 10, 12, 14."""
    for part in listed.partition("%")[0].split(","):
        span, _, stride = part.partition(":")
        first, _, last = span.partition("-")
        yield from range(int(first), int(last or first) + 1, int(stride or 1))


def cancel(numbers: Iterable[str]) -> None:
    """Asks SLURM to end these jobs. Raises Unreachable."""
    arrays: dict[str, list[str]] = {}
    for number in numbers:
        array, _, place = number.partition("_")
        arrays.setdefault(array, []).append(place)
    if arrays:
        call("scancel", *(f"{array}_[{','.join(own)}]" if any(own) else array for array, own in arrays.items()))


def limits() -> dict[str, int]:
    """What the cluster limits, as far as it says: MaxArraySize, and MaxSubmit of this user in the widest account."""
    found: dict[str, int] = {}
    for line in call("scontrol", "show", "config").splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "MaxArraySize":
            found["MaxArraySize"] = int(value)
    try:
        user = f"user={getuser()}"
        said = call("sacctmgr", "--noheader", "--parsable2", "show", "assoc", user, "format=MaxSubmit")
    except Unreachable:
        return found
    submits = [int(line) if line.isdigit() else 0 for line in said.split("\n")[:-1]]
    return found | ({"MaxSubmit": max(submits)} if submits and all(submits) else {})


def longest(partitions: str) -> int | None:
    """Minutes that a job may take in any of ``partitions`` (with commas between); none where there is no limit.

    Raises Unreachable, also for a partition that does not exist.
    """
    found = [_seconds(line) for line in call("sinfo", "--noheader", f"--partition={partitions}", "-o", "%l").split()]
    if not found:
        raise Unreachable(f"sinfo: no partition {partitions}")
    return max(found) // 60 if all(found) else None


def waiting() -> int:
    """How many jobs of this user are in the queue, whoever put them there."""
    return len(call(*_OWN_JOBS, "--array", "-o", "%i").split())


def hosts(nodes: str) -> list[str]:
    """The names behind "node[1-3]"."""
    return call("scontrol", "show", "hostnames", nodes).split()


def _seconds(text: str) -> int:
    """Of squeue's [days-][[hours:]minutes:]seconds."""
    days, _, clock = text.rpartition("-")
    total = 0
    for part in clock.split(":"):
        if not part.isdigit():
            return 0  # INVALID, UNLIMITED
        total = 60 * total + int(part)
    return total + 86400 * int(days or 0)


def _bytes(text: str) -> int:
    unit = _UNITS.get(text[-1:])
    return int(float(text[:-1] if unit else text) * (unit or 1))
