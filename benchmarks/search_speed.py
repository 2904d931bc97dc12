"""Speed and memory of the search: python benchmarks/search_speed.py [--jobs N]. Exits with 1 where a bar is missed.

Bars: the space of `gpt3_space.toml` (GPT-3 175B, every number of GPUs up to 4,096, over ten million layouts) in at most 2 s and
300 MB, at 5 million layouts a second or more; a 405B model on 16,384 GPUs in at most 2 s. All of it on one core.

A layout is counted whether it is refused (most tuples of an open product are void) or evaluated with the whole memory and time
model; both rates are printed. Seconds are CPU seconds of the process, which other programs on the machine disturb least; with
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
LAYOUTS_PER_S, SECONDS, MEGABYTES, LARGE_MODEL_S = 5e6, 2.0, 300.0, 2.0
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


def gpt3(jobs: int, **changes: Any) -> Findings:
    """Search the space of the file, with other values for some axes."""
    described = tomllib.loads(SPACE.read_text(encoding="utf-8"))
    pins = {axis: _values(values) for axis, values in described.pop("values").items()}
    most = changes.pop("max_gpus", described.pop("max_gpus"))
    asked = question(Recipe(**{key: value for key, value in described.items() if key != "max_gpus"}))
    return searched(asked, pins | changes, most, jobs)


def _values(values: str | list[Any]) -> tuple[Any, ...]:
    if isinstance(values, str):
        first, last = values.split("-")
        return tuple(range(int(first), int(last) + 1))
    return tuple(values)


def searched(asked: Question, pins: Mapping[str, Any], most: int, jobs: int) -> Findings:
    """Look at every layout."""
    rules = asked.rules
    choices = all_choices(rules.strategies, tuple(rules.schedules), tuple(rules.recomputes), tuple(rules.offloads))
    space = build_space(asked.context, all_degrees(rules.strategies), choices, pins, 1, most)
    return search(asked.context, space, rules, Limits(headroom=0.05), keep=6, jobs=jobs)


def large_model(jobs: int) -> Findings:
    """Llama 3 405B on up to 16,384 H100, as `planner plan` searches it."""
    return searched(question(Recipe(model="llama-3.1-405b", cluster="h100-sxm5-80gb:2048x8")), {}, 16384, jobs)


def measured(work: Callable[[int], Findings], jobs: int) -> tuple[float, float, int, int, float]:
    """CPU seconds, wall seconds, layouts, evaluated layouts and peak memory [MB] of `work` in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_timed, work, jobs).result()


def _timed(work: Callable[[int], Findings], jobs: int) -> tuple[float, float, int, int, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    found = work(jobs)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    # The search times itself; the rest is opening the catalog and loading plugins.
    share = found.elapsed_s / (time.perf_counter() - wall)
    return (time.process_time() - cpu) * share, found.elapsed_s, found.layouts, found.allowed, peak_mb


class Sized:
    """The space at one of the `SIZES`; a class, so that another process can be sent it."""

    def __init__(self, size: str) -> None:
        self.size = size

    def __call__(self, jobs: int) -> Findings:
        """Search it."""
        return gpt3(jobs, **SIZES[self.size])


def one_pass_ns(elements: int = 1 << 17) -> float:
    """Nanoseconds per element of adding two arrays that stay in the cache, the best of many."""
    left, right, out = (np.ones(elements) for _ in range(3))
    best = np.inf
    for _ in range(200):
        started = time.perf_counter()
        np.add(left, right, out=out)
        best = min(best, time.perf_counter() - started)
    return float(best / elements * 1e9)


def main() -> int:
    """Measure, print, and say whether every bar holds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=1, help="processes that search")
    jobs = parser.parse_args().jobs
    print(
        f"{'space':>6} {'layouts':>12} {'evaluated':>11} {'CPU s':>7} {'wall s':>7} {'M/s':>6} {'ns each':>8} {'MB':>5}"
    )
    missed = []
    for size in SIZES:
        cpu_s, wall_s, layouts, evaluated, megabytes = measured(Sized(size), jobs)
        print(
            f"{size:>6} {layouts:12,} {evaluated:11,} {cpu_s:7.2f} {wall_s:7.2f} {layouts / cpu_s / 1e6:6.1f} "
            f"{cpu_s / layouts * 1e9:8.0f} {megabytes:5.0f}"
        )
        if size == "10⁷":
            print(
                f"       evaluated: {evaluated / cpu_s / 1e6:.2f} million a second, {cpu_s / evaluated * 1e9:.0f} ns each"
            )
            missed += [name for name, wrong in (
                ("layouts a second", layouts / cpu_s < LAYOUTS_PER_S), ("seconds", cpu_s > SECONDS),
                ("memory", megabytes > MEGABYTES), ("ten million layouts", layouts < 10**7),
            ) if wrong]  # fmt: skip
    cpu_s, wall_s, layouts, evaluated, megabytes = measured(large_model, jobs)
    print(f"405B on up to 16,384 GPUs: {layouts:,} layouts, {evaluated:,} evaluated, {cpu_s:.2f} s, {megabytes:.0f} MB")
    missed += ["405B"] if cpu_s > LARGE_MODEL_S else []
    print(f"one pass of NumPy over cached arrays: {one_pass_ns():.2f} ns per element")
    print("every bar holds" if not missed else f"MISSED: {', '.join(missed)}")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
