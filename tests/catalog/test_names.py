"""A name resolves to one entry, however people spell it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from planner.catalog.kinds import TABLES
from planner.catalog.names import lookup_keys, name_key
from planner.catalog.reader import Catalog
from planner.errors import UnknownNameError

ORACLE = (
    "bloom-560m", "bloom-7b1", "deepseek-v2", "deepseek-v2-lite", "falcon-40b", "falcon-7b", "falcon3-7b",
    "gemma-2-2b", "gemma-2b", "gemma-3-12b-text", "gemma-3-4b-text", "gemma-7b", "gpt-oss-20b", "gpt2",
    "gpt2-medium", "gpt2-xl", "llama-2-70b", "llama-2-7b", "llama-3-70b", "llama-3-8b", "llama-3.1-70b",
    "llama-3.1-8b", "llama-3.2-1b", "llama-3.2-3b", "llama-4-scout-text", "mistral-7b-v0.1", "mistral-7b-v0.3",
    "mixtral-8x7b-v0.1", "open-llama-3b", "opt-1.3b", "opt-125m", "opt-30b", "opt-6.7b", "phi-2", "phi-4-mini",
    "pythia-1.4b", "pythia-160m", "pythia-6.9b", "qwen2.5-0.5b", "qwen2.5-1.5b", "qwen2.5-14b", "qwen2.5-32b",
    "qwen2.5-3b", "qwen2.5-7b", "qwen3-0.6b", "qwen3-1.7b", "qwen3-14b", "qwen3-30b-a3b", "qwen3-32b", "qwen3-4b",
    "salamandra-7b", "smollm2-1.7b", "tinyllama-1.1b",
)  # fmt: skip

TYPED = {
    "llama3-7b": "llama-3-8b",
    "llama3-8b": "llama-3-8b",
    "llama-3-7b": "llama-3-8b",
    "meta-llama/Meta-Llama-3-8B": "llama-3-8b",
    "Llama 3.1 8B": "llama-3.1-8b",
    "meta-llama/Llama-3.1-8B": "llama-3.1-8b",
    "LLAMA3.1-8B (BF16)": "llama-3.1-8b",
    "somebody/Llama-3.1-8B": "llama-3.1-8b",
    "Llama 2 7 B": "llama-2-7b-hf",
    "Falcon 40 B": "falcon-40b",
    "GPT3-175B": "gpt3-175b",
    "GPT-3 175B (MLPerf)": "gpt3-175b",
    "Qwen3 30B a3B": "qwen3-30b-a3b",
    "DeepSeekV3": "deepseek-v3",
    "Nemotron-4 340B": "nemotron-4-340b",
    "MPT-7b": "mpt-7b",
    "phi-1.5": "phi-1-5",
    "google/gemma-3-12b-pt": "gemma-3-12b-it",
}

ACCELERATORS = {
    "a100": "a100-sxm4-80gb",
    "A100-80GB": "a100-sxm4-80gb",
    "NVIDIA A100-SXM4-80GB": "a100-sxm4-80gb",
    "h100": "h100-sxm5-80gb",
    "RTX 4090": "rtx-4090",
    "4090": "rtx-4090",
    "MI300X": "mi300x",
}


@pytest.mark.parametrize("name", ORACLE)
def test_every_name_of_the_oracle_resolves(catalog: Catalog, name: str) -> None:
    assert catalog.architecture(name).layers > 0


@pytest.mark.parametrize(("name", "slug"), TYPED.items())
def test_models_answer_to_the_names_that_people_type(catalog: Catalog, name: str, slug: str) -> None:
    assert catalog.resolve("models", name) == slug


@pytest.mark.parametrize(("name", "slug"), ACCELERATORS.items())
def test_accelerators_answer_to_the_names_that_people_type(catalog: Catalog, name: str, slug: str) -> None:
    assert catalog.resolve("accelerators", name) == slug


def test_a_decimal_point_belongs_to_its_number() -> None:
    assert len({name_key(name) for name in ("qwen-1.5b", "qwen-15b", "qwen-1-5b")}) == 3


def test_only_the_part_after_a_slash_is_tried_alone() -> None:
    assert list(lookup_keys("org/Model-7B (draft)")) == ["orgmodel7b", "model7b"]
    assert list(lookup_keys("(nothing)")) == []


def test_slugs_and_aliases_are_unique_together(catalog: Catalog) -> None:
    for kind in TABLES:
        for slug in catalog.names(kind):
            assert catalog.resolve(kind, slug) == slug
            for alias in catalog.row(kind, slug)["aliases"]:
                assert catalog.resolve(kind, alias) == slug


def test_the_database_refuses_a_second_owner_of_a_name(path: Path) -> None:
    connection = sqlite3.connect(path)
    clash = "INSERT INTO alias VALUES ('models', 'llama38b', 'gh200', 'llama-3-8b', 'other', 'alias')"
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute(clash.replace("llama38b", name_key("llama-3-8b")))
    connection.close()


def test_every_stored_key_is_the_key_of_its_name(made: Path) -> None:
    with sqlite3.connect(made) as connection:
        for alias, key in connection.execute("SELECT alias, key FROM alias"):
            assert name_key(alias) == key


def test_every_alias_leads_to_an_entry(catalog: Catalog, made: Path) -> None:
    entries = {(kind, row["slug"]) for kind in TABLES for row in catalog.rows(kind)}
    with sqlite3.connect(made) as connection:
        assert {(kind, slug) for kind, slug in connection.execute("SELECT kind, slug FROM alias")} == entries


def test_an_unknown_name_comes_back_with_the_nearest_ones(catalog: Catalog) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown model 'llama-3-9b' \(did you mean llama-3-8b"):
        catalog.resolve("models", "llama-3-9b")
    with pytest.raises(UnknownNameError, match=r"unknown kind of entry 'model'.*models"):
        catalog.rows("model")


@pytest.mark.parametrize(
    "name", ["", "   ", "()", "'; DROP TABLE alias; --", "%", "_", "x" * 10_000, "llama\x00", "🦙"]
)
def test_odd_names_are_unknown_and_harmless(catalog: Catalog, name: str) -> None:
    with pytest.raises(UnknownNameError):
        catalog.resolve("models", name)
