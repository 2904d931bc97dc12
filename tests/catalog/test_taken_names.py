"""A user's name comes before that of a fact which arrived later: the upgrade says so, and so do the check and every look."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
from catalog.databases import MAKER, branch

from planner.catalog.browse import Filters
from planner.catalog.entries import entry
from planner.catalog.findings import WARNING
from planner.catalog.integrity import check
from planner.catalog.reader import Catalog
from planner.catalog.upgrade import downgrade, upgrade
from planner.catalog.user_layer import keep
from planner.cli.main import main
from planner.errors import CatalogWarning, InputError

NAMED = (
    "INSERT INTO alias (kind, key, layer, alias, slug, role) "
    "VALUES ('accelerators', 'acme1', 'acme', 'acme-1', 'acme-1', 'slug')"
)
CHIP = {
    "slug": "mine", "vendor": "amd", "year": 2026, "capacity_bytes": "96 GiB", "memory_bandwidth_bytes_per_s": "4 TB/s",
    "source": "a test", "aliases": ["ACME 1"],
}  # fmt: skip
SAID = "accelerators 'ACME 1' means your mine, not acme-1 of acme"


@pytest.fixture
def acme(tmp_path: Path) -> dict[str, Path]:
    """A plugin's branch that brings an accelerator acme-1."""
    extra = MAKER.format(label="acme", vendor="acme", layer="acme") + f'    op.execute("{NAMED}")\n'
    return {"acme": branch(tmp_path / "versions", "acme", extra=extra)}


def test_a_fact_that_comes_under_a_name_of_the_users_is_said_once_and_then_by_the_check(
    any_url: str, acme: dict[str, Path]
) -> None:
    keep(any_url, [entry("accelerators", CHIP)])
    with pytest.warns(CatalogWarning, match="new facts have names that are yours") as caught:
        upgrade(any_url, branches=acme)
    assert [SAID in str(each.message) for each in caught] == [True]
    (found,) = check(any_url, branches=acme).findings
    assert (found.check, found.severity, found.rows, found.examples) == ("names", WARNING, 1, (SAID,))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        upgrade(any_url, branches=acme)
    # The entry may be mended under its names, and loses the warning with the name.
    keep(any_url, [entry("accelerators", {**CHIP, "year": 2025})], replacing=True)
    keep(any_url, [entry("accelerators", {**CHIP, "aliases": ["mine one"]})], replacing=True)
    assert check(any_url, branches=acme).findings == ()


def test_a_look_says_whose_names_an_entry_takes(any_url: str, acme: dict[str, Path]) -> None:
    keep(any_url, [entry("accelerators", CHIP)])
    with pytest.warns(CatalogWarning):
        upgrade(any_url, branches=acme)
    with Catalog.open(any_url) as catalog:
        assert catalog.row("accelerators", "acme-1")["takes_names_of"] == ["acme-1"]
        assert catalog.row("accelerators", "h100")["takes_names_of"] == []
        rows = catalog.page("accelerators", Filters()).rows
    assert {row["slug"]: row["takes_names_of"] for row in rows if row["takes_names_of"]} == {"mine": ["acme-1"]}


def test_people_see_it(any_url: str, acme: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    keep(any_url, [entry("accelerators", CHIP)])
    with pytest.warns(CatalogWarning):
        upgrade(any_url, branches=acme)
    database = ("--database", any_url)
    assert main([*database, "catalog", "list", "accelerators", "--layer", "user"]) == 0
    head, row = capsys.readouterr().out.splitlines()[:2]
    assert (" ".join(head.split()[-4:]), row.split()[-1]) == ("bf16 takes names of", "acme-1")
    assert main([*database, "catalog", "list", "accelerators", "--layer", "user", "-f", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["items"][0]["takes_names_of"] == ["acme-1"]
    assert main([*database, "catalog", "show", "accelerators", "mine"]) == 0
    assert "takes names of acme-1" in [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_a_name_of_a_plugin_s_entry_is_refused(any_url: str, acme: dict[str, Path]) -> None:
    upgrade(any_url, branches=acme)
    with pytest.raises(InputError, match="the name 'ACME 1' is that of 'acme-1' of the plugin branch acme already"):
        keep(any_url, [entry("accelerators", CHIP)])
    keep(any_url, [entry("accelerators", {**CHIP, "slug": "acme-1"})])
    assert check(any_url, branches=acme).findings == ()


def test_names_that_wait_through_a_downgrade_are_said_when_they_are_back(any_url: str) -> None:
    keep(any_url, [entry("accelerators", CHIP)])
    downgrade(any_url, "base")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        upgrade(any_url)
    assert check(any_url).findings == ()
