"""What every pack of facts keeps to: its wheel is whole, and its revisions go up, down and up."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest
from catalog.databases import dump
from pack_environment import built

from planner.catalog.location import core_revisions
from planner.catalog.upgrade import downgrade, upgrade

PACKS = Path(__file__).resolve().parents[2] / "plugins" / "packs"
NEWEST = core_revisions()[-1]


class Pack(NamedTuple):
    """A pack of this repository: its branch, its folder and the wheel built from it."""

    branch: str
    folder: Path
    wheel: Path


@pytest.fixture(scope="module", params=["pascal", "tpu"])
def pack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pack:
    folder = PACKS / request.param
    wheel = built(folder, tmp_path_factory.mktemp("source") / folder.name, tmp_path_factory.mktemp("pack"))
    return Pack(request.param, folder, wheel)


def test_the_pack_goes_up_down_and_up(pack: Pack, tmp_path: Path) -> None:
    zipfile.ZipFile(pack.wheel).extractall(tmp_path / "site")
    branches = {pack.branch: tmp_path / "site" / f"planner_{pack.branch}" / "versions"}
    url = str(tmp_path / "catalog.db")
    upgrade(url)
    bare = dump(tmp_path / "catalog.db")
    assert upgrade(url, branches=branches) == (NEWEST, f"{pack.branch}_0001")
    before = dump(tmp_path / "catalog.db")
    downgrade(url, f"{pack.branch}@base", branches=branches)
    after = dump(tmp_path / "catalog.db")
    assert after == bare | {"catalog_state": after["catalog_state"]}
    upgrade(url, branches=branches)
    assert dump(tmp_path / "catalog.db") == before


def test_the_wheel_holds_every_file_of_the_pack(pack: Pack) -> None:
    names = {name for name in zipfile.ZipFile(pack.wheel).namelist() if ".dist-info/" not in name}
    package = pack.folder / f"planner_{pack.branch}"
    files = (path for path in package.rglob("*") if path.is_file() and path.suffix in (".py", ".csv", ".json"))
    assert names == {path.relative_to(pack.folder).as_posix() for path in files}
