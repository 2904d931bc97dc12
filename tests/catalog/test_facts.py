"""Rules that the released facts keep, and the frozen files that they come from."""

from __future__ import annotations

import hashlib
import re
import sqlite3
from pathlib import Path

import pytest

from planner.catalog.database import Database
from planner.catalog.kinds import TABLES
from planner.catalog.location import migrations_directory
from planner.catalog.reader import Catalog
from planner.domain.operation import (
    CarbonIntensity,
    CheckpointWrite,
    FailureRate,
    Footprint,
    Goodput,
    PowerDraw,
    PowerUsageEffectiveness,
)

FROZEN = {
    "2026-11": {
        "accelerators.json": "5a727e1f95c10d112c48d36524c8ee8cbfa4bae47da4f7fdfa140ee184f15e20",
        "aliases.csv": "19f61080138455b2af7d5a3bc7687aae118cba9be88f6080187dcc16b11f5a86",
        "architectures.json": "eefe73c55b61f3c16eb800ed93879ba473839550df9ae87b003fe5ae89093306",
        "clusters.csv": "e81b6e09d6526881e8b7c4d05e75465d84e019851601469780e570e5aa2baaa6",
        "efficiencies.csv": "a551d3f117cb6cad1273b71aa6ac36904dbb710e0c0eb4479d2d9e3ad7106f72",
        "links.csv": "9b12e3802eb4e1bbb5b58b09f3b2e78fa3e0a69359c720e59f8cb4933ff36bca",
        "nodes.csv": "0e28e211c69d29b3f93955fa534da23efa712da2bf1b2e0b438a51bf4c74dbb4",
        "prices.csv": "16ad611c747092ffe3467ce34f29e256dfcf9326bb305298e5169f5ab94986de",
        "sources.csv": "a3ba7a630df924ca4f54525a03fc75d4d3d004ae988ee0bb2ba0ffeac0759f22",
        "vendors.csv": "4761224f7540d3931b882b4e2a27ae3c7ff2452733378151c3f5d9f69b82137a",
    },
    "2026-11b": {
        "accelerators.json": "7e7f0cb188160aa9033e7089b46e041e8993a04bffff35c2fef19b235bf35595",
        "aliases.csv": "fc1e754c19f4ccaf9b184bf941730f50c8a62840cb889f02ba89edd36473ebc7",
        "architectures.json": "eefe73c55b61f3c16eb800ed93879ba473839550df9ae87b003fe5ae89093306",
        "carbon_intensities.csv": "6be47c602abd18523e7eca47f1af0ba4377002261675a94b8187a60df0cad870",
        "changes.json": "0dc4ea5657d151adc8cabfcc8026500df3915795d4e06eaf396b435a7238146f",
        "checkpoint_writes.csv": "484fc4e9e92b4e201241d36631dbdb11bf41d9fb33a0307c1eb470e97b68a7fe",
        "clusters.csv": "e81b6e09d6526881e8b7c4d05e75465d84e019851601469780e570e5aa2baaa6",
        "efficiencies.csv": "53905fa139ccde71c175cda56258c20507d4b3339b4aa2a493308990530e04a5",
        "failure_rates.csv": "320fce53299b0b39691c6b4f44ac9cbe76c019fa88967b086bb75d3fc6926057",
        "footprints.csv": "718452b367ac44fc4a3bfa121ea063f06b5989e2e82b9a79ef7cdec7fed65bf3",
        "goodputs.csv": "9b131db4caa9b76e60d07e47bacffa9bf1fa1d675df9d974db07f348baa1909d",
        "links.csv": "d296ddcb331916b5ba549302136c099f50eb2b6fb6ffe73dfc7c2448afdbad13",
        "nodes.csv": "3bf0faefe65edb96336492576725adfc0f6324814de1b2529b4e25da20b19688",
        "power_draws.csv": "a78f41a4dbf09c3338eb999ec2dd84982dae9f0c6cc275e1dfcb5cceb3f55fc7",
        "prices.csv": "ced58b56e6b5abc53032d94fc9d2beea71477f9069eea610b9b25f1dc8bccb28",
        "pues.csv": "68af9223a9053fb84fded76f22cc6ede365d59e149ffc60b145ee096b436f32f",
        "sources.csv": "8a75208f9ae900bd2edc8976a7efcb0ea4176288afb2068dc5342d54dbf53acb",
        "vendors.csv": "4761224f7540d3931b882b4e2a27ae3c7ff2452733378151c3f5d9f69b82137a",
    },
    "2026-11c": {
        "accelerators.json": "f0bbff0d702118ed8ef9f81765333007fdf5c8be4c398791a289d32b573e2cef",
        "aliases.csv": "0e539bc242bca822fe85801017529e4625f9e79f76fed8db9b62bd569db139e0",
        "architectures.json": "eefe73c55b61f3c16eb800ed93879ba473839550df9ae87b003fe5ae89093306",
        "carbon_intensities.csv": "6be47c602abd18523e7eca47f1af0ba4377002261675a94b8187a60df0cad870",
        "changes.json": "dc213206f391ef66085ae3c2339ae37e4474d6ef62f9204580b833b2249e16a3",
        "checkpoint_writes.csv": "484fc4e9e92b4e201241d36631dbdb11bf41d9fb33a0307c1eb470e97b68a7fe",
        "clusters.csv": "e81b6e09d6526881e8b7c4d05e75465d84e019851601469780e570e5aa2baaa6",
        "efficiencies.csv": "53905fa139ccde71c175cda56258c20507d4b3339b4aa2a493308990530e04a5",
        "failure_rates.csv": "320fce53299b0b39691c6b4f44ac9cbe76c019fa88967b086bb75d3fc6926057",
        "footprints.csv": "718452b367ac44fc4a3bfa121ea063f06b5989e2e82b9a79ef7cdec7fed65bf3",
        "goodputs.csv": "9b131db4caa9b76e60d07e47bacffa9bf1fa1d675df9d974db07f348baa1909d",
        "links.csv": "d296ddcb331916b5ba549302136c099f50eb2b6fb6ffe73dfc7c2448afdbad13",
        "nodes.csv": "f4c39b0ed524460e322b2cb061f9e166b936e39e331cc15982c5d2f208ed28a5",
        "power_draws.csv": "a78f41a4dbf09c3338eb999ec2dd84982dae9f0c6cc275e1dfcb5cceb3f55fc7",
        "prices.csv": "57d0317bf50259856165e41f2350d425c073cf6c088ea5ba682441b9622cb0e7",
        "pues.csv": "68af9223a9053fb84fded76f22cc6ede365d59e149ffc60b145ee096b436f32f",
        "sources.csv": "8c089f4fd5e001ca5f68d0cb5625297f4b3cbf7df7b58875414ea254088d0397",
        "vendors.csv": "4761224f7540d3931b882b4e2a27ae3c7ff2452733378151c3f5d9f69b82137a",
    },
    "2026-11d": {
        "accelerators.json": "f0bbff0d702118ed8ef9f81765333007fdf5c8be4c398791a289d32b573e2cef",
        "aliases.csv": "0e539bc242bca822fe85801017529e4625f9e79f76fed8db9b62bd569db139e0",
        "architectures.json": "d75bc28a035369f0acb45ddaba8a1b8bde5ac4abc52cbacd31cdc6e59f83a2db",
        "carbon_intensities.csv": "6be47c602abd18523e7eca47f1af0ba4377002261675a94b8187a60df0cad870",
        "changes.json": "2437fd6bd6bd4d2df205ff84a9822c3f1a98b98e39c8e9d3b1081445ab4fdfce",
        "checkpoint_writes.csv": "484fc4e9e92b4e201241d36631dbdb11bf41d9fb33a0307c1eb470e97b68a7fe",
        "clusters.csv": "e81b6e09d6526881e8b7c4d05e75465d84e019851601469780e570e5aa2baaa6",
        "efficiencies.csv": "53905fa139ccde71c175cda56258c20507d4b3339b4aa2a493308990530e04a5",
        "failure_rates.csv": "320fce53299b0b39691c6b4f44ac9cbe76c019fa88967b086bb75d3fc6926057",
        "footprints.csv": "718452b367ac44fc4a3bfa121ea063f06b5989e2e82b9a79ef7cdec7fed65bf3",
        "goodputs.csv": "9b131db4caa9b76e60d07e47bacffa9bf1fa1d675df9d974db07f348baa1909d",
        "links.csv": "d296ddcb331916b5ba549302136c099f50eb2b6fb6ffe73dfc7c2448afdbad13",
        "nodes.csv": "f4c39b0ed524460e322b2cb061f9e166b936e39e331cc15982c5d2f208ed28a5",
        "power_draws.csv": "a78f41a4dbf09c3338eb999ec2dd84982dae9f0c6cc275e1dfcb5cceb3f55fc7",
        "prices.csv": "57d0317bf50259856165e41f2350d425c073cf6c088ea5ba682441b9622cb0e7",
        "pues.csv": "68af9223a9053fb84fded76f22cc6ede365d59e149ffc60b145ee096b436f32f",
        "sources.csv": "8c089f4fd5e001ca5f68d0cb5625297f4b3cbf7df7b58875414ea254088d0397",
        "vendors.csv": "4761224f7540d3931b882b4e2a27ae3c7ff2452733378151c3f5d9f69b82137a",
    },
}

OPEN_QUESTIONS = (
    "rubin-sxm", "mi455x", "b100-sxm6-192gb", "ascend-950dt", "mi308x", "rtx-pro-4500-bw", "h100-sxm5-64gb",
)  # fmt: skip


def released(release: str) -> Path:
    return migrations_directory().parent / "seed_data" / "releases" / release


@pytest.mark.parametrize(("release", "name"), [(release, name) for release, files in FROZEN.items() for name in files])
def test_the_files_of_a_release_never_change(release: str, name: str) -> None:
    found = hashlib.sha256((released(release) / name).read_bytes()).hexdigest()
    assert found == FROZEN[release][name], f"{name} is frozen: put the correction into a new release and a new revision"


def test_every_file_of_every_release_is_frozen() -> None:
    assert {path.name for path in released("").iterdir()} == set(FROZEN)
    for release, files in FROZEN.items():
        assert {path.name for path in released(release).iterdir() if path.suffix != ".md"} == set(files)


LEAST = {
    "accelerators": 60, "nodes": 50, "models": 150, "clusters": 10, "links": 40, "prices": 100, "carbon": 100, "pue": 9,
    "power": 10, "footprints": 5, "failures": 25, "checkpoints": 3, "goodput": 10,
}  # fmt: skip
GENERATIONS = (
    "v100-sxm2-16gb", "a100-sxm4-80gb", "h100-sxm5-80gb", "h200-sxm5-141gb", "b200-sxm6-180gb", "b300-sxm6-288gb", "gb200",
    "gb300", "mi210", "mi250x", "mi300x", "mi325x", "mi350x", "mi355x", "gaudi1", "gaudi2", "gaudi3", "tpu-v3", "tpu-v4",
    "tpu-v5e", "tpu-v5p", "tpu-v6e", "tpu7x", "trainium1", "trainium2", "trainium3",
)  # fmt: skip


@pytest.mark.parametrize("kind", LEAST)
def test_the_catalog_is_large_enough_to_be_useful(catalog: Catalog, kind: str) -> None:
    assert len(catalog.names(kind)) >= LEAST[kind]


def test_every_generation_that_people_train_on_is_there(catalog: Catalog) -> None:
    assert not set(GENERATIONS) - set(catalog.names("accelerators"))


def test_every_accelerator_has_peaks_and_they_have_a_source(catalog: Catalog) -> None:
    for slug in catalog.names("accelerators"):
        row = catalog.row("accelerators", slug)
        assert row["peak_flop_per_s"], slug
        assert row["source"], slug
        assert row["document_name"], slug


WITHOUT_A_DOCUMENT_THAT_PRINTS_IT = {("gb300", "fp64"), ("gb300", "fp64_tensor")}
"""Peaks that follow from others by a ratio alone."""


def test_every_released_peak_has_a_source_of_its_own(catalog: Catalog) -> None:
    facts = Database.connect(catalog.url)
    documents = {row["slug"] for row in catalog.rows("sources")}
    low = set()
    for slug in catalog.names("accelerators"):
        row = catalog.row("accelerators", slug)
        sourced = facts.select("SELECT * FROM peak_source WHERE accelerator = :slug", slug=slug)
        assert {each["format"] for each in sourced} == row["peak_flop_per_s"].keys(), slug
        for each in sourced:
            assert each["source"], each
            assert "recalled" not in each["source"], each
            assert each["source_date"], each
            assert each["document"] in documents, each
            if each["confidence"] == "low":
                low.add((slug, each["format"]))
    facts.close()
    assert low == WITHOUT_A_DOCUMENT_THAT_PRINTS_IT


def test_no_accelerator_is_more_certain_than_all_of_its_peaks(catalog: Catalog) -> None:
    order = ("low", "medium", "high")
    for row in catalog.rows("accelerators"):
        peaks = catalog.row("accelerators", row["slug"])["peaks"]
        best = max(order.index(each["confidence"]) for each in peaks)
        assert order.index(row["confidence"]) <= best, row["slug"]


RECALLED_PEAK = re.compile(r"tensor[^;]*recalled|peaks? recalled|bf16[^;]*recalled|int8[^;]*recalled")


def test_no_peak_of_an_accelerator_is_recalled(catalog: Catalog) -> None:
    rows = catalog.rows("accelerators")
    assert not [row["slug"] for row in rows if RECALLED_PEAK.search(f"{row['source']}; {row['note']}")]


def test_many_nodes_have_a_topology_a_network_and_prices(catalog: Catalog) -> None:
    nodes = catalog.rows("nodes")
    assert all(row["intra_node_topology"] for row in nodes)
    assert sum(row["network_bytes_per_s"] is not None for row in nodes) >= 50
    days: dict[str, set[str]] = {}
    for row in catalog.rows("prices"):
        days.setdefault(row["node"], set()).add(row["date"])
    priced = [row for row in nodes if row["slug"] in days]
    assert len(priced) >= 80
    assert sum(row["nic_count"] is not None and len(days[row["slug"]]) > 1 for row in priced) >= 50


def test_kernels_and_collectives_have_efficiencies(catalog: Catalog) -> None:
    measured = [each for slug in catalog.names("accelerators") for each in catalog.accelerator(slug).efficiencies]
    assert len(measured) >= 300
    assert {each.metric for each in measured} >= {
        "gemm_best", "matmul_mamf", "nccl_busbw", "nccl_busbw_by_size", "gemm_by_shape", "moe_dispatch", "hbm_decode",
    }  # fmt: skip


def test_what_lacks_a_source_stays_out(catalog: Catalog) -> None:
    assert not set(OPEN_QUESTIONS) & set(catalog.names("accelerators"))


def test_every_fact_names_its_source_and_its_date(catalog: Catalog) -> None:
    for kind in TABLES:
        for row in catalog.rows(kind) if kind != "sources" else ():
            assert row["source"], row["slug"]
            assert row["document"], row["slug"]
            assert row["source_date"], row["slug"]


def test_no_foreign_key_is_broken(made: Path) -> None:
    with sqlite3.connect(made) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_a_reference_node_holds_the_accelerator_that_names_it(catalog: Catalog) -> None:
    named = [row for row in catalog.rows("accelerators") if row["reference_node"]]
    assert len(named) > 25
    for row in named:
        assert catalog.node(row["reference_node"]).accelerator == row["slug"]


def test_rates_are_dense(catalog: Catalog) -> None:
    for slug in catalog.names("accelerators"):
        rates = catalog.accelerator(slug).peak_flop_per_s
        assert rates, slug
        # With sparsity the ratio would be four.
        assert rates.get("fp8", 0) <= 3.8 * rates.get("bf16", float("inf")), slug
        assert rates.get("tf32", 0) <= rates.get("bf16", float("inf")), slug


def test_prices_are_plausible_and_dated(catalog: Catalog) -> None:
    for row in catalog.rows("prices"):
        assert 0.05 < row["usd_per_accelerator_hour"] < 40, row["slug"]
        assert row["date"] <= "2026-11-24"


@pytest.mark.parametrize(
    ("slug", "column", "published"),
    [
        ("trainium1", "memory_bandwidth_bytes_per_s", 820 * 2**30),  # AWS Neuron documentation
        ("inferentia2", "memory_bandwidth_bytes_per_s", 820 * 2**30),
        ("tpu-v3", "tdp_w", 262),  # Cloud TPU documentation
        ("tpu-v4", "tdp_w", 192),
    ],
)
def test_corrections_of_release_2026_11b(catalog: Catalog, slug: str, column: str, published: float) -> None:
    assert catalog.row("accelerators", slug)[column] == published


def test_the_failures_of_llama_3_are_those_of_its_paper(catalog: Catalog) -> None:
    """Table 5: 419 unexpected interruptions in 54 days on 16,384 accelerators, one every three hours."""
    row = catalog.row("failures", "llama3-405b-unexpected")
    assert (row["events"], row["period_days"], row["accelerators"]) == (419, 54, 16384)
    assert row["events_per_accelerator_day"] == pytest.approx(419 / 54 / 16384, rel=1e-3)
    assert row["job_mtti_s"] == pytest.approx(54 * 86400 / 419, rel=1e-3)
    parts = [each["events"] for each in catalog.rows("failures") if each["kind"] == "component"]
    assert sum(parts) == 419


def test_operation_facts_are_records(catalog: Catalog) -> None:
    assert catalog.carbon_intensity("FRA").g_co2e_per_kwh == pytest.approx(56.039)
    assert catalog.carbon_intensity("Google Cloud us-central1").year == 2024
    assert catalog.power_usage_effectiveness("google").pue == 1.1
    draws = {draw.slug: draw for draw in catalog.operation_facts(PowerDraw)}
    assert draws["dgx-h100-compute-intensive"].rated_share == pytest.approx(0.76)
    assert draws["gb300-nvl72-tray-planned"].rated_share is None
    for record in (CarbonIntensity, PowerUsageEffectiveness, Footprint, FailureRate, CheckpointWrite, Goodput):
        assert catalog.operation_facts(record), record.__name__
