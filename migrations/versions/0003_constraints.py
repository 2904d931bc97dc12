"""Stricter constraints.

Revision ID: 0003
Revises: 0002

The tables refuse what no number or date can be: infinity, words in columns of numbers, halves of a layer, the 30th of
February, a rate in the wrong unit, one slug in two shared layers. A user's row that breaks a new rule waits in a table
parked_… beside its own, and with it what makes no sense without it: its names, its rates, the prices of a cluster.
"""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SHARED = sa.text("layer <> 'user'")
Conditions = dict[str, str]
"""The condition of each constraint, by its name."""

FACTS = ("architecture", "link", "vendor", "accelerator", "node", "cluster", "price")
"""The tables of facts of 0001."""
KINDS = {
    "sources": "source", "models": "architecture", "links": "link", "vendors": "vendor", "accelerators": "accelerator",
    "nodes": "node", "clusters": "cluster", "prices": "price",
}  # fmt: skip
"""The table of each kind of entry that has names."""
WITH_SLUGS = ("source", "release", *FACTS)
NUMBERS = (
    "layers", "hidden", "heads", "kv_heads", "head_dim", "ffn_hidden", "vocab", "norms_per_layer", "learned_positions",
    "embedding_width", "window", "window_layers", "max_seq_len", "mtp_layers", "moe_experts", "moe_topk",
    "moe_expert_ffn", "moe_shared_ffn", "moe_first_k_dense", "moe_interval", "mla_q_rank", "mla_kv_rank",
    "mla_nope_dim", "mla_rope_dim", "mla_v_dim",
)  # fmt: skip
TRUTHS = (
    "gated", "final_norm", "embedding_norm", "tied_embeddings", "qkv_bias", "attention_out_bias", "mlp_bias",
    "head_bias", "parallel_residual", "logit_softcap", "attention_softcap", "attention_sinks", "partial_rotary",
    "fused_qkv", "dropout", "moe_shared_gate", "moe_router_bias", "moe_router_float32", "moe_expert_bias",
)  # fmt: skip
PEAK_LIMITS = {
    "fp64": 2e15, "fp32": 5e15, "tf32": 2e16, "bf16": 5e16, "fp16": 5e16, "fp8": 1e17, "int8": 1e17, "fp6": 1e17,
}  # fmt: skip


def upgrade() -> None:
    """Add the constraints, and put aside the rows of the user's own that break them."""
    for table, conditions in stricter().items():
        _park_what_breaks(table, conditions.values())
        _exchange(table, replaced(table), conditions)
    _park_what_belongs_to_it()
    for table in WITH_SLUGS:
        op.create_index(f"ix_{table}_slug", table, ["slug"], unique=True, sqlite_where=SHARED, postgresql_where=SHARED)


def downgrade() -> None:
    """Put the old constraints back."""
    for table in WITH_SLUGS:
        op.drop_index(f"ix_{table}_slug", table_name=table)
    for table, conditions in stricter().items():
        _exchange(table, conditions, replaced(table))


def stricter() -> dict[str, Conditions]:
    """The constraints that the tables of 0001 gain."""
    own: dict[str, Conditions] = {
        "alias": {"says_something": "\"key\" <> '' AND alias <> '' AND slug <> ''"},
        "release": named() | {"released_on_iso": dated("released_on", day=True)},
        "source": named() | {"name_not_empty": "name <> ''"},
        "architecture": whole(1_000_000_000, *NUMBERS) | truth(*TRUTHS),
        "link": at_most(1e16, "bytes_per_s"),
        "vendor": {},
        "accelerator": (
            whole(2**50, "capacity_bytes", "usable_bytes")
            | whole(10_000_000, "compute_units", "scaleup_domain")
            | whole(2_100, "year")
            | at_most(1e16, "memory_bandwidth_bytes_per_s", "scaleup_bytes_per_s", "pcie_bytes_per_s")
            | at_most(1e6, "tdp_w")
        ),
        "peak_rate": {"flop_per_s_plausible": _peak_plausible()},
        "efficiency": at_most(1e18, "achieved_per_s") | {"source_date_iso": dated("source_date")},
        "node": (
            whole(10_000_000, "accelerators_per_node", "scaleup_domain", "nic_count", "vcpus")
            | whole(2**60, "host_memory_bytes")
            | at_most(1e16, "network_bytes_per_s")
        ),
        "cluster": whole(1_000_000_000, "nodes"),
        "price": at_most(10_000, "usd_per_accelerator_hour") | truth("superseded") | {"date_iso": dated("date")},
    }
    return {table: conditions | (of_facts() if table in FACTS else {}) for table, conditions in own.items()}


def replaced(table: str) -> Conditions:
    """The constraints of 0001 that give way to stricter ones of the same purpose."""
    if table not in FACTS:
        return {}
    old = {
        "slug_not_empty": "slug <> ''",
        "source_date_iso": "source_date IS NULL OR length(source_date) IN (4, 7, 10)",
    }
    return old | ({"date_iso": "length(date) IN (4, 7, 10)"} if table == "price" else {})


def _exchange(table: str, gone: Iterable[str], new: Conditions) -> None:
    if op.get_bind().dialect.name == "sqlite":
        _rebuild(table, tuple(gone), new)
        return
    for name in gone:
        op.drop_constraint(op.f(f"ck_{table}_{name}"), table, type_="check")
    for name, condition in new.items():
        op.create_check_constraint(op.f(f"ck_{table}_{name}"), table, condition)


def _rebuild(table: str, gone: tuple[str, ...], new: Conditions) -> None:
    """SQLite cannot alter constraints. Alembic's batch mode would read every table back first, and take ten times as long.

    The definition is 0001's own: one column or constraint a line.
    """
    connection = op.get_bind()
    stored = "SELECT sql FROM sqlite_master WHERE tbl_name = ? AND type = ? AND sql IS NOT NULL"
    indices = connection.exec_driver_sql(stored, (table, "index")).scalars().all()
    definition = connection.exec_driver_sql(stored, (table, "table")).scalars().one()
    _, *lines, _ = definition.strip().split("\n")
    parts = [line.strip().removesuffix(",") for line in lines]
    dropped = tuple(f"CONSTRAINT ck_{table}_{name} CHECK" for name in gone)
    parts = [part for part in parts if not part.startswith(dropped)] if dropped else parts
    parts += [f"CONSTRAINT ck_{table}_{name} CHECK ({condition})" for name, condition in new.items()]
    statements = (
        f'CREATE TABLE "rebuilt_{table}" (\n\t' + ", \n\t".join(parts) + "\n)",
        f'INSERT INTO "rebuilt_{table}" SELECT * FROM "{table}"',
        f'DROP TABLE "{table}"',
        f'ALTER TABLE "rebuilt_{table}" RENAME TO "{table}"',
        *indices,
    )
    for statement in statements:
        connection.exec_driver_sql(statement)


def _park_what_breaks(table: str, conditions: Iterable[str]) -> None:
    broken = " OR ".join(f"NOT ({condition})" for condition in conditions)
    _park(table, f"layer = 'user' AND ({broken})")
    if table == "peak_rate":
        missing = "NOT EXISTS (SELECT 1 FROM accelerator a WHERE a.slug = accelerator AND a.layer = peak_rate.layer)"
        _park(table, f"layer = 'user' AND {missing}")


def _park_what_belongs_to_it() -> None:
    """With a user's row go the prices of a cluster, then the names; else nobody could write the row again."""
    parked = set(sa.inspect(op.get_bind()).get_table_names())
    if "parked_cluster" in parked:
        _park("price", f"layer = 'user' AND {_waits('price.cluster', 'cluster')}")
        parked = set(sa.inspect(op.get_bind()).get_table_names())
    for kind, table in KINDS.items():
        if f"parked_{table}" in parked:
            _park("alias", f"layer = 'user' AND kind = '{kind}' AND {_waits('alias.slug', table)}")


def _waits(slug: str, table: str) -> str:
    still = f"SELECT own.slug FROM \"{table}\" own WHERE own.layer = 'user'"
    return f'{slug} IN (SELECT slug FROM "parked_{table}") AND {slug} NOT IN ({still})'


def _park(table: str, which: str) -> None:
    connection = op.get_bind()
    parked = f"parked_{table}"
    if not connection.execute(sa.text(f'SELECT count(*) FROM "{table}" WHERE {which}')).scalar():
        return
    if sa.inspect(connection).has_table(parked):
        names = ", ".join(f'"{column["name"]}"' for column in sa.inspect(connection).get_columns(table))
        op.execute(sa.text(f'INSERT INTO "{parked}" ({names}) SELECT {names} FROM "{table}" WHERE {which}'))
    else:
        op.execute(sa.text(f'CREATE TABLE "{parked}" AS SELECT * FROM "{table}" WHERE {which}'))
    op.execute(sa.text(f'DELETE FROM "{table}" WHERE {which}'))


def at_most(most: float, *columns: str) -> Conditions:
    """No column is above `most`; infinity, NaN and words are."""
    return {f"{column}_at_most": f'"{column}" <= {most:.0f}' for column in columns}


def whole(most: int, *columns: str) -> Conditions:
    """Each column is a whole number of at most `most`."""
    return {f"{column}_whole": f'"{column}" <= {most} AND round("{column}") = "{column}"' for column in columns}


def truth(*columns: str) -> Conditions:
    """Each column is true or false."""
    return {f"{column}_truth": f'"{column}" IN (true, false)' for column in columns}


def named() -> Conditions:
    """What holds of slug and layer."""
    return {
        "slug_plain": "slug <> '' AND slug = trim(slug) AND length(slug) <= 120",
        "layer_plain": "layer <> '' AND layer = trim(layer) AND length(layer) <= 40",
    }


def of_facts() -> Conditions:
    """What holds of every fact."""
    return named() | {
        "name_not_empty": "name <> ''",
        "source_named": "layer = 'user' OR source <> ''",
        "source_date_iso": dated("source_date"),
    }


def dated(column: str, *, day: bool = False) -> str:
    """The column is a day, month or year that exists; with `day` a day only."""
    digit = "('0', '1', '2', '3', '4', '5', '6', '7', '8', '9')"
    months = ", ".join(f"'{month:02}'" for month in range(1, 13))
    days = ", ".join(f"'{each:02}'" for each in range(1, 32))
    year = f"substr({column}, 1, 2) IN ('19', '20', '21') AND substr({column}, 3, 1) IN {digit}"
    year += f" AND substr({column}, 4, 1) IN {digit}"
    month = f"substr({column}, 5, 1) = '-' AND substr({column}, 6, 2) IN ({months})"
    exists = f"substr({column}, 6, 5) NOT IN ('02-30', '02-31', '04-31', '06-31', '09-31', '11-31')"
    number = f"CAST(substr({column}, 1, 4) AS INTEGER)"
    leap = f"{number} / 4 * 4 = {number} AND substr({column}, 1, 4) NOT IN ('1900', '2100')"
    in_month = f"substr({column}, 8, 1) = '-' AND substr({column}, 9, 2) IN ({days}) AND {exists}"
    whole_day = f"{in_month} AND (substr({column}, 6, 5) <> '02-29' OR {leap})"
    if day:
        return f"length({column}) = 10 AND {year} AND {month} AND {whole_day}"
    return (
        f"{year} AND (length({column}) = 4 OR length({column}) = 7 AND {month} "
        f"OR length({column}) = 10 AND {month} AND {whole_day})"
    )


def _peak_plausible() -> str:
    cases = " ".join(f"WHEN '{name}' THEN {limit:.0f}" for name, limit in PEAK_LIMITS.items())
    return f"flop_per_s >= 1000000000 AND flop_per_s <= CASE format {cases} ELSE 200000000000000000 END"
