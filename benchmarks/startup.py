"""Start-up as ratios, measured in one run: python benchmarks/startup.py. Exits with 1 where a bar is missed.

Bars: `planner plan` at most 2 x the bare import of numpy, sqlalchemy, click and pluggy; `planner --version` at most 4 x and
`planner --help` at most 6 x ``python -c pass``.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

REPEATS = 9
PLANNER = "import sys; from planner.cli.main import run; sys.argv[0] = 'planner'; sys.exit(run())"
CASES = {
    "pass": ["-c", "pass"],
    "imports": ["-c", "import numpy, sqlalchemy, click, pluggy"],
    "--version": ["-c", PLANNER, "--version"],
    "--help": ["-c", PLANNER, "--help"],
    "plan": ["-c", PLANNER, "plan", "--model", "llama3-7b", "--cluster", "a100-pool"],
}
BARS = (("plan", "imports", 2.0), ("--version", "pass", 4.0), ("--help", "pass", 6.0))


def median_s(arguments: list[str], environment: dict[str, str]) -> float:
    """Median seconds of a fresh process, after one run to warm the file cache (and make the catalog)."""
    times = []
    for repeat in range(REPEATS + 1):
        started = time.perf_counter()
        subprocess.run([sys.executable, *arguments], env=environment, check=True, capture_output=True)
        if repeat:
            times.append(time.perf_counter() - started)
    return statistics.median(times)


def main() -> int:
    """Measure, print, and say whether every bar holds."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PLANNER_DATABASE_URL": f"sqlite:///{folder}/catalog.db"}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package is compiled once, too
        seconds = {name: median_s(arguments, environment) for name, arguments in CASES.items()}
    for name, value in seconds.items():
        print(f"{name:10} {value * 1e3:7.0f} ms")
    missed = 0
    for name, base, bar in BARS:
        ratio = seconds[name] / seconds[base]
        missed += ratio > bar
        print(f"{name} / {base}: {ratio:.2f} (bar {bar:g}){'' if ratio <= bar else '  MISSED'}")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
