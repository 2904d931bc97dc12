"""From a file of measured runs to dated factors in the user's layer of the catalog."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

import numpy as np

from planner.calibration.answer import Calibrated, Calibration
from planner.calibration.fit import FEWEST_RUNS, Array, Fit, Runs, fit
from planner.calibration.steps import step_times_s, steps_at_s
from planner.domain.hardware import CALIBRATED_ARITHMETIC, CALIBRATED_NETWORK
from planner.importers.runs import read_runs
from planner.runs.evaluate import Group, answer_rows, ask_rows
from planner.runs.questions import Questions
from planner.validation.scoring import Score
from planner.validation.time_summary import throughput_score

if TYPE_CHECKING:
    from planner.catalog.calibrations import CalibrationRow
    from planner.importers.csv_table import CsvTable
    from planner.registry import Registry
    from planner.search.evaluation import Rules

METRICS: Final = {"arithmetic": CALIBRATED_ARITHMETIC, "network": CALIBRATED_NETWORK}
STANDARD_INPUT_NAME: Final = "standard input"


def calibrate(
    path: str, *, database: str | None = None, strict_plugins: bool = False, dry_run: bool = False
) -> Calibration:
    """Fit the factors of every accelerator in the CSV file `path` and, unless `dry_run`, keep them in the catalog.

    Factors that runs held out do not confirm are not kept. Raises InputError for a file that cannot be read or that has no run
    to fit to, CatalogError where the catalog cannot be written, PluginError.
    """
    from planner.catalog import calibrations
    from planner.catalog.reader import Catalog
    from planner.isolation import answered

    file = read_runs(path)
    name = STANDARD_INPUT_NAME if path == "-" else PurePath(path).name
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()

    def ask(registry: Registry) -> Calibration:
        with Catalog.open(database, branches=registry.branch_directories) as catalog:
            questions = Questions(catalog, registry)
            found, excluded = fitted(file, registry, questions)
        return Calibration(file=name, date=today, accelerators=found, excluded=excluded, stored=False)

    answer = answered(ask, strict=strict_plugins)
    rows = list(_rows(answer))
    if dry_run or not rows:
        return answer
    calibrations.store(database, rows)
    return Calibration(file=name, date=today, accelerators=answer.accelerators, excluded=answer.excluded, stored=True)


def fitted(
    file: CsvTable, registry: Registry, questions: Questions
) -> tuple[tuple[Calibrated, ...], Mapping[str, int]]:
    """Every accelerator of the file, by name; and how many runs cannot be used, by reason."""
    groups, failed = ask_rows(file, registry, questions)
    rows = answer_rows(file, groups, failed, questions.rules).rows
    scores = [throughput_score(row) for row in rows]
    measured_s = {index: _measured_s(score) for index, score in enumerate(scores) if isinstance(score, Score)}
    excluded = Counter(score for score in scores if not isinstance(score, Score))
    by_accelerator: dict[str, list[Group]] = defaultdict(list)
    for group in groups:
        if usable := [(index, asked) for index, asked in group if index in measured_s]:
            by_accelerator[usable[0][1].context.cluster.accelerator.slug].append(usable)
    models = [row.get("model_name", "") for row in rows]
    found = (
        _calibrated(slug, its_groups, questions.rules, measured_s, models)
        for slug, its_groups in sorted(by_accelerator.items())
    )
    return tuple(found), dict(excluded.most_common())


def _measured_s(score: Score) -> float:
    """The measured step time [s]: tokens per step are the row's own, so a measured throughput is a step time too.

    Rounded, so that it is the same whatever was predicted.
    """
    return float(f"{float(score.row['predicted_step_time_s']) * score.predicted / score.measured:.7g}")


def _calibrated(
    slug: str, groups: Sequence[Group], rules: Rules, measured_s: Mapping[int, float], models: Sequence[str]
) -> Calibrated:
    steps: dict[int, Array] = {}
    for group in groups:
        steps |= {index: times / measured_s[index] for index, times in step_times_s(group, rules).items()}
    order = sorted(steps)
    runs = Runs(
        steps=np.stack([steps[index] for index in order], axis=-1), kinds=tuple(models[index] for index in order)
    )
    found = fit(runs)
    if found is not None and found.fitted:
        exact: dict[int, float] = {}
        for group in groups:
            exact |= steps_at_s(group, rules, found.factors)
        found = replace(found, after=np.log([exact[index] / measured_s[index] for index in order]))
    return Calibrated(accelerator=slug, n_runs=len(order), fit=found, why_not=_why_not(found, len(order)))


def _why_not(found: Fit | None, count: int) -> str:
    if found is None:
        return f"{count} of the {FEWEST_RUNS} runs that a fit needs"
    return "" if found.fitted else "no factor does better on runs held out"


def _rows(answer: Calibration) -> Iterable[CalibrationRow]:
    from planner.catalog.calibrations import CalibrationRow

    for each in answer.accelerators:
        if each.fit is None:
            continue
        summary = each.to_dict()
        before, held_out = (summary[name]["median_abs_error"] for name in ("before", "held_out"))
        for name in each.fit.fitted:
            yield CalibrationRow(
                accelerator=each.accelerator,
                metric=METRICS[name],
                fraction=round(getattr(each.fit.factors, name), 6),
                condition=f"{each.n_runs} runs of {answer.file}",
                date=answer.date,
                note=f"median |e| of throughput {before:.1%} before, {held_out:.1%} on runs held out",
            )
