"""`planner catalog list`, `search`, `show`, `history` and `sources`: filters, pages, near names, dated series, documents."""

from __future__ import annotations

import json
import sqlite3

import pytest

from planner.catalog.entries import entry
from planner.catalog.user_layer import keep


@pytest.fixture
def listed(planner):
    """The slugs of a list, in order."""

    def call(*arguments: str) -> list[str]:
        outcome = planner("catalog", "list", *arguments, "-f", "json")
        assert outcome.status == 0
        return [item["slug"] for item in json.loads(outcome.out)["items"]]

    return call


def test_accelerators_are_chosen_by_vendor_memory_and_format(listed) -> None:
    found = listed("accelerators", "--vendor", "AMD", "--min-mem", "128GB", "--has", "fp8")
    assert {"mi300x", "mi325x", "mi355x"} <= set(found)
    assert not {"mi250x", "h200-sxm5-141gb", "mi210"} & set(found)
    assert "h100-sxm5-80gb" in listed("accelerators", "--min-mem", "80GB", "--has", "fp8")
    assert "a100-sxm4-80gb" not in listed("accelerators", "--min-mem", "80GB", "--has", "fp8")
    assert "a100-sxm4-40gb" not in listed("accelerators", "--min-mem", "80GiB")


def test_a_number_format_and_that_of_the_answer_stand_in_one_command(planner, listed) -> None:
    """As the issue words it: --vendor amd --min-mem 128GB --format fp8."""
    wanted = ("accelerators", "--vendor", "amd", "--min-mem", "128GB")
    by_has = listed(*wanted, "--has", "fp8", "--has", "int8")
    assert "mi300x" in by_has
    assert listed(*wanted, "--format", "fp8", "-f", "INT8") == by_has
    assert planner("catalog", "list", *wanted, "--format", "fp8").out.split()[:2] == ["slug", "vendor"]
    assert planner("-f", "csv", "catalog", "list", *wanted, "-f", "fp8").out.startswith("slug,layer,")


def test_a_search_is_chosen_by_hardware_too(planner, refused, database: str) -> None:
    def found(*arguments: str) -> set[tuple[str, str]]:
        text = planner("catalog", "search", "mi", *arguments, "-f", "json").out
        return {(item["kind"], item["slug"]) for item in json.loads(text)["items"]}

    chosen = found("--vendor", "amd", "--min-mem", "128GB", "--format", "fp8", "--limit", "1000")
    assert {("accelerators", "mi300x"), ("nodes", "mi300x-oam8"), ("clusters", "mi300x-pool")} <= chosen
    assert ("accelerators", "mi210") in found("--vendor", "amd", "--limit", "1000")
    assert ("accelerators", "mi210") not in chosen
    assert "models" not in {kind for kind, _ in chosen}
    assert found("--kind", "nodes", "--has", "fp4", "--vendor", "amd") <= found("--kind", "nodes")
    assert "models have no vendor to choose by" in refused(
        "catalog", "search", "mi", "--kind", "models", "--vendor", "amd"
    )
    fields = {"slug": "mix-1", "vendor": "amd", "year": 2026, "capacity_bytes": "256 GB", "source": "a test",
              "memory_bandwidth_bytes_per_s": "5 TB/s", "peak_flop_per_s": {"fp8": "1 PFLOP/s"}}  # fmt: skip
    keep(database, [entry("accelerators", fields)])
    assert ("accelerators", "mix-1") in found("--vendor", "amd", "--min-mem", "128GB", "--format", "fp8")


@pytest.mark.parametrize(
    ("option", "word", "said"),
    [
        ("--format", "jsn", "unknown format 'jsn' (did you mean json"),
        ("--format", "fp9", "unknown format 'fp9' (did you mean fp8"),
        ("--has", "fp9", "unknown number format 'fp9' (did you mean fp8"),
        ("--has", "qqq", "unknown number format 'qqq' (one of bf16, fp16,"),
    ],
)
def test_a_format_that_nothing_has_is_refused(planner, option: str, word: str, said: str) -> None:
    outcome = planner("catalog", "list", "accelerators", option, word)
    assert (outcome.status, outcome.out) == (2, "")
    assert said in outcome.err


def test_a_number_format_of_one_s_own_is_known(planner, listed, database: str) -> None:
    fields = {"slug": "mine", "vendor": "amd", "year": 2026, "capacity_bytes": "1 GiB", "source": "a test",
              "memory_bandwidth_bytes_per_s": "5 TB/s", "peak_flop_per_s": {"mxint8": "1 PFLOP/s"}}  # fmt: skip
    keep(database, [entry("accelerators", fields)])
    assert listed("accelerators", "--format", "mxint8") == ["mine"]


def test_nodes_clusters_and_prices_are_chosen_by_their_accelerator(listed) -> None:
    assert set(listed("clusters", "--accelerator", "h100")) >= {"h100-pool"}
    assert "a100-pool" not in listed("clusters", "--vendor", "nvidia", "--has", "fp8")
    assert "mi300x-oam8" in listed("nodes", "--vendor", "amd")
    assert "dgx-h100" not in listed("nodes", "--vendor", "amd")
    assert set(listed("nodes", "--provider", "aws", "--accelerator", "h100")) == {"aws-p5-48xlarge", "aws-p5-4xlarge"}
    assert listed("prices", "--accelerator", "h100", "--provider", "AWS")


def test_a_sorted_list_is_in_order_and_what_is_unknown_comes_last(planner) -> None:
    for sign in ("", "-"):
        text = planner("catalog", "list", "accelerators", "--sort", f"{sign}tdp_w", "-f", "json").out
        powers = [item["tdp_w"] for item in json.loads(text)["items"]]
        known = [power for power in powers if power is not None]
        assert known == sorted(known, reverse=bool(sign))
        assert powers[: len(known)] == known


def test_a_list_is_a_page_with_a_note_of_how_many_more_there_are(planner, listed) -> None:
    every = listed("models")
    outcome = planner("catalog", "list", "models", "--limit", "10", "--offset", "5", "-f", "json")
    document = json.loads(outcome.out)
    assert [item["slug"] for item in document["items"]] == every[5:15]
    assert document["more"] == len(every) - 15
    assert f"6 to 15 are shown, there are {len(every) - 15} more" in outcome.err
    assert listed("models", "--limit", "0") == every
    assert listed("models", "--limit", "0", "--offset", "100") == every[100:]


def test_a_layer_is_listed_alone_and_what_counts_by_default(listed, database: str) -> None:
    keep(database, [
        entry("vendors", {"slug": "amd", "name": "ours", "source": "a test"}),
        entry("vendors", {"slug": "own", "source": "a test"}),
    ])  # fmt: skip
    assert listed("vendors", "--layer", "user") == ["amd", "own"]
    assert listed("vendors").count("amd") == 1
    assert listed("vendors", "--layer", "all").count("amd") == 2
    assert "own" not in listed("vendors", "--layer", "vendor")


def test_an_own_accelerator_without_rates_has_those_of_the_one_that_it_stands_in_for(listed, database: str) -> None:
    fields = {"slug": "mi300x", "vendor": "amd", "year": 2023, "capacity_bytes": "200 GiB",
              "memory_bandwidth_bytes_per_s": "5 TB/s"}  # fmt: skip
    keep(database, [entry("accelerators", {**fields, "source": "a test"})])
    assert "mi300x" in listed("accelerators", "--has", "fp8", "--vendor", "amd")
    assert "mi300x" not in listed("accelerators", "--has", "fp4", "--vendor", "amd")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("models", "--vendor", "amd"), "models have no vendor to choose by"),
        (("accelerators", "--family", "x"), "accelerators have no family to choose by"),
        (("accelerators", "--vendor", "amdd"), "unknown vendor 'amdd' (did you mean amd"),
        (("accelerators", "--sort", "memory"), "unknown column 'memory' (did you mean memory_"),
        (("accelerators", "--min-mem", "lots"), "write 80GiB or 80GB"),
        (("accelerators", "--limit", "-1"), "--limit"),
        (("accelerators", "--layer", "x' OR '1'='1"), ""),
        (("accelerators", "--sort", "slug; DROP TABLE alias"), "unknown column"),
    ],
)
def test_a_filter_that_cannot_be_is_named(planner, arguments: tuple[str, ...], said: str) -> None:
    outcome = planner("catalog", "list", *arguments, "-f", "json")
    if not said:
        assert json.loads(outcome.out)["items"] == []
        return
    assert (outcome.status, outcome.out) == (2, "")
    assert said in outcome.err


@pytest.mark.parametrize("format_name", ["text", "json", "yaml", "csv", "markdown"])
@pytest.mark.parametrize(
    "arguments", [("history", "gpu", "a100"), ("sources",), ("sources", "planner"), ("search", "h100")], ids=" ".join
)
def test_every_look_is_printed_in_every_format(planner, arguments: tuple[str, ...], format_name: str) -> None:
    outcome = planner("catalog", *arguments, "-f", format_name)
    assert outcome.status == 0
    assert outcome.out.strip()
    if format_name == "text":
        assert max(map(len, outcome.out.splitlines())) <= 100


def test_a_size_in_small_letters_is_bytes_and_one_that_may_be_bits_is_refused(planner, listed) -> None:
    assert listed("accelerators", "--min-mem", "128gb") == listed("accelerators", "--min-mem", "128GB")
    assert listed("accelerators", "--min-mem", "128 gib") == listed("accelerators", "--min-mem", "128GiB")
    assert listed("accelerators", "--min-mem", "128gb") != listed("accelerators", "--min-mem", "150gb")
    for unclear in ("128Gb", "128gbit", "128b"):
        outcome = planner("catalog", "list", "accelerators", "--min-mem", unclear)
        assert (outcome.status, "write 80GiB or 80GB" in outcome.err) == (2, True)


def test_a_text_longer_than_any_name_is_not_searched_for(refused) -> None:
    said = "a search for 60,000 characters finds nothing (names have up to 200)"
    assert said in refused("catalog", "search", "a" * 60_000)
    assert said in refused("catalog", "search", "a" * 29_999, "a" * 30_000)
    assert "unknown model 'aaaa" in refused("catalog", "show", "models", "a" * 60_000)


def test_a_name_whose_entry_is_gone_is_said_to_lead_nowhere(planner, refused, database: str) -> None:
    with sqlite3.connect(database.removeprefix("sqlite:///")) as connection:
        connection.execute("INSERT INTO alias VALUES ('clusters', 'gone', 'user', 'gone', 'gone', 'slug')")
    line = refused("plan", "--model", "llama3-7b", "--cluster", "gone", "--tokens", "1B")
    assert "the cluster 'gone' is gone, and only its name is left (planner catalog remove clusters gone" in line
    assert planner("catalog", "remove", "clusters", "gone").status == 0
    assert "unknown cluster 'gone'" in refused("catalog", "show", "clusters", "gone")


def test_a_search_suggests_what_is_spelled_alike(planner) -> None:
    outcome = planner("catalog", "search", "lamma-3-8b")
    assert outcome.status == 0
    assert "did you mean llama-3-8b" in outcome.out
    document = json.loads(planner("catalog", "search", "h100", "--kind", "gpu", "-f", "json").out)
    assert {item["kind"] for item in document["items"]} == {"accelerators"}
    assert document["items"][0]["slug"] == "h100-sxm5-80gb"


def test_a_search_finds_one_s_own_and_says_whose_it_is(planner, database: str) -> None:
    keep(database, [entry("vendors", {"slug": "zeta-works", "source": "a test", "aliases": ["The Zeta"]})])
    (item,) = json.loads(planner("catalog", "search", "zeta", "works", "-f", "json").out)["items"]
    assert (item["slug"], item["layer"], item["kind"]) == ("zeta-works", "user", "vendors")
    assert "zeta-works" in planner("catalog", "search", "eta").out
    assert "The Zeta" in planner("catalog", "show", "vendors", "zeta-works").out


def test_a_history_has_prices_efficiencies_and_the_release_that_brought_the_entry(planner, database: str) -> None:
    items = json.loads(planner("catalog", "history", "gpu", "H100", "--limit", "1000", "-f", "json").out)["items"]
    dates = [item["date"] for item in items]
    assert dates == sorted(dates, reverse=True)
    assert {"price", "efficiency"} <= {item["event"] for item in items}
    assert [(item["event"], item["detail"]) for item in items if "release" in item["event"]] == [
        ("release 2026-11", "added")
    ]
    with sqlite3.connect(database.removeprefix("sqlite:///")) as connection:
        count = connection.execute("SELECT count(*) FROM price WHERE accelerator = 'h100-sxm5-80gb'").fetchone()[0]
    assert sum(item["event"] == "price" for item in items) == count


def test_a_fact_of_the_second_release_was_brought_by_it(planner, database: str) -> None:
    with sqlite3.connect(database.removeprefix("sqlite:///")) as connection:
        slug = connection.execute("SELECT slug FROM pue ORDER BY slug LIMIT 1").fetchone()[0]
    items = json.loads(planner("catalog", "history", "pue", slug, "-f", "json").out)["items"]
    assert [(item["event"], item["detail"]) for item in items] == [("release 2026-11b", "added")]


def test_a_correction_is_in_the_history_with_both_values(planner) -> None:
    items = json.loads(planner("catalog", "history", "gpu", "trainium1", "-f", "json").out)["items"]
    corrected, brought = [item for item in items if "release" in item["event"]]
    assert (corrected["event"], brought["event"]) == ("release 2026-11b", "release 2026-11")
    assert "memory_bandwidth_bytes_per_s" in corrected["detail"]
    old, new = corrected["value"].split(" → ")
    shown = json.loads(planner("catalog", "show", "gpu", "trainium1", "-f", "json").out)
    assert float(new) == shown["memory_bandwidth_bytes_per_s"] != float(old)


def test_one_s_own_entry_and_its_calibration_are_in_its_history(planner, database: str) -> None:
    fields = {"slug": "ours", "vendor": "amd", "year": 2023, "capacity_bytes": "200 GiB", "source_date": "2026-10-01",
              "memory_bandwidth_bytes_per_s": "5 TB/s", "source": "a test"}  # fmt: skip
    factor = {"accelerator": "ours", "metric": "calibrated_arithmetic", "format": "all", "condition": "3 runs",
              "fraction": 0.9, "source": "planner calibrate", "source_date": "2026-11-02"}  # fmt: skip
    keep(database, [entry("accelerators", fields), entry("efficiencies", factor)])
    items = json.loads(planner("catalog", "history", "gpu", "ours", "-f", "json").out)["items"]
    assert [(item["date"], item["event"], item["value"]) for item in items] == [
        ("2026-11-02", "calibration", "0.9"), ("2026-10-01", "brought in", ""),
    ]  # fmt: skip


def test_sources_count_the_facts_that_rest_on_each_document(planner, database: str) -> None:
    items = {item["slug"]: item for item in json.loads(planner("catalog", "sources", "-f", "json").out)["items"]}
    with sqlite3.connect(database.removeprefix("sqlite:///")) as connection:
        count = connection.execute("SELECT count(*) FROM node WHERE document = 'karpenter-aws-1d927085'").fetchone()[0]
    assert items["karpenter-aws-1d927085"]["of"]["nodes"] == count
    facts = json.loads(planner("catalog", "sources", "karpenter-aws-1d927085", "-f", "json").out)["items"]
    assert sum(fact["kind"] == "nodes" for fact in facts) == count
    assert len(facts) == items["karpenter-aws-1d927085"]["facts"]
