"""Tables of memory errors on tracked steps, and the bars that the shipped rows must clear."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from planner.validation.scoring import Score, furthest, grouped, number, spread

WORST_ROWS: Final = 8
STATES_BAR: Final = 0.001
MEDIAN_BAR: Final = 0.02
P95_BAR: Final = 0.05
UNDER_BAR: Final = -0.03
FSDP_PREFIX: Final = "FSDP"
"""`fully_shard` makes a class of its own: FSDPLlamaForCausalLM is LlamaForCausalLM."""

Row = Mapping[str, str]


def memory_summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Peak, saved activations, optimizer states and the instant of the peak, each against its tracked value."""
    peaks = scores(rows, "predicted_peak_bytes", "peak_total_bytes")
    saved = scores(rows, "predicted_saved_after_forward_bytes", "saved_after_forward_bytes")
    states = scores(rows, "predicted_optstate_bytes", "optstate_bytes")
    return {
        "n_rows": len(rows),
        "n_errors": sum(bool(row["error"]) for row in rows),
        "peak": spread([score.error for score in peaks]),
        "saved_after_forward": spread([score.error for score in saved]),
        "optimizer_states": spread([score.error for score in states]),
        "by_class_and_mode": grouped(peaks, model_class=_model_class, mode=mode),
        "when_peak": _when_peak(rows),
        "worst": [_worst(score) for score in furthest(peaks, WORST_ROWS)],
        "errors": _reasons(rows),
    }


def scores(rows: Sequence[Row], predicted: str, measured: str) -> list[Score]:
    """The rows that have both columns, as numbers above zero."""
    pairs = ((row, number(row.get(predicted)), number(row.get(measured))) for row in rows)
    return [Score(row=row, predicted=ours, measured=theirs) for row, ours, theirs in pairs if ours and theirs]


def missed_bars(summary: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for every bar that a memory summary misses."""
    if summary["n_errors"]:
        yield f"{summary['n_errors']} rows have no prediction"
    if not summary["peak"]["n"]:
        yield "no row has a tracked peak"
        return
    found = (
        ("optimizer states, largest error", summary["optimizer_states"]["max_abs_error"] or 0.0, STATES_BAR),
        ("peak, median error", summary["peak"]["median_abs_error"], MEDIAN_BAR),
        ("peak, 95th percentile", summary["peak"]["p95_abs_error"], P95_BAR),
        ("peak, worst under-prediction", -summary["peak"]["worst_under"], -UNDER_BAR),
    )
    for name, value, bar in found:
        if value > bar:
            yield f"{name}: {value:.2%}, more than {bar:.1%}"


def mode(row: Row) -> str:
    """The precision mode, and how it is sharded where the mode does not say so."""
    if (number(row.get("tp")) or 1) > 1:
        return f"{row['mode']}, tensor-parallel"
    sharded = (number(row.get("fsdp_world")) or 1) > 1
    return f"{row['mode']}, FSDP2" if sharded and not row["mode"].startswith("fsdp") else row["mode"]


def _model_class(row: Row) -> str:
    return row.get("model_class", "").removeprefix(FSDP_PREFIX) or row["model"]


def _when_peak(rows: Sequence[Row]) -> dict[str, Any]:
    both = [
        (row["predicted_when_peak"], row["when_peak"], row)
        for row in rows
        if row["predicted_when_peak"] and row.get("when_peak")
    ]
    return {
        "n": len(both),
        "agree": sum(ours == theirs for ours, theirs, _ in both),
        "differ": [
            {"id": row.get("id", row["model"]), "predicted": ours, "measured": theirs}
            for ours, theirs, row in both
            if ours != theirs
        ],
    }


def _worst(score: Score) -> dict[str, Any]:
    return {
        "id": score.row.get("id") or score.row["model"],
        "predicted_bytes": score.predicted,
        "measured_bytes": score.measured,
        "error": score.error,
    }


def _reasons(rows: Sequence[Row]) -> list[dict[str, Any]]:
    counted = Counter(row["error"] for row in rows if row["error"]).most_common()
    return [{"reason": reason, "n": count} for reason, count in counted]
