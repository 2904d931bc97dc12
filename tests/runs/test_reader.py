"""The file of runs: what is read, what is refused as no such file, what a row becomes."""

import io

import pytest

from planner.errors import InputError
from planner.importers.csv_table import LARGEST_FILE_BYTES
from planner.importers.runs import Vocabulary, parse_row, read_runs

VOCABULARY = Vocabulary(methods=("full", "lora"))


@pytest.fixture
def written(tmp_path):
    def write(content):
        path = tmp_path / "runs.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


def test_columns_keep_their_order_and_rows_their_text(written):
    found = read_runs(written('id,gpu,n_gpus,note\n1,a100,8,"two\nlines, one cell"\n'))
    assert found.columns == ("id", "gpu", "n_gpus", "note")
    assert found.rows == ({"id": "1", "gpu": "a100", "n_gpus": "8", "note": "two\nlines, one cell"},)


@pytest.mark.parametrize(
    "content", [b"\xef\xbb\xbfgpu,n_gpus\r\nh100,8\r\n", b"gpu,n_gpus\n\nh100,8\n\n", b"gpu , n_gpus\nh100,8"]
)
def test_marks_line_ends_and_blank_lines_do_not_matter(written, content):
    found = read_runs(written(content))
    assert found.columns == ("gpu", "n_gpus")
    assert found.rows == ({"gpu": "h100", "n_gpus": "8"},)


def test_a_short_row_has_empty_cells_and_a_long_one_is_broken(written):
    found = read_runs(written("gpu,n_gpus,tp\nh100,8\nh100,8,1,9\nh100,8,1,\n"))
    assert [row["tp"] for row in found.rows] == ["", "1", "1"]
    assert list(found.broken) == [1]


def test_a_header_alone_is_a_file_without_runs(written):
    assert read_runs(written("gpu_slug,n_gpus\n")).rows == ()


def test_minus_is_standard_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"gpu,n_gpus\nh100,8\n")))
    assert len(read_runs("-").rows) == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no header"),
        (b"\n \n", "no header"),
        (b"tp,pp\n1,1\n", "no column gpu"),
        (b"gpu,tp\nh100,1\n", "n_gpus"),
        (b"n_gpus\n8\n", "gpu"),
        (b"gpu;n_gpus\nh100;8\n", "comma-separated"),
        (b"gpu,n_gpus,tp,tp\n", "twice"),
        (b"PK\x03\x04\x00\x00", "not a text file"),
        (b"gpu,n_gpus\n\xff\xfe\xfa,8\n", "UTF-8"),
        (b'gpu,n_gpus\n"h100,8\n', "not a CSV file"),
        (b"gpu,n_gpus\n" + b"x" * 200_000 + b",8\n", "not a CSV file"),
    ],
)
def test_what_is_no_table_of_runs_is_refused_in_one_line(written, content, words):
    with pytest.raises(InputError) as caught:
        read_runs(written(content))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", ["missing.csv", ".", "nul\0.csv"])
def test_what_cannot_be_opened_is_refused(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError):
        read_runs(path)


def test_a_file_too_large_is_refused(tmp_path):
    path = tmp_path / "large.csv"
    with path.open("wb") as file:
        file.truncate(LARGEST_FILE_BYTES + 1)
    with pytest.raises(InputError, match="larger than"):
        read_runs(str(path))


def test_a_row_without_its_number_of_gpus_is_an_error():
    with pytest.raises(InputError, match=r"^n_gpus: "):
        parse_row({"gpu": "h100", "n_gpus": " "}, VOCABULARY)


def test_what_a_row_leaves_open_is_none():
    row = parse_row({"gpu": "h100", "n_gpus": "8", "precision": "unknown", "vpp": ""}, VOCABULARY)
    assert row.precision is None
    assert row.method is None
    assert dict(row.degrees) == {}
    assert row.peak_kind.name == "allocated"


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ({"model_name": "Llama 2 70B LoRA (MLPerf)"}, "lora"),
        ({"framework": "NeMo AutoModel (PyTorch FSDP2) LoRA"}, "lora"),
        ({"model_name": "LLAMA2-70B SFT"}, "full"),
        ({"model_name": "Llama 2 70B", "finetune_method": "lora:8"}, "lora"),
    ],
)
def test_a_silent_method_is_read_from_the_names(cell, expected):
    row = parse_row({"gpu": "h100", "n_gpus": "8", **cell}, VOCABULARY)
    assert row.method.name == expected


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ({"offload": "cpu params"}, "parameters"),
        ({"zero_stage_or_fsdp": "ZeRO-3 + full CPU offload"}, "parameters"),
        ({"optimizer": "AdamW (CPU offload)"}, "optimizer"),
    ],
)
def test_an_offload_is_seen_in_whichever_column_says_it(cell, expected):
    assert parse_row({"gpu": "h100", "n_gpus": "8", **cell}, VOCABULARY).offload.name == expected


def test_a_schedule_is_a_registered_one():
    vocabulary = Vocabulary(schedules=("1f1b", "dualpipe"))
    assert parse_row({"n_gpus": "8", "schedule": "DualPipe"}, vocabulary).schedule == "dualpipe"
    assert parse_row({"n_gpus": "8"}, vocabulary).schedule is None
    with pytest.raises(InputError, match="schedule: 'zigzag' is not known"):
        parse_row({"n_gpus": "8", "schedule": "zigzag"}, vocabulary)
