"""Rows of the catalog made into the domain's records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, Final, TypeVar

from planner.domain.architecture import Architecture, LatentAttention, MixtureOfExperts
from planner.domain.hardware import Accelerator, Efficiency, Node, Price
from planner.domain.operation import OperationFact

Row = Mapping[str, Any]
Operation = TypeVar("Operation", bound=OperationFact)

BOOLEANS: Final = frozenset(
    {field.name for field in fields(Architecture) if field.type == "bool"}
    | {f"moe_{field.name}" for field in fields(MixtureOfExperts) if field.type == "bool"}
    | {"superseded"}
)
"""Columns that hold truth values, which SQLite gives back as 0 and 1."""


def plain(row: Row) -> dict[str, Any]:
    """A row as a dictionary whose truth values are bool on every database."""
    return {name: bool(value) if name in BOOLEANS and value is not None else value for name, value in row.items()}


def architecture(row: Row) -> Architecture:
    """A row of the table architecture."""
    values = plain(row)
    own = {field.name: values[field.name] for field in fields(Architecture) if field.name not in ("moe", "mla")}
    return Architecture(
        **own,
        moe=None if values["moe_experts"] is None else MixtureOfExperts(**_prefixed(values, "moe_", MixtureOfExperts)),
        mla=None if values["mla_kv_rank"] is None else LatentAttention(**_prefixed(values, "mla_", LatentAttention)),
    )


def architecture_row(model: Architecture) -> dict[str, Any]:
    """The columns of the table architecture that a model's record fills: the way back from `architecture`."""
    row = {field.name: getattr(model, field.name) for field in fields(Architecture) if field.name not in ("moe", "mla")}
    for prefix, part, record in (("moe_", model.moe, MixtureOfExperts), ("mla_", model.mla, LatentAttention)):
        row |= {prefix + field.name: None if part is None else getattr(part, field.name) for field in fields(record)}
    return row


def accelerator(row: Row, peaks: Mapping[str, float], efficiencies: Iterable[Row]) -> Accelerator:
    """A row of the table accelerator with its dense rates and published efficiencies."""
    apart = ("peak_flop_per_s", "efficiencies")
    own = {field.name: row[field.name] for field in fields(Accelerator) if field.name not in apart}
    return Accelerator(**own, peak_flop_per_s=dict(peaks), efficiencies=tuple(map(efficiency, efficiencies)))


def efficiency(row: Row) -> Efficiency:
    """A row of the table efficiency."""
    return Efficiency(**{field.name: row[field.name] for field in fields(Efficiency)})


def node(row: Row, price_of_node: Price | None) -> Node:
    """A row of the table node with its on-demand price."""
    own = {field.name: row[field.name] for field in fields(Node) if field.name not in ("price", "synthetic")}
    return Node(**own, price=price_of_node, synthetic=row["kind"] == "constructed")


def price(row: Row) -> Price:
    """A row of the table price."""
    return Price(**{field.name: row[field.name] for field in fields(Price)})


def operation(record: type[Operation], row: Row) -> Operation:
    """A row of one of the tables of operation, as the `record` that it is made into."""
    return record(**{field.name: row[field.name] for field in fields(record)})


def _prefixed(values: Row, prefix: str, record: Any) -> dict[str, Any]:  # noqa: ANN401 - a dataclass
    return {field.name: values[prefix + field.name] for field in fields(record)}
