"""Tables of throughput errors on measured runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from planner.validation import run_facts
from planner.validation.fits import FITS, fitted
from planner.validation.run_facts import Row, reason_kind, unfit
from planner.validation.scoring import Score, coverage, furthest, grouped, number, spread

WORST_ROWS: Final = 15
MEASURED: Final = ("step_time_s", "tokens_per_s_per_gpu", "tokens_per_s_total", "samples_per_s")
NOTHING_MEASURED: Final = "neither a step time nor a throughput"


def time_summary(rows: Sequence[Row], ranges: Sequence[tuple[float, float] | None] = ()) -> dict[str, Any]:
    """Throughput by source, framework, accelerator, family and scale; the worst rows; which rows do not count and why.

    `ranges` holds the shortest and the longest step [s] of each row, where they were asked for.
    """
    scores: list[Score] = []
    excluded: Counter[str] = Counter()
    for row, between in zip(rows, ranges or [None] * len(rows), strict=True):
        scored = throughput_score(row)
        if isinstance(scored, Score) and between is not None:
            scored = _bounded(scored, between)
        if isinstance(scored, Score):
            scores.append(scored)
        else:
            excluded[scored] += 1
    return {
        "n_rows": len(rows),
        "throughput": spread([score.error for score in scores]),
        "range": coverage(scores),
        "held_out": _held_out(scores),
        "calibrations": sorted({part for row in rows for part in run_facts.calibrations(row)}),
        "by_source": grouped(scores, source=run_facts.source),
        "by_framework": grouped(scores, framework=run_facts.framework),
        "by_accelerator": grouped(scores, accelerator=run_facts.accelerator),
        "by_family": grouped(scores, family=run_facts.family),
        "by_scale": sorted(grouped(scores, n_gpus=run_facts.scale), key=lambda group: _lowest(group["n_gpus"])),
        "by_statement": grouped(scores, configuration=run_facts.stated),
        "worst": [_worst(score) for score in furthest(scores, WORST_ROWS)],
        "excluded": [{"reason": reason, "n": count} for reason, count in excluded.most_common()],
    }


def throughput_score(row: Row) -> Score | str:
    """A run's tokens per second and GPU, predicted and measured; else why it is not scored.

    The measured value is the first of `MEASURED` that the row has.
    """
    column = next((name for name in MEASURED if number(row.get(name))), None)
    why = unfit(row) or _unmeasured(row, column)
    if column is None or why:
        return why or NOTHING_MEASURED
    predicted, step_s = number(row.get("predicted_tokens_per_s_per_gpu")), number(row.get("predicted_step_time_s"))
    if row.get("error") or predicted is None or step_s is None:
        return f"error: {reason_kind(row.get('error') or 'no prediction')}"
    return Score(row=row, predicted=predicted, measured=_measured(row, column, predicted, step_s))


def _bounded(score: Score, between: tuple[float, float]) -> Score:
    """The score with the throughput of the longest and of the shortest step."""
    shortest_s, longest_s = between
    tokens = score.predicted * float(score.row["predicted_step_time_s"])
    return replace(score, least=tokens / longest_s, most=tokens / shortest_s)


def _unmeasured(row: Row, column: str | None) -> str | None:
    if column is None:
        return NOTHING_MEASURED
    if column == "step_time_s" and not number(row.get("global_batch")):
        return "a step time without the global batch that it belongs to"
    if column == "samples_per_s" and not number(row.get("seq_len")):
        return "samples per second without the length of one"
    return None


def _measured(row: Row, column: str, predicted: float, predicted_step_s: float) -> float:
    """Tokens per second and GPU as measured; a step time is turned into them by the prediction's own tokens per step."""
    value, n_gpus = float(row[column]), number(row.get("n_gpus")) or 1.0
    match column:
        case "step_time_s":
            return predicted * predicted_step_s / value
        case "tokens_per_s_per_gpu":
            return value
        case "tokens_per_s_total":
            return value / n_gpus
    return value * float(row["seq_len"]) / n_gpus


def _held_out(scores: Sequence[Score]) -> dict[str, Any]:
    """The figures of the sources that no constant has seen, apart from those that one was fitted to."""
    unseen = [score for score in scores if not fitted(score.row)]
    return {
        "constants": [{"constant": fit.constant, "fitted_to": list(fit.rows)} for fit in FITS],
        "fitted": spread([score.error for score in scores if fitted(score.row)]),
        "held_out": spread([score.error for score in unseen]),
        "held_out_range": coverage(unseen),
    }


def _lowest(decade: str) -> int:
    digits = decade.split(" ")[0].replace(",", "")
    return int(digits) if digits.isdigit() else 0


def _worst(score: Score) -> dict[str, Any]:
    return {
        "id": score.row.get("id", ""),
        "model": score.row.get("model_name", ""),
        "accelerator": run_facts.accelerator(score.row),
        "n_gpus": score.row.get("n_gpus", ""),
        "predicted_tokens_per_s_per_gpu": score.predicted,
        "measured_tokens_per_s_per_gpu": score.measured,
        "error": score.error,
    }
