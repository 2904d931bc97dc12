"""The pack of TPU slices, from its wheel: installed, upgraded, used, uninstalled, pruned."""

from __future__ import annotations

import csv
import json
import re
import sys
from pathlib import Path

import pytest
from pack_environment import Environment, built, with_planner

from planner.catalog.location import core_revisions

PACK = Path(__file__).resolve().parents[2] / "plugins" / "packs" / "tpu"
FACTS = PACK / "planner_tpu" / "facts" / "tpu-2026-11"
NEWEST = core_revisions()[-1]


@pytest.fixture(scope="module")
def pack_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(PACK, tmp_path_factory.mktemp("source") / PACK.name, tmp_path_factory.mktemp("pack"))


@pytest.fixture(scope="module")
def environment(wheel: Path, dependencies: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return with_planner(wheel, dependencies, tmp_path_factory.mktemp("venv"), tmp_path_factory.mktemp("home"))


def test_the_pack_comes_is_used_is_orphaned_and_is_pruned(environment: Environment, pack_wheel: Path) -> None:
    before = environment.items("catalog", "list", "clusters")
    environment.pip("install", "--no-index", "--no-deps", str(pack_wheel))
    upgraded = environment.planner("db", "upgrade")
    assert (upgraded.status, upgraded.err) == (0, "")
    with (FACTS / "clusters.csv").open(encoding="utf-8", newline="") as file:
        slices = {row["slug"]: row for row in csv.DictReader(file)}
    listed = {str(row["slug"]): row for row in environment.items("catalog", "list", "clusters")}
    assert set(listed) == {str(row["slug"]) for row in before} | set(slices)
    assert {listed[slug]["layer"] for slug in slices} == {"tpu"}
    shown = json.loads(environment.planner("catalog", "show", "clusters", "v5p-512", "-f", "json").out)
    assert (shown["slug"], shown["nodes"], shown["node"]) == ("tpu-v5p-512", 64, "gcp-ct5p-hightpu-4t")
    came = environment.items("catalog", "diff", "base", "tpu_0001", "--kind", "clusters")
    assert {row["entry"] for row in came} == set(slices)
    assert "tpu-2026-11" in {row["slug"] for row in environment.items("catalog", "changelog")}
    assert [row["event"] for row in environment.items("catalog", "history", "clusters", "tpu-v4-8")] == [
        "release tpu-2026-11"
    ]
    checked = environment.planner("db", "check")
    assert (checked.status, checked.err) == (0, "")
    assert "all is well" in checked.out

    environment.pip("uninstall", "--yes", "gpu-planner-tpu")
    planned = environment.planner("plan", "--model", "llama3-7b", "--cluster", "v5p-64", "-f", "json")
    assert (planned.status, json.loads(planned.out)["question"]["cluster"]) == (0, "v5p-64")
    note = "planner: note: the plugin that brought tpu_0001 is not installed: its facts stay as they are\n"
    assert environment.planner("db", "current").err == note
    checked = environment.planner("db", "check")
    assert checked.status == 0
    assert "rows of the plugin of 'tpu', which is not installed" in " ".join(checked.out.split())

    removed = environment.items("db", "prune")
    assert {str(row["table"]) for row in removed} == {"source", "node", "cluster", "alias", "release"}
    assert environment.items("catalog", "list", "clusters") == before
    assert [row["revision"] for row in environment.items("db", "current")] == [NEWEST]
    gone = environment.planner("catalog", "show", "clusters", "v5p-512")
    assert (gone.status, gone.out) == (2, "")
    assert "all is well" in environment.planner("db", "check").out


def test_the_pack_imports_the_public_contract_only() -> None:
    allowed = {
        "planner_tpu/__init__.py": {"planner.plugin", *sys.stdlib_module_names},
        "planner_tpu/versions/tpu_0001.py": {"alembic", "sqlalchemy", *sys.stdlib_module_names},
    }
    for path in (PACK / "planner_tpu").rglob("*.py"):
        modules = re.findall(r"^(?:import|from) ([\w.]+)", path.read_text("utf-8"), re.MULTILINE)
        known = allowed[path.relative_to(PACK).as_posix()]
        assert all(module in known or module.partition(".")[0] in known for module in modules), path


def test_every_slice_has_the_chips_of_its_shape() -> None:
    """A name counts TensorCores for v4 and v5p, two a chip, else chips; a virtual machine has four."""
    with (FACTS / "clusters.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            generation, _, count = row["slug"].removeprefix("tpu-").rpartition("-")
            chips = int(count) // (2 if generation in ("v4", "v5p") else 1)
            shape = re.search(r"in (\d+(?:x\d+)+)", row["name"])
            assert shape is not None
            product = 1
            for side in shape[1].split("x"):
                product *= int(side)
            assert (product, int(row["nodes"]) * 4) == (chips, chips), row["slug"]
            assert row["source"]
            assert row["document"]
