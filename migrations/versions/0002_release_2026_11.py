"""Release 2026-11: the first facts.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import csv
import json
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

Row = dict[str, Any]

RELEASE = "2026-11"
# The folder of release files lies beside the one of migrations, in a checkout and in an installed planner alike.
FILES = Path(__file__).resolve().parents[2] / "seed_data" / "releases" / RELEASE
LAYER = "vendor"

ARCHITECTURE_DEFAULTS: Row = {
    "mixer": "gqa", "feed_forward": "mlp", "norms_per_layer": 2, "final_norm": True, "embedding_norm": False,
    "learned_positions": 0, "embedding_width": None, "qkv_bias": False, "attention_out_bias": False,
    "mlp_bias": False, "head_bias": False, "qk_norm": "none", "parallel_residual": False, "logit_softcap": False,
    "attention_softcap": False, "attention_sinks": False, "partial_rotary": False,
    "fused_qkv": False, "dropout": False, "window": None, "window_layers": 0,
    "max_seq_len": None, "mtp_layers": 0, "note": "",
}  # fmt: skip
MOE_DEFAULTS: Row = {
    "shared_ffn": 0, "shared_gate": False, "router_bias": False, "router_float32": False,
    "expert_bias": False, "first_k_dense": 0, "interval": 1,
}  # fmt: skip
MOE = ("experts", "topk", "expert_ffn", *MOE_DEFAULTS)
MLA = ("q_rank", "kv_rank", "nope_dim", "rope_dim", "v_dim")
ACCELERATOR_DEFAULTS: Row = {
    "usable_bytes": None, "tdp_w": None, "compute_units": None, "scaleup_link": None, "scaleup_bytes_per_s": None,
    "pcie_bytes_per_s": None, "reference_node": None,
}  # fmt: skip
INTEGERS = frozenset({
    "accelerators_per_node", "scaleup_domain", "nic_count", "host_memory_bytes", "vcpus", "nodes", "superseded",
})  # fmt: skip
FLOATS = frozenset({"bytes_per_s", "network_bytes_per_s", "usd_per_accelerator_hour", "fraction", "achieved_per_s"})
TEXTS = frozenset({"note", "licence", "region"})
KINDS = {
    "source": "sources", "vendor": "vendors", "link": "links", "architecture": "models",
    "accelerator": "accelerators", "node": "nodes", "cluster": "clusters", "price": "prices",
}  # fmt: skip


def upgrade() -> None:
    """Insert every row of the release, those that others refer to first."""
    for table, rows in _release().items():
        for part in _alike(rows):
            op.bulk_insert(_table(table, part), part)


def downgrade() -> None:
    """Delete the rows of the release and no others, those that refer to others first."""
    connection = op.get_bind()
    for table, rows in reversed(_release().items()):
        keys = _identity(table)
        target = _table(table, rows)
        for row in rows:
            connection.execute(target.delete().where(*(target.c[key] == row[key] for key in keys)))


def _release() -> dict[str, list[Row]]:
    accelerators, peaks = _accelerators()
    tables = {
        "source": _csv("sources"),
        "vendor": _csv("vendors"),
        "link": _csv("links"),
        "architecture": _architectures(),
        "accelerator": accelerators,
        "peak_rate": peaks,
        "efficiency": _csv("efficiencies"),
        "node": _csv("nodes"),
        "cluster": _csv("clusters"),
        "price": [row | {"superseded": bool(row["superseded"])} for row in _csv("prices")],
    }
    for rows in tables.values():
        for row in rows:
            _stamp(row)
    tables["alias"] = list(_aliases(tables))
    tables["release"] = [
        {"slug": RELEASE, "layer": LAYER, "revision": revision, "released_on": "2026-11-24", "note": "the first facts"}
    ]
    return tables


def _stamp(row: Row) -> None:
    """Put the row, and what it refers to, into the layer of released facts."""
    row["layer"] = LAYER
    for column in ("document", "vendor", "scaleup_link", "node", "cluster"):
        if column in row:
            row[f"{column}_layer"] = LAYER if row[column] is not None else None
    if "accelerator" in row and "flop_per_s" not in row:
        row["accelerator_layer"] = LAYER


def _csv(name: str) -> list[Row]:
    with (FILES / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return [{column: _value(column, text) for column, text in row.items()} for row in csv.DictReader(file)]


def _value(column: str, text: str) -> object:
    if not text:
        return "" if column in TEXTS else None
    if column in INTEGERS:
        return int(text)
    return float(text) if column in FLOATS else text


def _json(name: str) -> list[Row]:
    found: list[Row] = json.loads((FILES / f"{name}.json").read_text(encoding="utf-8"))
    return found


def _architectures() -> list[Row]:
    rows = []
    for given in _json("architectures"):
        row = ARCHITECTURE_DEFAULTS | given
        moe, mla = row.pop("moe", None), row.pop("mla", None)
        experts = MOE_DEFAULTS | moe if moe else {}
        row |= {f"moe_{name}": experts.get(name) for name in MOE}
        row |= {f"mla_{name}": (mla or {}).get(name) for name in MLA}
        rows.append(row)
    return rows


def _accelerators() -> tuple[list[Row], list[Row]]:
    rows, peaks = [], []
    for given in _json("accelerators"):
        rates = given.pop("peak_flop_per_s")
        rows.append(ACCELERATOR_DEFAULTS | {"note": ""} | given)
        peaks += [{"accelerator": given["slug"], "format": name, "flop_per_s": float(r)} for name, r in rates.items()]
    return rows, peaks


def _aliases(tables: dict[str, list[Row]]) -> Iterator[Row]:
    for table, kind in KINDS.items():
        for row in tables[table]:
            yield _alias(kind, row["slug"], row["slug"], "slug")
    for row in _csv("aliases"):
        yield _alias(row["kind"], row["alias"], row["slug"], "alias")


def _alias(kind: str, alias: str, slug: str, role: str) -> Row:
    return {"kind": kind, "key": _key(alias), "layer": LAYER, "alias": alias, "slug": slug, "role": role}


def _key(name: str) -> str:
    """The name as it is looked up: no case, no punctuation, no parentheses; a decimal point stays in its number."""
    text = re.sub(r"\([^)]*\)", "", unicodedata.normalize("NFKC", name).casefold())
    key = ""
    for word in re.findall(r"\d+(?:\.\d+)*|[^\W\d_]+", text):
        key += f"-{word}" if key[-1:].isdigit() and word[0].isdigit() else word
    return key


def _identity(table: str) -> tuple[str, ...]:
    special = {
        "peak_rate": ("accelerator", "layer", "format"),
        "efficiency": ("accelerator", "layer", "metric", "format", "condition"),
        "alias": ("kind", "key", "layer"),
    }
    return special.get(table, ("slug", "layer"))


def _table(name: str, rows: list[Row]) -> sa.TableClause:
    return sa.table(name, *(sa.column(column) for column in rows[0]))


def _alike(rows: list[Row]) -> Iterator[list[Row]]:
    """Rows in runs of the same columns: one statement inserts each run."""
    start = 0
    for index in range(1, len(rows) + 1):
        if index == len(rows) or rows[index].keys() != rows[start].keys():
            yield rows[start:index]
            start = index
