"""The pack of the Tesla P100, from its wheel: accelerators that the planner itself does not have come, are used, and go."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pack_environment import Environment, built, with_planner

from planner.catalog.location import core_revisions

PACK = Path(__file__).resolve().parents[2] / "plugins" / "packs" / "pascal"
FACTS = PACK / "planner_pascal" / "facts" / "pascal-2026-11"
NEWEST = core_revisions()[-1]
CARDS = {"p100-sxm2-16gb", "p100-pcie-16gb"}


@pytest.fixture(scope="module")
def pack_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(PACK, tmp_path_factory.mktemp("source") / PACK.name, tmp_path_factory.mktemp("pack"))


@pytest.fixture(scope="module")
def environment(wheel: Path, dependencies: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return with_planner(wheel, dependencies, tmp_path_factory.mktemp("venv"), tmp_path_factory.mktemp("home"))


def planned(environment: Environment) -> dict:
    asked = ("plan", "--model", "gpt2-xl", "--cluster", "p100-pcie:4x4", "--precision", "fp16-mixed", "-f", "json")
    done = environment.planner(*asked)
    assert done.status == 0, done.err
    answer: dict = json.loads(done.out)
    return answer


def test_the_cards_come_are_used_are_orphaned_and_are_pruned(environment: Environment, pack_wheel: Path) -> None:
    before = environment.items("catalog", "list", "accelerators")
    assert not CARDS & {row["slug"] for row in before}
    unknown = environment.planner("plan", "--model", "gpt2-xl", "--cluster", "p100-pcie:4x4")
    assert unknown.status == 2
    assert "unknown accelerator 'p100-pcie'" in unknown.err

    environment.pip("install", "--no-index", "--no-deps", str(pack_wheel))
    upgraded = environment.planner("db", "upgrade")
    assert (upgraded.status, upgraded.err) == (0, "")
    listed = {str(row["slug"]): row for row in environment.items("catalog", "list", "accelerators")}
    assert listed.keys() == {str(row["slug"]) for row in before} | CARDS
    for slug in CARDS:
        shown = json.loads(environment.planner("catalog", "show", "accelerator", slug, "-f", "json").out)
        assert shown["layer"] == "pascal"
        assert {each["format"] for each in shown["peaks"]} == {"fp64", "fp32", "fp16"}
        assert all(each["source"] and each["document"] and each["confidence"] == "high" for each in shown["peaks"])
    shown = json.loads(environment.planner("catalog", "show", "accelerator", "p100-pcie", "-f", "json").out)
    assert {each["metric"] for each in shown["efficiencies"]} == {"gemm_best", "gemm_median_large"}
    assert {each["date"] for each in shown["prices"]} == {"2023-10-27", "2025-06-03"}
    shown = json.loads(environment.planner("catalog", "show", "link", "nvlink-1", "-f", "json").out)
    assert shown["bytes_per_s"] == 80e9
    resting = environment.items("catalog", "sources", "nvidia-ampere-blog")
    assert {"p100-sxm2-16gb", "v100-sxm2-16gb"} <= {row["slug"] for row in resting if row["kind"] == "peaks"}
    brought = next(row for row in environment.items("catalog", "changelog") if row["slug"] == "pascal-2026-11")
    moved = environment.items("catalog", "diff", "base", "pascal_0001")
    assert (brought["added"], brought["changed"], brought["removed"]) == (len(moved), 0, 0)
    answer = planned(environment)
    assert "all is well" in environment.planner("db", "check").out

    environment.pip("uninstall", "--yes", "gpu-planner-pascal")
    assert planned(environment)["question"] == answer["question"]
    assert environment.planner("plan", "--model", "llama3-7b", "--cluster", "h100:8").status == 0
    note = "planner: note: the plugin that brought pascal_0001 is not installed: its facts stay as they are\n"
    assert environment.planner("db", "current").err == note
    checked = " ".join(environment.planner("db", "check").out.split())
    assert "rows of the plugin of 'pascal', which is not installed" in checked
    assert "peak_source 6" in checked

    removed = environment.items("db", "prune")
    assert {str(row["table"]) for row in removed} == {
        "source", "link", "accelerator", "peak_rate", "peak_source", "efficiency", "node", "price", "alias", "release",
    }  # fmt: skip
    assert environment.items("catalog", "list", "accelerators") == before
    assert [row["revision"] for row in environment.items("db", "current")] == [NEWEST]
    assert environment.planner("catalog", "show", "accelerator", "p100-pcie").status == 2
    assert "all is well" in environment.planner("db", "check").out


def test_the_readme_names_the_source_of_every_fact() -> None:
    text = (PACK / "README.md").read_text(encoding="utf-8")
    for name in ("Ampere Architecture In-Depth", "tomshardware.com", "arXiv:1903.04611", "DeepBench", "NCv2"):
        assert name in text
    assert not list(FACTS.glob("*.md"))
