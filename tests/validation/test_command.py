"""`planner validate` on files of one's own: contract columns, bad files, a picture."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from planner.cli.command import SectionOption
from planner.cli.main import main
from planner.cli.validate import validate
from planner.validation.memory import MEMORY_COLUMNS
from planner.validation.tables import shipped

STEP = {
    "id": "mine", "model": "tinyllama-1.1b", "seq": "512", "micro_batch": "1", "mode": "bf16", "optimizer": "adamw",
    "peak_total_bytes": "20000000000",
}  # fmt: skip
RUNS = Path(__file__).parents[1] / "data" / "runs" / "measured.csv"


@pytest.fixture
def steps(tmp_path):
    """A file of tracked steps that differ from `STEP` as given."""

    def written(*changes, name="steps.csv"):
        rows = [STEP | change for change in changes] or [STEP]
        path = tmp_path / name
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(dict.fromkeys(column for row in rows for column in row)))
            writer.writeheader()
            writer.writerows(rows)
        return str(path)

    return written


@pytest.fixture
def validated(database, capsys):
    """The exit status, standard output and standard error of a call."""

    def call(*arguments):
        status = main(["validate", "--database", database, *map(str, arguments)])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


def test_a_row_comes_back_followed_by_its_predictions(validated, steps):
    status, out, err = validated("--what", "memory", "--data", steps(), "--format", "csv")
    (row,) = csv.DictReader(io.StringIO(out))
    assert (status, err) == (0, "")
    assert list(row) == [*STEP, *MEMORY_COLUMNS]
    assert row["error"] == ""
    assert int(row["predicted_optstate_bytes"]) >= 4 * 1_100_048_384


def test_the_configs_folder_says_what_a_model_is(validated, steps, tmp_path):
    config = json.loads(shipped("configs/tinyllama-1.1b.json").read_text(encoding="utf-8"))
    folder = tmp_path / "configs"
    folder.mkdir()
    (folder / "mine.json").write_text(json.dumps(config | {"num_hidden_layers": 2}), encoding="utf-8")
    path = steps({"model": "mine"}, {})
    _, out, _ = validated("--what", "memory", "--data", path, "--configs", folder, "--format", "csv")
    small, whole = csv.DictReader(io.StringIO(out))
    assert small["error"] == whole["error"] == ""
    assert int(small["predicted_peak_bytes"]) < int(whole["predicted_peak_bytes"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "no-such-model"}, "unknown"),
        ({"mode": "int3"}, "mode"),
        ({"seq": "many"}, "seq"),
        ({"micro_batch": "-1"}, "micro_batch"),
        ({"optimizer": "no-such-optimizer"}, "optimizer"),
    ],
)
def test_a_row_that_cannot_be_predicted_says_why_and_the_others_go_on(validated, steps, change, said):
    status, out, _ = validated("--what", "memory", "--data", steps(change, {}), "--format", "csv")
    bad, good = csv.DictReader(io.StringIO(out))
    assert status == 0
    assert said in bad["error"]
    assert bad["predicted_peak_bytes"] == ""
    assert good["error"] == ""


def test_an_answer_can_be_validated_again(validated, steps, tmp_path):
    again = tmp_path / "again.csv"
    _, first, _ = validated("--what", "memory", "--data", steps(), "--format", "csv")
    again.write_text(first, encoding="utf-8")
    assert validated("--what", "memory", "--data", again, "--format", "csv")[1] == first


def test_json_has_the_summary_and_typed_rows(validated, steps):
    _, out, _ = validated("--what", "memory", "--data", steps(), "--format", "json")
    document = json.loads(out, parse_constant=pytest.fail)
    assert list(document) == ["schema", "summary", "rows"]
    assert document["schema"] == "planner.validate/1"
    assert document["summary"]["memory"]["peak"]["n"] == 1
    (row,) = document["rows"]
    assert isinstance(row["predicted_peak_bytes"], int)
    assert row["predicted_when_peak"] in ("fwd", "bwd", "opt")


def test_runs_come_back_as_evaluate_answers_them(validated, capsys, database):
    _, out, _ = validated("--what", "time", "--data", RUNS, "--format", "csv")
    assert main(["evaluate", "--database", database, "--runs", str(RUNS), "--format", "csv"]) == 0
    assert out == capsys.readouterr().out


def test_what_a_file_is_shows_in_its_columns(validated, steps):
    assert "tracked steps" in validated("--data", steps())[1]
    assert "measured runs" in validated("--data", RUNS)[1]


def test_text_keeps_within_100_columns(validated, steps):
    for arguments in (("--data", RUNS), ("--data", steps({"model": "no-such-model"}, {}))):
        status, out, _ = validated(*arguments)
        assert status == 0
        assert max(map(len, out.splitlines())) <= 100


@pytest.mark.parametrize("what", ["memory", "time", "all"])
@pytest.mark.parametrize(
    "content",
    [None, b"", b"\x00\x01\x02", b"\xff\xfe\xfa,\n", b'a,"b\n', b"a,a\n1,2\n", b"a,b\n1,2\n"],
    ids=["absent", "empty", "binary", "not UTF-8", "open quote", "column twice", "no known column"],
)
def test_a_file_that_is_no_such_table_is_refused_in_one_line(validated, tmp_path, what, content):
    path = tmp_path / "data.csv"
    if content is not None:
        path.write_bytes(content)
    status, out, err = validated("--what", what, "--data", path)
    assert (status, out) == (2, "")
    assert err.startswith("planner: error:")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("--data", "."),
        ("--what", "memory", "--data", "STEPS", "--configs", "no-such-folder"),
        ("--data", "-"),
        ("--data", "STEPS", "--plot", "picture.docx"),
        ("--data", "STEPS", "--what", "everything"),
    ],
)
def test_bad_options_are_refused(validated, steps, arguments):
    path = steps()
    status, out, err = validated(*(path if word == "STEPS" else word for word in arguments))
    assert (status, out) == (2, "")
    assert err


def test_a_row_with_too_many_cells_is_an_error_of_its_own(validated, tmp_path):
    path = tmp_path / "wide.csv"
    path.write_text(
        "model,seq,micro_batch,mode\nllama-3-8b,512,1,bf16,surplus\nllama-3-8b,512,1,bf16\n", encoding="utf-8"
    )
    _, out, _ = validated("--what", "memory", "--data", path, "--format", "csv")
    wide, good = csv.DictReader(io.StringIO(out))
    assert "5 cells for 4 columns" in wide["error"]
    assert good["error"] == ""


@pytest.mark.parametrize("suffix", ["svg", "png", "pdf"])
def test_a_picture_is_written(validated, steps, tmp_path, suffix):
    pytest.importorskip("matplotlib")
    picture = tmp_path / f"errors.{suffix}"
    status, out, _ = validated("--data", steps(), "--plot", picture)
    assert status == 0
    assert out
    assert picture.read_bytes()[:5] in (b"<?xml", b"\x89PNG\r", b"%PDF-")


def test_an_svg_is_well_formed_and_the_same_every_time(validated, steps, tmp_path):
    pytest.importorskip("matplotlib")
    pictures = [tmp_path / "one.svg", tmp_path / "two.svg"]
    for picture in pictures:
        validated("--data", RUNS, "--plot", picture)
    first, second = (picture.read_text(encoding="utf-8") for picture in pictures)
    assert first == second
    assert ET.fromstring(first).tag == "{http://www.w3.org/2000/svg}svg"


def test_nothing_to_draw_is_said(validated, steps, tmp_path):
    pytest.importorskip("matplotlib")
    status, _, err = validated("--data", steps({"peak_total_bytes": ""}), "--plot", tmp_path / "errors.svg")
    assert status == 2
    assert "no row has both" in err


def test_without_matplotlib_the_extra_is_named(validated, steps, monkeypatch):
    monkeypatch.setattr("planner.reports.pictures.file.find_spec", lambda name: None)
    status, out, err = validated("--data", steps(), "--plot", "errors.svg")
    assert (status, out) == (2, "")
    assert "pip install 'gpu-planner[plot]'" in err


def test_every_option_is_documented():
    document = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
    section = document.split("## `planner validate`")[1].split("\n## ")[0]
    for parameter in validate.params:
        if isinstance(parameter, SectionOption):
            assert f"`{parameter.opts[0]}`" in section
