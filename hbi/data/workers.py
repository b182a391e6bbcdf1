"""Processes that decode; one that hangs or crashes costs its video alone."""

import multiprocessing
import signal
from collections.abc import Generator, Iterable
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from hbi.config import DataConfig
from hbi.data.dataset import Video
from hbi.data.decode import Decoded, decode, ending_process_after
from hbi.data.frame_cache import FileState
from hbi.data.video import VideoError

Outcome = tuple[FileState, Decoded] | str
"""A clip and the state its file had before it was read; or why there is none, in a line."""


def decode_all(
    videos: Iterable[Video], config: DataConfig, size: int, workers: int, limit: float
) -> Generator[tuple[Video, Outcome], None, None]:
    """Decodes ``videos`` in ``workers`` processes, and gives each with its outcome as it is done.

    A video is taken from the iterable when a process is free for it; ``close`` ends the processes. One that takes more
    than ``limit`` seconds, or crashes its process, has that as its outcome, and another process takes over.
    """

    def replaced(pipe: Connection, video: Video) -> str:
        process = pool.pop(pipe)
        process.join()
        pipe.close()
        start()
        code = process.exitcode or 0
        if code == -signal.SIGALRM:
            return f"{video.path}: not decoded after {limit:g} s; replace the file or allow more time"
        how = signal.strsignal(-code) if code < 0 else f"exit code {code}"
        return f"{video.path}: the process that decoded it died ({how}); replace the file"

    def start() -> None:
        pipe, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, config, size, limit), daemon=True)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # the new process inherits it: Ctrl-C is for this one
        process.start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        theirs.close()  # so that each end notices when the other's process is gone
        pool[pipe] = process
        idle.append(pipe)

    context = multiprocessing.get_context("spawn")  # the caller may have threads, which a fork does not survive
    pool: dict[Connection, SpawnProcess] = {}
    idle: list[Connection] = []
    busy: dict[Connection, Video] = {}
    queue = iter(videos)
    try:
        while True:
            while len(busy) < workers and (video := next(queue, None)):
                if not idle:
                    start()
                pipe = idle.pop()
                pipe.send(video)
                busy[pipe] = video
            if not busy:
                return
            for pipe in [pipe for pipe in wait(list(busy)) if isinstance(pipe, Connection)]:
                video = busy.pop(pipe)
                try:
                    outcome: Outcome = pipe.recv()
                    idle.append(pipe)
                except (EOFError, OSError):
                    outcome = replaced(pipe, video)
                yield video, outcome
    finally:
        for pipe, process in pool.items():
            process.kill()  # it holds nothing: what it writes, it sends
            process.join()
            pipe.close()


def _work(pipe: Connection, config: DataConfig, size: int, limit: float) -> None:
    while True:
        try:
            video = pipe.recv()
            with ending_process_after(limit):
                outcome = _outcome(video, config, size)
            pipe.send(outcome)
        except (EOFError, OSError):  # the parent is gone
            return


def _outcome(video: Video, config: DataConfig, size: int) -> Outcome:
    try:
        state = FileState.of(video.path)  # first: a file that changes meanwhile does not match its entry
        return state, decode(video, config, size)
    except VideoError as error:
        return str(error)
    except OSError as error:
        return f"{video.path}: cannot be read ({error.strerror})"
