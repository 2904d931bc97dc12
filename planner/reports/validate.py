"""The answer of `planner validate`: tables of errors for people, rows with their predictions for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from planner.reports.blocks import Block, Column, Facts, Heading, Paragraph, Report, Table, left, right, wrapped
from planner.reports.figures import NOTHING, percent, share
from planner.reports.runs import Runs
from planner.reports.runs import report as rows_report
from planner.units import GIB

SCHEMA: Final = "planner.validate/1"
_MOST_REASONS: Final = 12
_RATES: Final = (
    ("n", "rows"), ("median_error", "median"), ("median_abs_error", "median |e|"), ("p90_abs_error", "p90 |e|"),
)  # fmt: skip
_BYTES: Final = (
    ("n", "rows"), ("median_abs_error", "median |e|"), ("p95_abs_error", "p95 |e|"), ("max_abs_error", "max |e|"),
    ("worst_under", "worst under"),
)  # fmt: skip
_TIMED: Final = (*_RATES, ("covered", "in range"))
_SIGNED: Final = frozenset({"median_error", "worst_under", "error"})
_TIME_TABLES: Final = (
    ("by_source", "source"), ("by_framework", "framework"), ("by_accelerator", "accelerator"), ("by_family", "family"),
    ("by_scale", "n_gpus"), ("by_statement", "configuration"),
)  # fmt: skip
_TITLES: Final = {"n_gpus": "number of GPUs", "configuration": "what the row states", "measured_as": "tool"}

Summary = Mapping[str, Any]


class Validated(Runs, Protocol):
    """Rows with their predictions, and the tables that sum them up by kind."""

    @property
    def summary(self) -> Mapping[str, Summary]:
        """``memory``, ``time``, ``device_memory``: those that were asked for."""


def report(validation: Validated) -> Report:
    """Tables of errors; JSON and YAML hold the rows besides, CSV the rows alone."""
    rows = rows_report(validation)
    document = {"schema": SCHEMA, "summary": dict(validation.summary), "rows": rows.document["rows"]}
    return Report(document=document, blocks=tuple(_blocks(validation.summary)), flat=rows.flat)


def _blocks(summary: Mapping[str, Summary]) -> Iterator[Block]:
    yield Paragraph("Errors e are predicted / measured − 1; under is a prediction that is too low.")
    if "memory" in summary:
        yield from _memory_blocks(summary["memory"])
    if "time" in summary:
        yield from _time_blocks(summary["time"])
    if "device_memory" in summary:
        yield from _device_blocks(summary["device_memory"])
    yield Heading("The rows with their predictions: add --format csv -o FILE")


def _memory_blocks(memory: Summary) -> Iterator[Block]:
    yield Heading(f"Memory of {memory['n_rows']:,} tracked steps")
    when = memory["when_peak"]
    agreement = (
        f"the same phase in {when['agree']:,} of {when['n']:,} rows ({percent(share(when['agree'], when['n']))})"
    )
    yield Facts(
        (
            ("peak", _bytes_line(memory["peak"])),
            ("saved after forward", _bytes_line(memory["saved_after_forward"])),
            ("optimizer states", _bytes_line(memory["optimizer_states"])),
            ("when it peaks", agreement),
            ("without a prediction", f"{memory['n_errors']:,} rows"),
        )
    )
    yield from _spread_table(
        "Peak by model class and mode", memory["by_class_and_mode"], ("model_class", "mode"), _BYTES, digits=2
    )
    yield from _worst_bytes("Peaks furthest off", memory["worst"])
    if when["differ"]:
        yield Heading("Rows that peak in another phase")
        differing = tuple((_shown_id(row["id"]), row["predicted"], row["measured"]) for row in when["differ"])
        yield Table(columns=(wrapped("row"), left("predicted"), left("measured")), rows=differing)
    yield from _reasons("Rows without a prediction", memory["errors"])


def _time_blocks(time: Summary) -> Iterator[Block]:
    throughput, parts = time["throughput"], time["held_out"]
    yield Heading(f"Throughput of {time['n_rows']:,} measured runs")
    excluded = sum(row["n"] for row in time["excluded"])
    yield Facts(
        (
            ("scored", f"{throughput['n']:,} runs; {excluded:,} are not, see below"),
            ("all sources", _rates_line(throughput)),
            ("sources held out", f"{_rates_line(parts['held_out'])} ({parts['held_out']['n']:,} runs)"),
            ("sources fitted to", f"{_rates_line(parts['fitted'])} ({parts['fitted']['n']:,} runs)"),
            ("range", _range_line(time["range"], time["held_out"]["held_out_range"])),
            ("fitted constants", ", ".join(fit["constant"] for fit in parts["constants"]) or "none"),
            *(("your calibration", text) for text in time["calibrations"]),
        )
    )
    figures = _TIMED if time["range"]["n_bounded"] else _RATES
    for name, title in _TIME_TABLES:
        heading = f"Throughput by {_TITLES.get(title, title)}"
        yield from _spread_table(heading, time[name], (title,), figures, digits=1)
    yield from _worst_rates(time["worst"])
    yield from _reasons("Runs that are not scored", time["excluded"])


def _range_line(found: Summary, held_out: Summary) -> str:
    if not found["n_bounded"]:
        return "not asked for"
    unseen = (
        f" ({percent(held_out['covered'])} of the {held_out['n_bounded']:,} held out)" if held_out["n_bounded"] else ""
    )
    return (
        f"{percent(found['covered'])} of {found['n_bounded']:,} measured values{unseen} lie between the fastest and the slowest "
        f"prediction, which are {found['median_width']:.2f} x apart in the median"
    )


def _device_blocks(device: Summary) -> Iterator[Block]:
    if not device["peak"]["n"] and not device["excluded"]:
        return
    yield Heading("Peak memory measured on devices")
    yield Facts((("all sources", _bytes_line(device["peak"])),))
    yield from _spread_table(
        "Measured peak by framework and tool", device["by_framework"], ("framework", "measured_as"), _BYTES, digits=1
    )
    yield from _spread_table("Measured peak by family", device["by_family"], ("family",), _BYTES, digits=1)
    yield from _spread_table("Measured peak by source", device["by_source"], ("source",), _BYTES, digits=1)
    yield from _spread_table(
        "Measured peak by what the row states", device["by_statement"], ("configuration",), _BYTES, digits=1
    )
    yield from _worst_bytes("Measured peaks furthest off", device["worst"])
    yield from _reasons("Measured peaks that are not scored", device["excluded"])


def _spread_table(
    title: str, rows: Sequence[Summary], labels: Sequence[str], figures: Sequence[tuple[str, str]], *, digits: int
) -> Iterator[Block]:
    if not rows:
        return
    yield Heading(title)
    columns = (
        *(left(_TITLES.get(label, label.replace("_", " "))) for label in labels),
        *(right(name) for _, name in figures),
    )
    cells = tuple(
        (*(str(row[label]) for label in labels), *(_figure(name, row[name], digits) for name, _ in figures))
        for row in rows
    )
    yield Table(columns=columns, rows=cells)


def _worst_bytes(title: str, rows: Sequence[Summary]) -> Iterator[Block]:
    if rows:
        yield Heading(title)
        columns = (wrapped("row"), right("predicted"), right("measured"), right("e"))
        cells = tuple(
            (_shown_id(row["id"]), _gib(row["predicted_bytes"]), _gib(row["measured_bytes"]), _signed(row["error"], 2))
            for row in rows
        )
        yield Table(columns=columns, rows=cells)


def _worst_rates(rows: Sequence[Summary]) -> Iterator[Block]:
    if rows:
        yield Heading("Throughputs furthest off, in tokens/s per GPU")
        columns: tuple[Column, ...] = (
            left("row"), wrapped("model"), left("accelerator"), right("GPUs"), right("predicted"), right("measured"),
            right("e"),
        )  # fmt: skip
        cells = tuple(
            (
                row["id"], row["model"], row["accelerator"], row["n_gpus"],
                f"{row['predicted_tokens_per_s_per_gpu']:,.0f}", f"{row['measured_tokens_per_s_per_gpu']:,.0f}",
                _signed(row["error"], 1),
            )
            for row in rows
        )  # fmt: skip
        yield Table(columns=columns, rows=cells)


def _reasons(title: str, reasons: Sequence[Summary]) -> Iterator[Block]:
    if not reasons:
        return
    yield Heading(title)
    shown = tuple((f"{row['n']:,}", row["reason"]) for row in reasons[:_MOST_REASONS])
    yield Table(columns=(right("rows"), wrapped("why")), rows=shown)
    rest = reasons[_MOST_REASONS:]
    if rest:
        yield Paragraph(f"and {sum(row['n'] for row in rest):,} rows for {len(rest):,} more reasons")


def _bytes_line(figures: Summary) -> str:
    if not figures["n"]:
        return "no row has it"
    return (
        f"median |e| {_plain(figures['median_abs_error'], 2)}, p95 {_plain(figures['p95_abs_error'], 2)}, "
        f"max {_plain(figures['max_abs_error'], 2)}, worst under {_signed(figures['worst_under'], 2)} "
        f"({figures['n']:,} rows)"
    )


def _rates_line(figures: Summary) -> str:
    if not figures["n"]:
        return "no run can be scored"
    return (
        f"median {_signed(figures['median_error'], 1)}, median |e| {_plain(figures['median_abs_error'], 1)}, "
        f"p90 {_plain(figures['p90_abs_error'], 1)}"
    )


def _figure(name: str, value: float | None, digits: int) -> str:
    if value is None:
        return NOTHING
    if name == "n":
        return f"{value:,}"
    if name == "worst_under" and value == 0.0:
        return NOTHING
    return _signed(value, digits) if name in _SIGNED else _plain(value, digits)


def _plain(fraction: float, digits: int) -> str:
    return f"{fraction:.{digits}%}".replace("%", " %")


def _signed(fraction: float, digits: int) -> str:
    return f"{fraction:+.{digits}%}".replace("%", " %")


def _gib(count: float) -> str:
    return f"{count / GIB:,.2f} GiB"


def _shown_id(name: str) -> str:
    # Bars glue the parts of an id to one word, which could not be wrapped.
    return name.replace("|", " ")
