"""A row of the user's that stands in for a fact is marked, and so is the calibration that counts."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from catalog.databases import execute, users_cluster

from planner.catalog.calibrations import CalibrationRow, store
from planner.catalog.kinds import TABLES
from planner.catalog.reader import Catalog
from planner.cli.main import main

OVERRIDE = """
INSERT INTO accelerator SELECT slug, 'user', name, NULL, NULL, 'me', source_date, confidence, note, vendor, NULL,
    architecture, year, form_factor, capacity_bytes, usable_bytes, memory_type, memory_bandwidth_bytes_per_s, 500,
    compute_units, scaleup_link, NULL, scaleup_bytes_per_s, scaleup_domain, pcie_bytes_per_s, reference_node
FROM accelerator WHERE slug = 'a100-sxm4-80gb'
"""
"""The same accelerator with another power limit."""


def calibration(date: str, fraction: float) -> CalibrationRow:
    return CalibrationRow(
        accelerator="a100-sxm4-80gb", metric="calibrated_arithmetic", fraction=fraction, condition="12 runs",
        date=date, note="",
    )  # fmt: skip


def test_only_a_row_that_stands_in_for_another_is_marked(any_url: str) -> None:
    execute(any_url, *users_cluster(), *users_cluster("a100-pool", nodes=2))
    with Catalog.open(any_url) as catalog:
        marks = {row["slug"]: row["shadows"] for row in catalog.rows("clusters")}
        assert {slug for slug, mark in marks.items() if mark} == {"a100-pool"}
        assert marks["a100-pool"] == "vendor"
        assert not any(row["shadows"] for kind in TABLES if kind != "clusters" for row in catalog.rows(kind))


def test_an_entry_says_what_it_shadows_and_how_it_differs(any_url: str) -> None:
    execute(any_url, OVERRIDE)
    with Catalog.open(any_url) as catalog:
        row = catalog.row("accelerators", "a100")
        assert (row["layer"], row["shadows"]) == ("user", "vendor")
        differing = {each["column"]: (each["here"], each["there"]) for each in row["differences"]}
        assert differing["tdp_w"] == (500.0, 400.0)
        assert set(differing) == {"source", "tdp_w"}
        assert catalog.row("accelerators", "h100")["differences"] == []


def test_an_override_without_rates_has_those_of_the_fact_and_one_with_rates_its_own(any_url: str) -> None:
    with Catalog.open(any_url) as catalog:
        released = catalog.accelerator("a100").peak_flop_per_s
    execute(any_url, OVERRIDE)
    with Catalog.open(any_url) as catalog:
        assert catalog.accelerator("a100").peak_flop_per_s == released
        listed = {row["slug"]: row["bf16_flop_per_s"] for row in catalog.rows("accelerators")}
        assert listed["a100-sxm4-80gb"] == released["bf16"]
    execute(any_url, "INSERT INTO peak_rate VALUES ('a100-sxm4-80gb', 'user', 'bf16', 3e14)")
    with Catalog.open(any_url) as catalog:
        assert catalog.accelerator("a100").peak_flop_per_s == {"bf16": 3e14}
        listed = {row["slug"]: row["bf16_flop_per_s"] for row in catalog.rows("accelerators")}
        assert listed["a100-sxm4-80gb"] == 3e14
        differing = {
            each["column"]: (each["here"], each["there"]) for each in catalog.row("accelerators", "a100")["differences"]
        }
        assert differing["bf16_flop_per_s"] == (3e14, 312e12)


def test_the_calibration_that_counts_is_marked(any_url: str) -> None:
    for date, fraction in (("2026-10-01", 0.9), ("2026-11-01", 0.8)):
        store(any_url, [calibration(date, fraction)])
    with Catalog.open(any_url) as catalog:
        rows = catalog.row("accelerators", "a100")["efficiencies"]
        marks = {row["source_date"]: row["in_force"] for row in rows if row["metric"] == "calibrated_arithmetic"}
        assert marks == {"2026-10-01": False, "2026-11-01": True}
        assert {row["in_force"] for row in rows if row["metric"] != "calibrated_arithmetic"} == {None}
        assert [each.fraction for each in catalog.accelerator("a100").calibrations] == [0.8]


def test_people_see_it(url: str, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(OVERRIDE)
    store(url, [calibration("2026-11-01", 0.8)])
    assert main(["--database", url, "catalog", "show", "accelerators", "a100"]) == 0
    text = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "shadows vendor" in lines
    assert "column here in the layer vendor" in lines
    assert "tdp 500 W 400 W" in lines
    assert "calibration in force arithmetic 0.8, of 2026-11-01" in lines
    assert max(map(len, text.splitlines())) <= 100
    assert main(["--database", url, "catalog", "show", "accelerators", "a100", "-f", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {"column": "tdp_w", "here": 500.0, "there": 400.0} in document["differences"]
    assert main(["--database", url, "catalog", "list", "accelerators"]) == 0
    text = capsys.readouterr().out
    assert text.splitlines()[0].split()[-1] == "shadows"
    assert max(map(len, text.splitlines())) <= 100
