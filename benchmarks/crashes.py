"""Writers of the catalog killed at random moments: python benchmarks/crashes.py [--count 100] [--seed 0]. Exits with 1 on a fault.

For every operation, on SQLite and, where a server can be started, on PostgreSQL: `kill -9`, then the old or the new state,
nothing in between, sound by `planner db check`, and the operation runs to its end. Three of four kills are aimed at the write
itself, from the first page or row to the commit.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import sqlalchemy as sa
from catalog.crashes import ON_A_SERVER, OPERATIONS, copied_file, crash, file_in, subject
from catalog.servers import CannotStartError, running


def main() -> int:
    """Crash, print how often each state was found, and say whether it was always one of the two."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100, help="crashes on each database, over all operations")
    parser.add_argument("--only", choices=OPERATIONS, help="one operation, all crashes on it")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    seeds = range(options.seed, options.seed + options.count)
    with tempfile.TemporaryDirectory() as folder:
        faults = _crashes(
            "sqlite",
            [options.only] if options.only else OPERATIONS,
            seeds,
            lambda place: (file_in(place), copied_file(place)),
            Path(folder),
        )
    try:
        with running() as server, tempfile.TemporaryDirectory() as folder:
            faults += _crashes(
                "postgresql", [name for name in ON_A_SERVER if options.only in (None, name)], seeds,
                lambda _: (
                    lambda: server.url(server.make_database()),
                    lambda url: server.url(server.make_database(str(sa.make_url(url).database))),
                ),
                Path(folder),
            )  # fmt: skip
    except CannotStartError as problem:
        print(f"postgresql: not run: {problem}")
    return int(faults > 0)


def _crashes(
    database: str,
    names: Iterable[str],
    seeds: range,
    places: Callable[[Path], tuple[Callable[[], str], Callable[[str], str]]],
    folder: Path,
) -> int:
    names = tuple(names)
    faults = 0
    each = -(-len(seeds) // len(names))
    for index, name in enumerate(names):
        own = seeds[index * each : (index + 1) * each]
        place = folder / name.replace(" ", "-")
        place.mkdir()
        interrupted = subject(name, place, *places(place))
        states: Counter[str] = Counter()
        for seed in own:
            try:
                states[crash(interrupted, seed)] += 1
            except AssertionError as fault:
                states["FAULT"] += 1
                print(f"{database} {name} seed {seed}: {fault}")
        faults += states["FAULT"]
        counts = ", ".join(f"{state} {count}" for state, count in sorted(states.items()))
        writes = f"writes for {interrupted.writing_s * 1e3:5.0f} ms"
        print(f"{database:10} {name:14} {interrupted.duration_s:5.2f} s, {writes}  {counts}", flush=True)
    return faults


if __name__ == "__main__":
    sys.exit(main())
