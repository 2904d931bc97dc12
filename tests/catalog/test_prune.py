"""`planner db prune` takes out what plugins left, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from catalog.databases import MAKER, branch, contents, execute, users_cluster

from planner.catalog.integrity import check
from planner.catalog.prune import prune
from planner.catalog.upgrade import upgrade
from planner.errors import CatalogError, UnknownNameError


def pack(folder: Path, label: str, *, vendor: str | None = None, layer: str | None = None) -> dict[str, Path]:
    """A branch with a table of its own, a vendor, and an accelerator of `vendor` in `layer`."""
    extra = MAKER.format(label=label, vendor=vendor or label, layer=layer or label)
    return {label: branch(folder / label, label, extra=extra)}


def test_what_a_plugin_left_goes_and_all_else_stays(any_url: str, tmp_path: Path) -> None:
    execute(any_url, *users_cluster())
    before = contents(any_url)
    upgrade(any_url, branches=pack(tmp_path, "acme"))
    found = prune(any_url)
    assert {(each.branch, each.table, each.rows) for each in found.removed} == {
        ("acme", "acme_fact", 1), ("acme", "accelerator", 1), ("acme", "vendor", 1),
    }  # fmt: skip
    after = contents(any_url)
    assert after == before | {"catalog_state": after["catalog_state"]}
    assert check(any_url).findings == ()
    assert prune(any_url).removed == ()


def test_a_plugin_that_was_pruned_can_come_again(any_url: str, tmp_path: Path) -> None:
    branches = pack(tmp_path, "acme")
    upgrade(any_url, branches=branches)
    before = contents(any_url)
    prune(any_url)
    upgrade(any_url, branches=branches)
    assert contents(any_url) == before


def test_an_installed_plugin_keeps_its_rows(any_url: str, tmp_path: Path) -> None:
    """Though its label begins with that of the one that is gone."""
    stays = pack(tmp_path, "acme_two")
    upgrade(any_url, branches=stays)
    before = contents(any_url)
    upgrade(any_url, branches={**stays, **pack(tmp_path, "acme")})
    prune(any_url, branches=stays)
    after = contents(any_url)
    assert after == before | {"catalog_state": after["catalog_state"]}


def test_a_dry_run_removes_nothing(any_url: str, tmp_path: Path) -> None:
    upgrade(any_url, branches=pack(tmp_path, "acme"))
    before = contents(any_url)
    assert {each.table for each in prune(any_url, dry_run=True).removed} == {"acme_fact", "accelerator", "vendor"}
    assert contents(any_url) == before


def test_one_branch_of_two(any_url: str, tmp_path: Path) -> None:
    upgrade(any_url, branches={**pack(tmp_path, "acme"), **pack(tmp_path, "zeta")})
    assert {each.branch for each in prune(any_url, ["zeta"]).removed} == {"zeta"}
    with pytest.raises(UnknownNameError, match="'zeta'"):
        prune(any_url, ["zeta"])
    assert {each.branch for each in prune(any_url).removed} == {"acme"}


def test_what_another_plugin_needs_is_not_removed(any_url: str, tmp_path: Path) -> None:
    first, second = pack(tmp_path, "acme"), pack(tmp_path, "zeta", vendor="acme", layer="acme")
    upgrade(any_url, branches=first)
    upgrade(any_url, branches={**first, **second})
    before = contents(any_url)
    with pytest.raises(CatalogError, match=r"rows of another plugin refer to what acme brought"):
        prune(any_url, branches=second)
    assert contents(any_url) == before


def test_the_users_rows_that_speak_of_what_went_stay_and_are_named(any_url: str, tmp_path: Path) -> None:
    upgrade(any_url, branches=pack(tmp_path, "acme"))
    columns = "accelerator, layer, metric, format, condition, fraction, source, note"
    execute(
        any_url, f"INSERT INTO efficiency ({columns}) VALUES ('acme-1', 'user', 'm', 'bf16', 'c', 0.5, 'me', '')"
    )  # fmt: skip
    found = prune(any_url)
    assert [(each.table, each.rows) for each in found.left] == [("efficiency", 1)]
    assert found.left[0].examples == ("acme-1 m bf16 c: acme-1",)
    assert check(any_url).user_rows == 1


def test_the_table_of_a_plugin_alone_is_known_by_its_revision(any_url: str, tmp_path: Path) -> None:
    upgrade(any_url, branches={"gh200": branch(tmp_path / "versions", "gh200")})
    assert [(each.branch, each.table) for each in prune(any_url).removed] == [("gh200", "gh200_fact")]
    assert check(any_url).findings == ()
