"""Speed and memory of the search: python benchmarks/search_speed.py [--jobs N]. Exits with 1 where a bar is missed.

Bars: the space of `gpt3_space.toml` (GPT-3 175B, every number of GPUs up to 4,096, over ten million layouts) in at most 2 s and
300 MB, 5 million layouts evaluated a second or more; a 405B model on 16,384 GPUs in at most 2 s; no space whose layouts cost more
each than those of the next smaller one. All of it on one core.

A layout is *evaluated* if no reason refuses it: then its memory is computed with the whole model, and if it fits its time.
Refused ones (most tuples of an open product are void) are counted under their reason, and in no rate but ns per layout. Seconds
are CPU seconds of a search in a process of its own, the best of three, which other programs on the machine disturb least; with
--jobs they leave out the processes that share the work, and wall seconds count.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import time
import tomllib
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from planner.api import Recipe
from planner.catalog.reader import Catalog
from planner.question import Question, RecipeNames, build_question
from planner.registry import installed_registry
from planner.search.objectives import Findings, Limits, search
from planner.search.space import all_choices, all_degrees, build_space

SPACE = Path(__file__).with_name("gpt3_space.toml")
EVALUATED_PER_S, SECONDS, MEGABYTES, LARGE_MODEL_S = 5e6, 2.0, 300.0, 2.0
RUNS = 3
SIZES: Mapping[str, Mapping[str, Any]] = {
    "10⁴": {"max_gpus": 16, "pp": (1, 2, 4, 8), "cp": (1,)},
    "10⁵": {"max_gpus": 64, "cp": (1,)},
    "10⁶": {"max_gpus": 512, "cp": (1,)},
    "10⁷": {},
    "10⁸": {"recompute_layers": (1, 2, 3, 4, 6, 8, 12, 16)},
}
"""The same space cut down and extended: what differs from the file."""


def question(recipe: Recipe) -> Question:
    """The recipe as the search takes it."""
    registry = installed_registry()
    with Catalog.open(None) as catalog:
        names = RecipeNames(
            seq_len=recipe.seq_len, global_batch=recipe.global_batch, precision=recipe.precision,
            optimizer=recipe.optimizer, framework=recipe.framework,
        )  # fmt: skip
        return build_question(registry, catalog.architecture(recipe.model), catalog.cluster(recipe.cluster), names)


Search = Callable[[int], Findings]
"""A search that is ready to run, with so many processes."""


def gpt3(**changes: Any) -> Search:
    """The space of the file, with other values for some axes."""
    described = tomllib.loads(SPACE.read_text(encoding="utf-8"))
    pins = {axis: _values(values) for axis, values in described.pop("values").items()}
    most = changes.pop("max_gpus", described.pop("max_gpus"))
    asked = question(Recipe(**{key: value for key, value in described.items() if key != "max_gpus"}))
    return prepared(asked, pins | changes, most)


def _values(values: str | list[Any]) -> tuple[Any, ...]:
    if isinstance(values, str):
        first, last = values.split("-")
        return tuple(range(int(first), int(last) + 1))
    return tuple(values)


def prepared(asked: Question, pins: Mapping[str, Any], most: int) -> Search:
    """A look at every layout."""
    rules = asked.rules
    choices = all_choices(rules.strategies, tuple(rules.schedules), tuple(rules.recomputes), tuple(rules.offloads))
    space = build_space(asked.context, all_degrees(rules.strategies), choices, pins, 1, most)
    return lambda jobs: search(asked.context, space, rules, Limits(headroom=0.05), keep=6, jobs=jobs)


def large_model() -> Search:
    """Llama 3 405B on up to 16,384 H100, as `planner plan` searches it."""
    return prepared(question(Recipe(model="llama-3.1-405b", cluster="h100-sxm5-80gb:2048x8")), {}, 16384)


@dataclass(frozen=True, slots=True)
class Measured:
    """CPU and wall seconds of a search, how many layouts it saw and evaluated, and the peak memory [MB] of its process."""

    cpu_s: float
    wall_s: float
    layouts: int
    evaluated: int
    megabytes: float


def measured(work: Callable[[], Search], jobs: int) -> Measured:
    """The best of some runs of what `work` prepares, each in a process of its own."""
    runs = []
    for _ in range(RUNS):
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            runs.append(pool.submit(_timed, work, jobs).result())
    return min(runs, key=lambda run: run.wall_s if jobs > 1 else run.cpu_s)


def _timed(work: Callable[[], Search], jobs: int) -> Measured:
    ready = work()
    cpu, wall = time.process_time(), time.perf_counter()
    found = ready(jobs)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    return Measured(cpu, wall, found.layouts, found.allowed, peak_mb)


class Sized:
    """The space at one of the `SIZES`; a class, so that another process can be sent it."""

    def __init__(self, size: str) -> None:
        self.size = size

    def __call__(self) -> Search:
        """Prepare to search it."""
        return gpt3(**SIZES[self.size])


def one_pass_ns(elements: int = 1 << 17) -> float:
    """Nanoseconds per element of adding two arrays that stay in the cache, the best of many."""
    left, right, out = (np.ones(elements) for _ in range(3))
    best = np.inf
    for _ in range(200):
        started = time.perf_counter()
        np.add(left, right, out=out)
        best = min(best, time.perf_counter() - started)
    return float(best / elements * 1e9)


def _print(name: str, run: Measured) -> None:
    print(
        f"{name:>6} {run.layouts:12,} {run.cpu_s / run.layouts * 1e9:8.0f} {run.evaluated:11,} "
        f"{run.cpu_s / run.evaluated * 1e9:8.0f} {run.evaluated / run.cpu_s / 1e6:6.2f} {run.cpu_s:7.3f} {run.wall_s:7.2f} "
        f"{run.megabytes:5.0f}"
    )


def main() -> int:
    """Measure, print, and say whether every bar holds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=1, help="processes that search")
    jobs = parser.parse_args().jobs
    print(
        f"{'space':>6} {'layouts':>12} {'ns each':>8} {'evaluated':>11} {'ns each':>8} {'M/s':>6} {'CPU s':>7} "
        f"{'wall s':>7} {'MB':>5}"
    )
    missed, before_ns = [], float("inf")
    for size in SIZES:
        run = measured(Sized(size), jobs)
        _print(size, run)
        each_ns = run.cpu_s / run.layouts * 1e9
        missed += [f"cost of a layout at {size}"] if each_ns > before_ns else []
        before_ns = each_ns
        if size == "10⁷":
            missed += [name for name, wrong in (
                ("layouts evaluated a second", run.evaluated / run.cpu_s < EVALUATED_PER_S),
                ("seconds", run.cpu_s > SECONDS), ("memory", run.megabytes > MEGABYTES),
                ("ten million layouts", run.layouts < 10**7),
            ) if wrong]  # fmt: skip
    run = measured(large_model, jobs)
    _print("405B", run)
    missed += ["405B"] if run.cpu_s > LARGE_MODEL_S else []
    print(f"one pass of NumPy over cached arrays: {one_pass_ns():.2f} ns per element")
    if jobs > 1:
        print("The bars are of one process, whose CPU seconds these are; look at the wall seconds.")
        return 0
    print("every bar holds" if not missed else f"MISSED: {', '.join(missed)}")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
