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
from planner.calibration.fit import ARITHMETIC_KNOTS, FEWEST_RUNS, NETWORK_KNOTS, Array, Fit, Runs, fit
from planner.calibration.steps import step_times_s, steps_at_s
from planner.catalog.engine import shown, writable
from planner.domain.hardware import CALIBRATED_ARITHMETIC, CALIBRATED_NETWORK
from planner.errors import CatalogError, InputError
from planner.importers.runs import read_runs
from planner.runs.evaluate import Group, answer_rows, ask_rows
from planner.runs.questions import Questions
from planner.validation.scoring import Score
from planner.validation.time_summary import throughput_score

if TYPE_CHECKING:
    from planner.catalog.calibrations import CalibrationRow
    from planner.importers.csv_table import CsvTable
    from planner.registry import Registry
    from planner.search.rules import Rules

METRICS: Final = {"arithmetic": CALIBRATED_ARITHMETIC, "network": CALIBRATED_NETWORK}
FURTHEST: Final = 5.0
"""How many times a run may be faster or slower than predicted to be fitted to."""
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
            if not dry_run and not writable(catalog.url):
                # Before the fit, which may take minutes.
                raise CatalogError(
                    f"catalog {shown(catalog.url)} cannot be written", hint="--dry-run fits without keeping anything"
                )
            questions = Questions(catalog, registry)
            found, excluded = fitted(file, registry, questions)
        return Calibration(file=name, date=today, accelerators=found, excluded=excluded, stored=False)

    answer = answered(ask, strict=strict_plugins)
    rows = list(_rows(answer))
    if dry_run or not rows:
        return answer
    calibrations.store(database, rows)
    return replace(answer, stored=True)


def fitted(
    file: CsvTable, registry: Registry, questions: Questions
) -> tuple[tuple[Calibrated, ...], Mapping[str, int]]:
    """Every accelerator of the file, by name; and how many runs cannot be used, by reason."""
    groups, failed = ask_rows(file, registry, questions)
    rows = answer_rows(file, groups, failed, questions.rules).rows
    scores = [throughput_score(row) for row in rows]
    measured_s = {index: _measured_s(score) for index, score in enumerate(scores) if isinstance(score, Score)}
    excluded = Counter(score for score in scores if not isinstance(score, Score))
    models = [row.get("model_name", "") for row in rows]
    members: dict[str, list[Group]] = defaultdict(list)
    times_s: dict[str, dict[int, Array]] = defaultdict(dict)
    for group in groups:
        times = step_times_s([(index, asked) for index, asked in group if index in measured_s], questions.rules)
        near = {index: at for index, at in times.items() if _is_near(at, measured_s[index])}
        excluded.update({f"more than {FURTHEST:g} times off the prediction": len(times) - len(near)})
        if near:
            slug = group[0][1].context.cluster.accelerator.slug
            members[slug].append([(index, asked) for index, asked in group if index in near])
            times_s[slug] |= near
    excluded = +excluded
    if not members:
        why = excluded.most_common(1)
        raise InputError(
            "no run to fit to" + (f": {why[0][0]}" if why else ""), hint="planner evaluate --runs shows each row"
        )
    found = (
        _calibrated(slug, members[slug], questions.rules, times_s[slug], measured_s, models) for slug in sorted(members)
    )
    return tuple(found), dict(excluded.most_common())


def _is_near(times_s: Array, measured_s: float) -> bool:
    """Whether a run is within `FURTHEST` of the planner's own prediction: else a unit slipped, or no factor can mend it."""
    own = float(times_s[ARITHMETIC_KNOTS.index(1.0), NETWORK_KNOTS.index(1.0)])
    return 1 / FURTHEST <= own / measured_s <= FURTHEST


def _measured_s(score: Score) -> float:
    """The measured step time [s]: tokens per step are the row's own, so a measured throughput is a step time too.

    Rounded, so that it is the same whatever was predicted.
    """
    return float(f"{float(score.row['predicted_step_time_s']) * score.predicted / score.measured:.7g}")


def _calibrated(
    slug: str,
    groups: Sequence[Group],
    rules: Rules,
    times_s: Mapping[int, Array],
    measured_s: Mapping[int, float],
    models: Sequence[str],
) -> Calibrated:
    order = sorted(times_s)
    # What is predicted tells configurations apart.
    configurations = tuple(" ".join(f"{time:.9g}" for time in times_s[index].ravel()) for index in order)
    found = fit(
        Runs(
            steps=np.stack([times_s[index] / measured_s[index] for index in order], axis=-1),
            kinds=tuple(_plain(models[index]) for index in order),
            configurations=configurations,
        )
    )
    in_force = groups[0][0][1].context.cluster.accelerator.calibrations
    if found is not None and found.at_the_edge:
        # As far as a fit may go, and not far enough: something else is amiss, which a factor would only hide.
        edges = " and ".join(found.at_the_edge)
        why = f"the {edges} factor would be as far as a fit may go: something else is amiss in these runs"
        return Calibrated(accelerator=slug, n_runs=len(order), fit=found.without(), why_not=why, in_force=in_force)
    if found is not None and found.fitted:
        exact: dict[int, float] = {}
        for group in groups:
            exact |= steps_at_s(group, rules, found.factors)
        found = replace(found, after=np.log([exact[index] / measured_s[index] for index in order]))
    why = _why_not(found, len(set(configurations)))
    return Calibrated(accelerator=slug, n_runs=len(order), fit=found, why_not=why, in_force=in_force)


def _plain(model: str) -> str:
    """A model's name without case and punctuation."""
    return "".join(letter for letter in model.casefold() if letter.isalnum())


def _why_not(found: Fit | None, count: int) -> str:
    if found is None:
        return f"{count} of the {FEWEST_RUNS} different configurations that a fit needs"
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
