"""A user's row shadows a fact; what a revision does to that fact is said, noted, and settled by the user alone."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from catalog.databases import MAKER, branch, contents, execute

from planner.catalog.calibrations import CalibrationRow, store
from planner.catalog.findings import WARNING
from planner.catalog.integrity import check
from planner.catalog.overrides import acknowledge
from planner.catalog.reader import Catalog
from planner.catalog.upgrade import downgrade, upgrade
from planner.errors import CatalogError, CatalogWarning

NAMED = (
    "INSERT INTO alias (kind, key, layer, alias, slug, role) "
    "VALUES ('accelerators', 'acme1', 'acme', 'acme-1', 'acme-1', 'slug')"
)
SECOND = """
from alembic import op

revision, down_revision, branch_labels, depends_on = "acme_0002", "acme_0001", None, None


def upgrade():
    op.execute("{up}")


def downgrade():
    op.execute("{down}")
"""
FASTER = SECOND.format(
    up="UPDATE accelerator SET tdp_w = 450, note = 'corrected' WHERE slug = 'acme-1' AND layer = 'acme'",
    down="UPDATE accelerator SET tdp_w = NULL, note = '' WHERE slug = 'acme-1' AND layer = 'acme'",
)
OWN = (
    "INSERT INTO accelerator (slug, layer, name, source, confidence, note, vendor, architecture, year, form_factor, "
    "capacity_bytes, memory_type, memory_bandwidth_bytes_per_s, scaleup_domain, tdp_w) VALUES "
    "('acme-1', 'user', 'Mine', 'me', 'high', '', 'acme', 'first', 2026, 'PCIe', {capacity}, 'HBM', 1e12, 1, {tdp})"
)


@pytest.fixture
def acme(any_url: str, tmp_path: Path) -> dict[str, Path]:
    """A plugin's branch at its first revision, with an accelerator acme-1; its second revision is at hand."""
    extra = MAKER.format(label="acme", vendor="acme", layer="acme") + f'    op.execute("{NAMED}")\n'
    branches = {"acme": branch(tmp_path / "versions", "acme", extra=extra)}
    upgrade(any_url, branches=branches)
    (tmp_path / "versions" / "acme_0002.py").write_text(FASTER)
    return branches


def upgraded(url: str, branches: dict[str, Path]) -> list[str]:
    """The warnings of an upgrade."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        upgrade(url, branches=branches)
    assert all(each.category is CatalogWarning for each in caught)
    return [str(each.message) for each in caught]


def test_a_changed_fact_that_a_users_row_shadows_is_said_and_noted(any_url: str, acme: dict[str, Path]) -> None:
    execute(any_url, OWN.format(capacity=2048, tdp=400))
    own = [row for row in contents(any_url)["accelerator"] if row[1] == "user"]
    (said,) = upgraded(any_url, acme)
    assert "accelerators acme-1 (tdp_w was unknown, is 450; acme_0002)" in said
    assert "yours still count" in said
    (found,) = check(any_url, branches=acme).findings
    assert (found.check, found.severity, found.rows) == ("user rows", WARNING, 1)
    assert found.examples == ("accelerators acme-1 (tdp_w was unknown, is 450; acme_0002)",)
    assert [row for row in contents(any_url)["accelerator"] if row[1] == "user"] == own
    with Catalog.open(any_url, branches=acme) as catalog:
        assert catalog.accelerator("acme-1").capacity_bytes == 2048
    assert upgraded(any_url, acme) == []


@pytest.mark.parametrize(
    "settle",
    ["UPDATE accelerator SET tdp_w = 500 WHERE layer = 'user'", "DELETE FROM accelerator WHERE layer = 'user'"],
)
def test_changing_or_removing_the_row_settles_it(any_url: str, acme: dict[str, Path], settle: str) -> None:
    execute(any_url, OWN.format(capacity=2048, tdp=400))
    upgraded(any_url, acme)
    execute(any_url, settle)
    assert check(any_url, branches=acme).findings == ()


def test_a_downgrade_takes_the_note_back(any_url: str, acme: dict[str, Path]) -> None:
    execute(any_url, OWN.format(capacity=2048, tdp=400))
    before = contents(any_url)
    upgraded(any_url, acme)
    downgrade(any_url, "acme@-1", branches=acme)
    after = contents(any_url)
    assert after == before | {"catalog_state": after["catalog_state"]}


def test_a_fact_that_becomes_what_the_user_wrote_is_no_conflict(any_url: str, acme: dict[str, Path]) -> None:
    execute(any_url, OWN.format(capacity=1024, tdp=450))
    assert upgraded(any_url, acme) == []


TAKEN_BACK = FASTER.replace('"acme_0002", "acme_0001"', '"acme_0003", "acme_0002"').replace(
    "tdp_w = 450", "tdp_w = {tdp}"
)


@pytest.mark.parametrize(("tdp", "said"), [("NULL", []), ("475", ["450; acme_0002", "475; acme_0003"])])
def test_a_change_that_is_taken_back_in_the_same_upgrade_is_no_conflict(
    any_url: str, acme: dict[str, Path], tdp: str, said: list[str]
) -> None:
    execute(any_url, OWN.format(capacity=2048, tdp=400))
    before = contents(any_url)
    (acme["acme"] / "acme_0003.py").write_text(TAKEN_BACK.replace("{tdp}", tdp))
    (warned,) = upgraded(any_url, acme) or [""]
    assert [part in warned for part in said] == [True] * len(said)
    examples = [each for finding in check(any_url, branches=acme).findings for each in finding.examples]
    assert [part in example for part, example in zip(said, examples, strict=True)] == [True] * len(said)
    assert ("noted_conflict" in contents(any_url)) == bool(said)
    downgrade(any_url, "acme@-1", branches=acme)
    downgrade(any_url, "acme@-1", branches=acme)
    assert contents(any_url)["accelerator"] == before["accelerator"]
    assert len(upgraded(any_url, acme)) == (1 if said else 0)


def test_a_fact_that_nothing_shadows_is_no_conflict(any_url: str, acme: dict[str, Path]) -> None:
    assert upgraded(any_url, acme) == []
    assert check(any_url, branches=acme).findings == ()


def test_another_source_of_the_same_values_is_no_conflict(any_url: str, acme: dict[str, Path], tmp_path: Path) -> None:
    text = FASTER.replace("tdp_w = 450, ", "").replace("tdp_w = NULL, ", "")
    (tmp_path / "versions" / "acme_0002.py").write_text(text)
    execute(any_url, OWN.format(capacity=2048, tdp=400))
    assert upgraded(any_url, acme) == []


def test_a_calibration_of_an_accelerator_whose_peak_changed_is_said(
    any_url: str, acme: dict[str, Path], tmp_path: Path
) -> None:
    up = "INSERT INTO peak_rate VALUES ('acme-1', 'acme', 'bf16', 1e14)"
    (tmp_path / "versions" / "acme_0002.py").write_text(
        SECOND.format(up=up, down="DELETE FROM peak_rate WHERE accelerator = 'acme-1'")
    )
    calibration = CalibrationRow(
        accelerator="acme-1",
        metric="calibrated_arithmetic",
        fraction=0.9,
        condition="12 runs",
        date="2026-11-24",
        note="",
    )
    store(any_url, [calibration])
    (said,) = upgraded(any_url, acme)
    assert "accelerators acme-1 (bf16_flop_per_s was unknown, is 1e+14; acme_0002)" in said
    (found,) = check(any_url, branches=acme).findings
    assert found.check == "user rows"


def test_a_fact_that_comes_under_the_name_of_a_users_row_is_said(any_url: str, tmp_path: Path) -> None:
    execute(any_url, OWN.format(capacity=2048, tdp=400))
    extra = MAKER.format(label="acme", vendor="acme", layer="acme") + f'    op.execute("{NAMED}")\n'
    branches = {"acme": branch(tmp_path / "versions", "acme", extra=extra)}
    (said,) = upgraded(any_url, branches)
    assert "accelerators acme-1 (added; acme_0001)" in said


def test_a_fact_that_goes_is_said(any_url: str, acme: dict[str, Path], tmp_path: Path) -> None:
    up = "DELETE FROM accelerator WHERE slug = 'acme-1' AND layer = 'acme'"
    gone = SECOND.format(up=up, down="SELECT 1").replace(
        '    op.execute("DELETE', '    op.execute("DELETE FROM alias WHERE layer = \'acme\'")\n    op.execute("DELETE'
    )
    (tmp_path / "versions" / "acme_0002.py").write_text(gone)
    execute(any_url, OWN.format(capacity=2048, tdp=400))
    (said,) = upgraded(any_url, acme)
    assert "accelerators acme-1 (removed; acme_0002)" in said


NODE, MODEL = "azure-nd128isr-gb200-v6", "llama-3-8b"
"""A node of the release 2026-11 that 2026-11b changes, and a model of the first that the second leaves alone."""
HOST_MEMORY = "UPDATE node SET host_memory_bytes = 1099511627776 WHERE slug = '{slug}' AND layer = 'user'"


def shadow(url: str, kind: str, slug: str) -> None:
    """Copy a fact into the user's layer under its slug, with its name."""
    table = {"nodes": "node", "models": "architecture"}[kind]
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        columns = [each["name"] for each in sa.inspect(connection).get_columns(table)]
        values = ", ".join({"layer": "'user'", "note": "'ours'"}.get(name, f'"{name}"') for name in columns)
        values = values.replace('"vendor_layer"', "NULL").replace('"accelerator_layer"', "NULL")
        values = values.replace('"document_layer"', "NULL").replace('"document"', "NULL")
        names = ", ".join(f'"{name}"' for name in columns)
        connection.exec_driver_sql(f"INSERT INTO {table} ({names}) SELECT {values} FROM {table} WHERE slug = '{slug}'")
        key = slug.replace("-", "")
        connection.exec_driver_sql(f"INSERT INTO alias VALUES ('{kind}', '{key}', 'user', '{slug}', '{slug}', 'slug')")
    if kind == "nodes":
        execute(url, HOST_MEMORY.format(slug=slug))
    else:
        execute(url, f"UPDATE architecture SET layers = 31 WHERE slug = '{slug}' AND layer = 'user'")


def said_by(url: str, branches: dict[str, Path] | None = None) -> list[str]:
    """The conflicts that a check names."""
    return [name for each in check(url, branches=branches).findings if "stand in for" in each.message
            for name in each.examples]  # fmt: skip


def test_a_note_is_of_the_revision_that_moved_the_fact(any_url: str, tmp_path: Path) -> None:
    """Another branch that went up in the same upgrade, and down again, takes no note of others along."""
    branches = {"zeta": branch(tmp_path / "versions", "zeta")}
    downgrade(any_url, "0004")
    shadow(any_url, "nodes", NODE)
    (said,) = upgraded(any_url, branches)
    assert f"nodes {NODE} (" in said
    assert "; 0005)" in said
    downgrade(any_url, "zeta@-1", branches=branches)
    (left,) = said_by(any_url, branches)
    assert left.startswith(f"nodes {NODE} (")
    assert left.endswith("; 0005)")


def test_an_added_fact_is_noted_under_the_revision_that_brought_it(any_url: str) -> None:
    """So it outlasts the downgrade of a later release."""
    shadow(any_url, "models", MODEL)
    own = [row for row in contents(any_url)["architecture"] if row[1] == "user"]
    execute(any_url, "DELETE FROM architecture WHERE layer = 'user'", "DELETE FROM alias WHERE layer = 'user'")
    downgrade(any_url, "0001")
    shadow_again(any_url, own)
    (said,) = upgraded(any_url, {})
    assert f"models {MODEL} (added; 0002)" in said
    downgrade(any_url, "-1")
    upgrade(any_url)
    assert said_by(any_url) == [f"models {MODEL} (added; 0002)"]


def shadow_again(url: str, rows: list[tuple[Any, ...]]) -> None:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        table = sa.Table("architecture", sa.MetaData(), autoload_with=connection, resolve_fks=False)
        connection.execute(table.insert(), [dict(zip(table.columns.keys(), row, strict=True)) for row in rows])


@pytest.mark.parametrize("older", ["0001", "0002", "0003", "0004", "base"])
def test_down_and_up_again_gives_equal_data_where_rows_of_the_users_stand_in(any_url: str, older: str) -> None:
    """One row knowingly written over a fact, one whose conflict is noted, and later settled."""
    downgrade(any_url, "0004")
    shadow(any_url, "nodes", NODE)
    upgraded(any_url, {})
    shadow(any_url, "models", MODEL)
    noted = said_by(any_url)
    assert len(noted) == 1
    for settled in (False, True):
        if settled:
            assert [str(each) for each in acknowledge(any_url)] == noted
        before = contents(any_url)
        downgrade(any_url, older)
        upgraded(any_url, {})
        assert contents(any_url) == before
        assert said_by(any_url) == ([] if settled else noted)


def test_a_row_that_was_changed_while_its_fact_was_away_is_said(any_url: str) -> None:
    shadow(any_url, "models", MODEL)
    downgrade(any_url, "0001")
    execute(any_url, f"UPDATE architecture SET layers = 30 WHERE slug = '{MODEL}' AND layer = 'user'")
    (said,) = upgraded(any_url, {})
    assert f"models {MODEL} (added; 0002)" in said


def test_what_is_known_is_said_no_more(any_url: str, acme: dict[str, Path]) -> None:
    execute(any_url, OWN.format(capacity=2048, tdp=400))
    upgraded(any_url, acme)
    own = [row for row in contents(any_url)["accelerator"] if row[1] == "user"]
    (known,) = acknowledge(any_url)
    assert str(known) == "accelerators acme-1 (tdp_w was unknown, is 450; acme_0002)"
    assert check(any_url, branches=acme).findings == ()
    assert acknowledge(any_url) == ()
    assert [row for row in contents(any_url)["accelerator"] if row[1] == "user"] == own


TWICE = """op.bulk_insert(
        sa.table("{table}", *map(sa.column, ({columns}))),
        [dict(zip(({columns}), ({values}), strict=True))],
    )"""


@pytest.mark.parametrize(
    ("table", "columns", "values", "named"),
    [
        ("alias", ("kind", "key", "layer", "alias", "slug", "role"),
         ("accelerators", "acme1", "zeta", "Acme 1", "zeta-1", "alias"), ("accelerators, acme1",)),
        ("vendor", ("slug", "layer", "name", "source", "confidence", "note"),
         ("acme", "zeta", "Acme", "a test", "high", ""), ("acme",)),
    ],
)  # fmt: skip
def test_two_plugins_with_one_name_are_refused_by_name(
    any_url: str, acme: dict[str, Path], tmp_path: Path, table: str, columns: tuple[str, ...],
    values: tuple[str, ...], named: tuple[str, ...],
) -> None:  # fmt: skip
    before = contents(any_url)
    extra = TWICE.format(
        table=table, columns=", ".join(map(repr, columns)), values=", ".join(map(repr, values))
    )  # fmt: skip
    (tmp_path / "versions" / "acme_0002.py").unlink()
    both = {**acme, "zeta": branch(tmp_path / "zeta", "zeta", extra=extra)}
    with pytest.raises(CatalogError) as caught:
        upgrade(any_url, branches=both)
    assert "revision brings a name that another plugin or the planner has already: " in caught.value.message
    for name in named:
        assert name in caught.value.message.split("already: ")[1]
    assert contents(any_url) == before
