"""Where each peak of an accelerator of one's own was read: in, shown, out, and through a downgrade."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

CARD = {
    "slug": "our-card", "vendor": "nvidia", "year": 2026, "capacity_bytes": "80 GiB",
    "memory_bandwidth_bytes_per_s": "3 TB/s", "source": "our rack", "source_date": "2026-10-01",
    "peak_flop_per_s": {"bf16": "500 TFLOP/s", "fp8": "1000 TFLOP/s"},
    "peak_sources": {
        "fp8": {
            "source": "the maker's letter", "source_date": "2026-05", "document": "our-letter", "confidence": "medium",
        },
    },
}  # fmt: skip
LETTER = {"slug": "our-letter", "name": "A letter"}


def brought(planner, tmp_path: Path, card: dict, *more: str):
    file = tmp_path / "ours.yaml"
    file.write_text(yaml.safe_dump({"sources": [LETTER], "accelerators": [card]}), encoding="utf-8")
    return planner("catalog", "import", "rows", str(file), *more)


def peaks(planner) -> dict[str, dict]:
    shown = json.loads(planner("catalog", "show", "accelerator", "our-card", "-f", "json").out)
    return {each["format"]: each for each in shown["peaks"]}


def test_a_peak_has_its_own_source_or_that_of_its_accelerator(planner, database, tmp_path):
    assert brought(planner, tmp_path, CARD).status == 0
    found = peaks(planner)
    assert found["fp8"] == {
        "format": "fp8", "dense_flop_per_s": 1e15, "source": "the maker's letter", "source_date": "2026-05",
        "document": "our-letter", "confidence": "medium",
    }  # fmt: skip
    assert (found["bf16"]["source"], found["bf16"]["source_date"]) == ("our rack", "2026-10-01")
    text = planner("catalog", "show", "accelerator", "our-card").out
    assert "the maker's letter" in text
    assert "1,000 TFLOP/s" in text


def test_documents_list_the_peaks_that_rest_on_them(planner, database, tmp_path):
    brought(planner, tmp_path, CARD)
    listed = json.loads(planner("catalog", "sources", "-f", "json").out)["items"]
    assert next(each["of"] for each in listed if each["slug"] == "our-letter") == {"peaks": 1}
    (fact,) = json.loads(planner("catalog", "sources", "our-letter", "-f", "json").out)["items"]
    assert (fact["kind"], fact["slug"], fact["name"], fact["layer"]) == ("peaks", "our-card", "fp8", "user")
    released = json.loads(planner("catalog", "sources", "amd-cdna4-whitepaper", "-f", "json").out)["items"]
    assert ("mi355x", "fp8") in {(each["slug"], each["name"]) for each in released}


@pytest.mark.parametrize("ending", ["json", "yaml", "csv"])
def test_what_is_exported_is_what_was_brought_in(planner, database, tmp_path, ending):
    brought(planner, tmp_path, CARD)
    before = peaks(planner)
    file = tmp_path / f"back.{ending}"
    file.write_text(planner("catalog", "export", "all", "-f", ending).out, encoding="utf-8")
    planner("catalog", "remove", "accelerators", "our-card")
    assert planner("catalog", "import", "rows", str(file)).status == 0
    assert peaks(planner) == before


def test_another_source_is_a_difference_that_replace_puts_in_its_place(planner, database, tmp_path):
    brought(planner, tmp_path, CARD)
    other = {**CARD, "peak_sources": {"fp8": "a second letter"}}
    refused = brought(planner, tmp_path, other)
    assert refused.status == 2
    assert "differs in peak_sources" in refused.err
    assert brought(planner, tmp_path, other, "--replace").status == 0
    found = peaks(planner)["fp8"]
    assert (found["source"], found["document"], found["confidence"]) == ("a second letter", None, "high")


def test_an_entry_that_says_nothing_of_sources_leaves_those_of_rates_that_stay(planner, database, tmp_path):
    brought(planner, tmp_path, CARD)
    before = peaks(planner)
    silent = {name: value for name, value in CARD.items() if name != "peak_sources"}
    assert brought(planner, tmp_path, silent).status == 0
    assert brought(planner, tmp_path, {**silent, "year": 2027}, "--replace").status == 0
    assert peaks(planner) == before
    faster = {**silent, "peak_flop_per_s": {"bf16": "500 TFLOP/s", "fp8": "1100 TFLOP/s"}}
    assert brought(planner, tmp_path, faster, "--replace").status == 0
    assert peaks(planner)["fp8"]["source"] == "our rack"


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        ({"fp4": "x"}, "there is no rate 'fp4' in peak_flop_per_s"),
        ({"fp8": {"document": "our-letter"}}, "fp8: source is missing"),
        ({"fp8": {"source": "x", "page": 3}}, "unknown field of peak_sources 'page'"),
        ({"fp8": {"source": "x", "document": "no-such"}}, "no source 'no-such'"),
        ({"fp8": {"source": "x", "source_date": "soon"}}, "source_date 'soon' is no date"),
        ({"fp8": {"source": "x", "confidence": "sure"}}, "confidence"),
        (["fp8"], "peak_sources must map formats to sources"),
    ],
)
def test_what_cannot_be_a_source_is_refused(planner, database, tmp_path, sources, said):
    outcome = brought(planner, tmp_path, {**CARD, "peak_sources": sources})
    assert outcome.status == 2
    assert said in outcome.err


def test_the_sources_wait_through_a_downgrade_and_come_back(planner, database, tmp_path):
    brought(planner, tmp_path, CARD)
    before = peaks(planner)
    planner("db", "downgrade", "0005")
    waiting = json.loads(planner("db", "parked", "-f", "json").out)["items"]
    assert [(each["table"], each["slug"]) for each in waiting] == [("peak_source", "our-card")]
    planner("db", "upgrade")
    assert peaks(planner) == before
    assert planner("db", "check").status == 0
