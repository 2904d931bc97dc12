"""How far the predicted memory is from what PyTorch's tracker counts: python benchmarks/accuracy_memory.py.

Predicts every row of the tracked steps that ship with the planner, prints the tables of `planner validate --what memory`
and exits with status 1 if a bar is missed. On tracked steps: optimizer states within 0.1 %, peak within 2 % in the median and
5 % at the 95th percentile, no peak more than 3 % too low. On published peaks: 8 % in the median.
"""

from __future__ import annotations

import sys
import tempfile
from functools import partial
from pathlib import Path

from planner import api
from planner.reports.formats import render
from planner.reports.ink import Ink
from planner.reports.validate import report
from planner.validation import device_memory, memory_summary
from planner.validation.validate import validate


def main() -> int:
    """Print the tables, then each bar that is missed; the number of them decides the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        # A catalog of its own: what a user changed in theirs must not change the figures.
        database = f"sqlite:///{Path(folder).as_posix()}/catalog.db"
        answer = validate("memory", partial(api.evaluate_runs, database=database), database=database)
    print(render(report(answer), "text", ink=Ink(enabled=False)), end="")
    missed = [
        *memory_summary.missed_bars(answer.summary["memory"]),
        *device_memory.missed_bars(answer.summary["device_memory"]),
    ]
    for sentence in missed:
        print(f"missed: {sentence}")
    if not missed:
        print("All bars are met.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
