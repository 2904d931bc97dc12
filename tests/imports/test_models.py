"""`planner catalog import model` and `remove`: models of the user's own."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from planner import importing
from planner.catalog.reader import Catalog
from planner.registry import installed_registry

ORACLE = Path(__file__).parent.parent / "data" / "oracle"
CONFIGS = sorted((ORACLE / "hf_configs").glob("*.json"))
COUNTS = {row["model"]: row for row in csv.DictReader((ORACLE / "params.csv").read_text("utf-8").splitlines())}
LLAMA = ORACLE / "hf_configs" / "llama-3.1-8b.json"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder as Hugging Face's are."""
    folder = tmp_path / "our-llama"
    folder.mkdir()
    shutil.copy(LLAMA, folder / "config.json")
    return folder


def test_every_oracle_configuration_comes_out_of_the_catalog_as_it_was_read(database: str) -> None:
    registry = installed_registry()
    for path in CONFIGS:
        answer = importing.import_model(str(path), slug=f"own-{path.stem}", database=database)
        assert answer["total_params"] == int(COUNTS[path.stem]["total_params"]), path.stem
    with Catalog.open(database) as catalog:
        for path in CONFIGS:
            kept, read = catalog.architecture(f"own-{path.stem}"), importing.read_model(registry, str(path))
            assert kept == replace(read, slug=f"own-{path.stem}"), path.stem


def test_an_imported_model_is_planned_by_slug_and_alias(planner, checkout: Path) -> None:
    answer = json.loads(planner("catalog", "import", "model", str(checkout), "--alias", "Our Model", "-f", "json").out)
    assert (answer["schema"], answer["added"]) == ("planner.catalog.import/1", 1)
    assert answer["items"] == [{"kind": "models", "slug": "our-llama", "outcome": "added"}]
    assert answer["total_params"] == 8_030_261_248
    for name in ("our-llama", "OUR model"):
        planned = planner("plan", "--model", name, "--cluster", "a100-pool", "-f", "json")
        assert json.loads(planned.out)["answer"]["min_gpus"] == 3


def test_the_same_again_changes_nothing_and_another_needs_replace(planner, refused, checkout: Path) -> None:
    model = ("catalog", "import", "model", str(checkout))
    assert "1 added" in planner(*model).out
    assert "1 unchanged" in planner(*model).out
    config = checkout / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text("utf-8")) | {"num_hidden_layers": 16}), encoding="utf-8")
    line = refused(*model)
    assert "your model 'our-llama' is there already and differs in layers (layers '32', now '16')" in line
    assert "--replace puts the new one in its place" in line
    assert "1 replaced" in planner(*model, "--replace").out
    assert json.loads(planner("catalog", "show", "models", "our-llama", "-f", "json").out)["layers"] == 16


def test_replacing_keeps_the_names_that_the_new_one_does_not_speak_of(planner, checkout: Path) -> None:
    planner("catalog", "import", "model", str(checkout), "--alias", "Our Model")
    planner("catalog", "import", "model", str(checkout), "--name", "Ours", "--replace")
    document = json.loads(planner("catalog", "show", "models", "Our Model", "-f", "json").out)
    assert (document["name"], document["aliases"]) == ("Ours", ["Our Model"])


def test_a_model_of_a_released_slug_comes_before_it_and_a_note_says_so(planner, checkout: Path) -> None:
    outcome = planner("catalog", "import", "model", str(checkout), "--slug", "gpt2")
    assert outcome.status == 0
    assert "yours now come before the released: model gpt2" in outcome.err
    assert json.loads(planner("catalog", "show", "models", "gpt2", "-f", "json").out)["layers"] == 32
    assert planner("catalog", "remove", "models", "gpt2").out == "model gpt2 is removed\n"
    assert json.loads(planner("catalog", "show", "models", "gpt2", "-f", "json").out)["layers"] == 12


def test_only_the_user_s_own_are_removed(planner, refused, checkout: Path) -> None:
    line = refused("catalog", "remove", "models", "llama3-7b")
    assert "model 'llama-3-8b' is released, not yours" in line
    planner("catalog", "import", "model", str(checkout))
    assert "did you mean our-llama?" in refused("catalog", "remove", "models", "our-lama")
    planner("catalog", "remove", "model", "Our Llama")
    assert "unknown model 'our-llama'" in refused("catalog", "show", "models", "our-llama")


def test_a_name_that_is_another_entry_s_already_is_refused(planner, refused, checkout: Path) -> None:
    planner("catalog", "import", "model", str(checkout), "--alias", "best")
    line = refused("catalog", "import", "model", str(checkout), "--slug", "second", "--alias", "BEST")
    assert "the name 'BEST' is that of your 'our-llama' already" in line
    line = refused("catalog", "import", "model", str(checkout), "--slug", "our_llama")
    assert "the name 'our_llama' is that of your 'our-llama' already" in line


def test_a_released_entry_s_name_is_refused_and_its_slug_puts_the_new_one_in_its_place(
    planner, refused, checkout: Path
) -> None:
    for name in ("llama3-8b", "LLaMA 3 8B", "llama3-7b"):
        line = refused("catalog", "import", "model", str(checkout), "--alias", name)
        assert f"model 'our-llama': the name '{name}' is that of the released 'llama-3-8b' already" in line
        assert "choose another, or give the entry the slug llama-3-8b" in line
    assert "the name 'llama3-8b'" in refused("catalog", "import", "model", str(checkout), "--slug", "llama3-8b")
    said = planner("catalog", "import", "model", str(checkout), "--slug", "llama-3-8b", "--alias", "LLaMA 3 8B")
    assert (said.status, "yours now come before the released: model llama-3-8b" in said.err) == (0, True)
    # Nor may an entry that stands in for one fact take the name of another.
    line = refused("catalog", "import", "model", str(checkout), "--slug", "llama-3-70b", "--alias", "llama-3.1-8b")
    assert "is that of the released 'llama-3.1-8b' already" in line


@pytest.mark.parametrize(
    ("name", "usual"), [("ｌｌａｍａ-2-7b", "l"), ("llama-2-７b", "7"), ("\u24dbama", "l"), ("ﬁne", "fi"), ("x²", "2")]
)
def test_another_form_of_a_usual_letter_or_digit_is_refused(refused, checkout: Path, name: str, usual: str) -> None:
    assert f"another form of '{usual}' (write that)" in refused(
        "catalog", "import", "model", str(checkout), "--alias", name
    )


@pytest.mark.parametrize("slug", ["../up", "Upper", "a b", "x'; DROP TABLE alias; --", "ll\u0430ma", "", "a" * 121])
def test_a_slug_that_could_be_taken_for_something_else_is_refused(refused, checkout: Path, slug: str) -> None:
    line = refused("catalog", "import", "model", str(checkout), "--slug", slug)
    assert "slug" in line


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ll\u0430ma", "mixes Cyrillic and Latin letters"),
        ("a\u202eb", "holds the character U+202E, which does not show"),
        ("a\u200bb", "U+200B"),
        ("\u0430\u0440\u0435", "looks Latin but is Cyrillic"),
        ("a\x1b[31m", "U+001B"),
        ("x" * 201, "is longer than 200 characters"),
    ],
)
def test_a_name_that_does_not_show_what_it_is_is_refused(refused, checkout: Path, name: str, said: str) -> None:
    assert said in refused("catalog", "import", "model", str(checkout), "--name", name)


@pytest.mark.parametrize("name", ["Модель 8B", "模型 8B", "Größe 8B", "64 × Ω-net", "RTX™ 8B", "テスト 8B"])
def test_a_name_in_any_one_alphabet_is_taken(planner, checkout: Path, name: str) -> None:
    assert planner("catalog", "import", "model", str(checkout), "--name", name, "--slug", "ours").status == 0


def test_a_folder_is_a_model_wherever_a_config_is(planner, refused, checkout: Path, monkeypatch) -> None:
    monkeypatch.chdir(checkout.parent)
    for name in ("our-llama", "our-llama/", "./our-llama", str(checkout)):
        outcome = planner("catalog", "params", "--model", name, "-f", "json")
        assert json.loads(outcome.out)["total_params"] == 8_030_261_248
    assert planner("catalog", "params", "--model-config", "our-llama").status == 0
    (checkout / "config.json").unlink()
    assert "./our-llama is a folder without a config.json" in refused("catalog", "params", "--model", "./our-llama")


def test_a_catalog_s_model_is_not_hidden_by_a_folder_of_its_name(planner, checkout: Path, monkeypatch) -> None:
    checkout.rename(checkout.parent / "gpt2")
    monkeypatch.chdir(checkout.parent)
    assert json.loads(planner("catalog", "params", "--model", "gpt2", "-f", "json").out)["family"] == "GPT-2"
