"""A space shared out over processes that are forked from this one.

A context holds functions of plugins, which cannot be sent to another process but are inherited by a fork; what comes back is
small. Threads would wait for each other: much of the work is the calling of small arrays.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from planner.errors import PlannerError

T = TypeVar("T")


def can_fork() -> bool:
    """Whether this system forks processes."""
    return "fork" in multiprocessing.get_all_start_methods()


def shared_out(
    work: Callable[[int, Callable[[float], None]], T], jobs: int, progress: Callable[[float], None]
) -> list[T]:
    """What `work` returns for each number from 0 to `jobs` - 1, each in a process of its own, in that order.

    `work` gets its number and a function that it tells its progress; `progress` is told the least of them. What `work` raises is
    raised here.
    """
    context = multiprocessing.get_context("fork")
    ends: list[Connection] = []
    processes = []
    for number in range(jobs):
        here, there = context.Pipe(duplex=False)
        process = context.Process(target=_run, args=(work, number, there), daemon=True)
        process.start()
        there.close()
        ends.append(here)
        processes.append(process)
    found: dict[int, Any] = {}
    done = [0.0] * jobs
    for number, kind, value in _messages(ends):
        if kind == "progress":
            done[number] = value
            progress(min(done))
        elif kind == "raised":
            for process in processes:
                process.terminate()
            raise value
        else:
            found[number] = value
    for process in processes:
        process.join()
    if len(found) < jobs:
        raise PlannerError("a process that searched ended without an answer", hint="try --jobs 1")
    return [found[number] for number in range(jobs)]


def _run(work: Callable[[int, Callable[[float], None]], object], number: int, end: Connection) -> None:
    try:
        found = work(number, lambda fraction: end.send(("progress", fraction)))
    except Exception as problem:  # whatever it is, the process that asked raises it
        end.send(("raised", problem))
    else:
        end.send(("found", found))
    end.close()


def _messages(ends: list[Connection]) -> Iterator[tuple[int, str, Any]]:
    """What arrives at the ends of the pipes, with their numbers, until all are closed."""
    numbers = {end: number for number, end in enumerate(ends)}
    while numbers:
        for end in wait(list(numbers)):
            assert isinstance(end, Connection)
            try:
                kind, value = end.recv()
            except EOFError:
                del numbers[end]
            else:
                yield numbers[end], kind, value
