"""The answer of `planner calibrate`: by accelerator the factors, the errors before and after, and what happened to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from planner.reports.blocks import Block, Facts, Flat, Heading, Paragraph, Report, Table, left, right, wrapped
from planner.reports.figures import NOTHING

FORGOTTEN_SCHEMA: Final = "planner.calibrate.forget/1"
_SIZES: Final = ("median_abs_error", "mean_abs_error", "p90_abs_error")
_STAGES: Final = (("before", "before"), ("after", "after"), ("held_out", "held out"))

COLUMNS: Final = (
    "accelerator", "n_runs", "arithmetic", "network",
    *(f"{figure}_{stage}" for figure in _SIZES for stage, _ in _STAGES), "why_not",
)  # fmt: skip

Entry = Mapping[str, Any]


def report(document: Mapping[str, Any], *, dry_run: bool) -> Report:
    """A ``planner.calibrate/1`` document for every format; CSV has one row per accelerator."""
    flat = Flat(columns=COLUMNS, rows=tuple(_flat(entry) for entry in document["accelerators"]))
    return Report(document=document, blocks=tuple(_blocks(document, dry_run)), flat=flat)


def forgotten(accelerators: Sequence[str]) -> Report:
    """Which accelerators a calibration was removed of."""
    document = {"schema": FORGOTTEN_SCHEMA, "accelerators": list(accelerators)}
    text = f"Forgotten: the calibrations of {', '.join(accelerators)}" if accelerators else "There is no calibration."
    rows = tuple({"accelerator": name} for name in accelerators)
    return Report(document=document, blocks=(Paragraph(text),), flat=Flat(columns=("accelerator",), rows=rows))


def _blocks(document: Mapping[str, Any], dry_run: bool) -> Iterator[Block]:
    entries: Sequence[Entry] = document["accelerators"]
    yield Paragraph("A factor multiplies the predicted rate: below 1, your machines are slower than predicted.")
    if entries:
        yield Heading("Factors")
        titles = ("runs", "over network", "arithmetic", "network")
        factors = tuple(_factors(entry) for entry in entries)
        yield Table(columns=(left("accelerator"), *map(right, titles)), rows=factors)
    compared = [entry for entry in entries if "before" in entry]
    if compared:
        yield Heading("Errors of throughput, |predicted / measured − 1|")
        figures = map(right, ("median", "median |e|", "mean |e|", "p90 |e|"))
        errors = tuple(row for entry in compared for row in _errors(entry))
        yield Table(columns=(left("accelerator"), left("factors"), *figures, wrapped("")), rows=errors)
    remarks = tuple(remark for entry in entries for remark in _remarks(entry, document["stored"]))
    if remarks:
        yield Heading("Beside this")
        yield Table(columns=(left("accelerator"), wrapped("what")), rows=remarks)
    if document["excluded"]:
        yield Heading("Runs that are not used")
        rows = tuple((f"{row['n']:,}", row["reason"]) for row in document["excluded"])
        yield Table(columns=(right("runs"), wrapped("why")), rows=rows)
    yield Heading("Catalog")
    yield Facts((("calibration", _kept(document, dry_run)),))


def _kept(document: Mapping[str, Any], dry_run: bool) -> str:
    fitted = [entry["accelerator"] for entry in document["accelerators"] if entry["fitted"]]
    if document["stored"]:
        return f"{', '.join(fitted)}: kept as of {document['date']}, used from now on; planner calibrate --forget removes it"
    if not fitted:
        return "nothing to keep: the catalog is as it was"
    return "not kept (--dry-run)" if dry_run else "not kept"


def _factors(entry: Entry) -> tuple[str, ...]:
    fitted = entry["fitted"]
    cells = (f"{fitted[name]:.2f}" if name in fitted else NOTHING for name in ("arithmetic", "network"))
    over = entry.get("n_runs_over_network")
    return (entry["accelerator"], f"{entry['n_runs']:,}", NOTHING if over is None else f"{over:,}", *cells)


def _errors(entry: Entry) -> Iterator[tuple[str, ...]]:
    # Without a factor all three are the same.
    for key, name in _STAGES if entry["fitted"] else _STAGES[:1]:
        figures = entry[key]
        folds = f"{figures['folds']} folds of {figures['folds_of']}" if key == "held_out" else ""
        signed = f"{100 * figures['median_error']:+.1f} %"
        sizes = (f"{100 * figures[each]:.1f} %" for each in _SIZES)
        yield (entry["accelerator"], name, signed, *sizes, folds)


def _remarks(entry: Entry, stored: bool) -> Iterator[tuple[str, str]]:
    if entry["why_not"]:
        yield entry["accelerator"], f"not calibrated: {entry['why_not']}"
    for row in entry["earlier"]:
        what = "replaces" if stored and entry["fitted"] else "still in force:"
        yield entry["accelerator"], f"{what} {row['metric']} {row['fraction']:g} ({row['source']})"


def _flat(entry: Entry) -> dict[str, Any]:
    errors = {f"{figure}_{key}": entry.get(key, {}).get(figure) for figure in _SIZES for key, _ in _STAGES}
    factors = {name: entry["fitted"].get(name) for name in ("arithmetic", "network")}
    return {
        "accelerator": entry["accelerator"],
        "n_runs": entry["n_runs"],
        **factors,
        **errors,
        "why_not": entry["why_not"],
    }
