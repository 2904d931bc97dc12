"""Files that no one means well with: each is refused in one line, exit status 2, quickly, within little memory."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import sqlite3
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planner import importing
from planner.errors import PlannerError
from planner.importers import documents, files
from planner.importers.documents import parse_document
from planner.importers.machines import formats, parsed, recognised
from planner.units import GIB, MIB

SAMPLES = sorted(
    path for path in (Path(__file__).parent.parent / "data" / "machines").iterdir() if path.suffix != ".md"
)
POOL = Path(__file__).parents[2] / "docs" / "examples" / "our-pool.yaml"
CONFIG = Path(__file__).parent.parent / "data" / "oracle" / "hf_configs" / "llama-3-8b.json"
SLOWEST_S = 5.0
"""Of the processor; most take milliseconds."""
MOST_MEMORY = 300 * MIB

LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE nvidia_smi_log [<!ENTITY a0 "ha">'
    + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    + "]><nvidia_smi_log><gpu><product_name>&a9;</product_name></gpu></nvidia_smi_log>"
)
OUTSIDE = (
    '<?xml version="1.0"?><!DOCTYPE nvidia_smi_log [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    "<nvidia_smi_log><gpu><product_name>&x;</product_name></gpu></nvidia_smi_log>"
)
BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{f'*a{n - 1}, ' * 9}]\n" for n in range(1, 12))
SQL = "x'); DROP TABLE alias; --"
VENDOR = '{{"vendors": [{{"slug": "a", "name": {}, "source": "a test"}}]}}'
CHIP = "accelerators:\n  - {{slug: a, vendor: nvidia, year: 2026, memory_bandwidth_bytes_per_s: 1e12, capacity_bytes: {}}}\n"


@pytest.fixture
def endured(refused, tmp_path: Path):
    """The line with which a file is refused, within the time and the memory that are allowed."""

    def call(command: str, name: str, content: str | bytes, *more: str) -> str:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        tracemalloc.start()
        started = time.process_time()
        try:
            line = refused("catalog", "import", command, str(path), *more)
            assert time.process_time() - started < SLOWEST_S
            assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY
        finally:
            tracemalloc.stop()
        return line

    return call


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.yaml", BOMB, "anchors and aliases (& and *) are not accepted"),
        ("x.yaml", "vendors: &v\n  - slug: a\n", "line 1: anchors and aliases"),
        ("x.yaml", "vendors:\n  - !!python/object/apply:os.system ['true']\n", "could not determine a constructor"),
        ("x.yaml", "[" * 10_000, "nested"),
        ("x.yaml", "- " * 5000 + "a", "nested more than 24 deep"),
        ("x.yaml", "{a: " * 1000 + "}" * 1000, "malformed JSON"),
        ("x.yaml", "vendors:\n  - slug: a\n    slug: b\n", "line 3: the key 'slug' is there twice"),
        ("x.yaml", "vendors:\n  - slug: a\n---\nvendors: []\n", "a second document begins"),
        ("x.yaml", "? [a, b]\n: c\n", "cannot be a key"),
        ("x.yaml", "a: 1\nb: " + "9" * 10_000, "malformed YAML: a number has too many digits at line 2"),
        ("x.yaml", "a: 1\nb: " + ":".join(["59"] * 300_000), "malformed YAML: a number has too many digits at line 2"),
        ("x.json", '{"vendors": [' + "{}," * 1_000_000 + "{}]}", "holds more than 1,000,000 objects and lists"),
        ("x.yaml", "vendors:\n  - slug: a\n    source_date: 2026-02-30\n", "day is out of range for month at line 3"),
        ("x.json", '{"vendors": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deeply"),
        ("x.json", '{"vendors": [{"slug": "a", "slug": "b"}]}', "the key 'slug' is there twice in one object"),
        ("x.json", VENDOR.format("NaN"), "NaN is not a JSON number"),
        ("x.json", VENDOR.format("-Infinity"), "-Infinity is not a JSON number"),
        ("x.json", VENDOR.format("1" * 10_000), "a number has too many digits"),
        ("x.json", VENDOR.format('"' + "x" * 100_000 + '"'), "is longer than 200 characters"),
        ("x.json", VENDOR.format("[[[[1]]]]"), "name must be a text, not a list"),
        ("x.json", VENDOR.format("true"), "name must be a text, not 'True'"),
        ("x.json", VENDOR.format(json.dumps("a\u202egnp.exe")), "U+202E, which does not show"),
        ("x.json", VENDOR.format(json.dumps("n\u0430me")), "mixes Cyrillic and Latin letters"),
        ("x.json", VENDOR.format(json.dumps("a\u0000b")), "U+0000"),
        ("x.json", VENDOR.format('"\\ud800"'), "U+D800"),
        *(
            ("x.json", VENDOR.format(json.dumps(f"{sign}cmd|' /C calc'!A0")), "begins as a formula of spreadsheets does")
            for sign in "=+-@\uff1d"
        ),
        ("x.json", json.dumps({"vendors": [{"slug": "a", "note": "\t=1+1"}]}), "note '\\t=1+1' begins as a formula"),
        ("x.csv", 'entry,slug,name,aliases\nvendors,a,A,"[""@SUM(1)""]"', "alias '@SUM(1)' begins as a formula"),
        ("x.json", '{"vendors": [{"slug": "../../etc/passwd"}]}', "is no slug"),
        ("x.json", json.dumps({"vendors": [{"slug": SQL}]}), "is no slug"),
        ("x.json", json.dumps({"vendors": [{"slug": "a", SQL: 1}]}), "unknown field"),
        ("x.json", json.dumps({SQL: []}), "unknown kind"),
        ("x.json", json.dumps({"vendors": [{"slug": "a", "aliases": ["b"] * 100_000}]}), "aliases are more than 64"),
        ("x.json", json.dumps({"vendors": [{"slug": "a", "note": "\x1b[2J"}]}), "U+001B"),
        ("x.yaml", CHIP.format(".nan"), "must be a finite number, not 'nan'"),
        ("x.yaml", CHIP.format(".inf"), "must be a finite number, not 'inf'"),
        ("x.yaml", CHIP.format("-80"), "must not be negative"),
        ("x.yaml", CHIP.format("-80GiB"), "is negative"),
        ("x.yaml", CHIP.format("0"), "must be above 0"),
        ("x.yaml", CHIP.format("1.5"), "must be a whole number"),
        ("x.yaml", CHIP.format("1" + "0" * 25), "is more than 9,223,372,036,854,775,807"),
        ("x.yaml", CHIP.format("1" + "0" * 400), "is more than 1e+30"),
        ("x.yaml", CHIP.format("0x1p9999"), "can be read"),
        ("x.yaml", CHIP.format('"1e9999"'), "must be a finite number"),
        ("x.yaml", CHIP.format("[80]"), "must be a number, not a list"),
        ("x.yaml", CHIP.format("true"), "must be a number, not 'True'"),
        ("x.yaml", b"vendors:\n  - slug: \xff\xfe\n", "is not UTF-8"),
        ("x.yaml", b"vendors:\n  - slug: a\0b\n", "is NUL"),
        ("x.csv", b"entry,slug\nvendors,a\0b\n", "line 2 holds a NUL"),
        ("x.csv", b"entry,slug\nvendors,\xff\n", "is not UTF-8"),
        ("x.csv", "entry,slug\nvendors," + "a" * (2 * MIB), "line 2 is longer than 1 MiB"),
        ("x.csv", 'entry,slug\nvendors,"a', "is not a CSV file"),
        ("x.csv", "entry,slug,slug\nvendors,a,b\n", "has the column 'slug' twice"),
        ("x.csv", ",".join(f"c{index}" for index in range(10_000)), "has 10,000 columns"),
        ("x.csv", "entry,slug,aliases\nvendors,a,[[[[\n", "is malformed JSON"),
        ("x.csv", "", "has no header"),
        ("x.json", "[]", "holds no entries"),
        ("x.yaml", "", "holds no entries"),
    ],
    ids=lambda value: None if isinstance(value, bytes) else str(value)[:30].encode("ascii", "replace").decode(),
)  # fmt: skip
def test_a_file_of_entries_that_means_no_good_is_refused(endured, name: str, content: str | bytes, said: str) -> None:
    assert said in endured("rows", name, content)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("smi.xml", LAUGHS, "XML that defines entities is not accepted"),
        ("smi.xml", OUTSIDE, "XML that defines entities is not accepted"),
        ("smi.xml", "<nvidia_smi_log>" + "<gpu>" * 100_000, "XML nested more than 24 deep"),
        ("smi.xml", "<nvidia_smi_log>" + "<a/>" * 100_001, "more than 100,000 XML elements"),
        ("smi.xml", "<nvidia_smi_log><gpu>", "malformed XML: no element found at line 1"),
        ("smi.xml", "<nvidia_smi_log><gpu></gpu></nvidia_smi_log>", "a <gpu> has no <product_name>"),
        ("smi.csv", "name, memory.total [MiB]\n" + "NVIDIA H100 PCIe, 81559 MiB\n" * 2000, "are more than there can be"),
        ("smi.csv", 'name, memory.total [MiB]\n"a\n', "malformed CSV"),
        ("sinfo.txt", "NODELIST GRES\nn[1-999999999] gpu:h100:8\n", "is more than 100,000 nodes"),
        ("sinfo.txt", "NODELIST GRES\n" + "n[1-99999] gpu:h100:8\nm[1-99999] gpu:h100:8\n", "more than 100,000 nodes"),
        ("sinfo.txt", "NODELIST GRES\nn[1-2,x] gpu:h100:8\n", "is no list of nodes"),
        ("sinfo.txt", "NODELIST GRES\nn[3-1] gpu:h100:8\n", "'n[3-1]' is no list of nodes"),
        ("sinfo.txt", "NODELIST GRES\nn[001-016,02 gpu:h100:8\n", "line 2: the list of nodes 'n[001-016,02' is cut"),
        ("sinfo.txt", "PARTITION NODES GRES\na -4 gpu:h100:8\n", "line 2: NODES must be a whole number from 0 up, not '-4'"),
        ("sinfo.txt", "NODELIST GRES\nn1 gpu:h100:8\nn2 gpu:h100:-8\n", "line 3: 'gpu:h100:-8' counts no GPUs"),
        ("sinfo.txt", "NODELIST GRES\nn1 gpu:h100:4.5\n", "line 2: 'gpu:h100:4.5' counts no GPUs"),
        ("sinfo.txt", "NODELIST GRES MEMORY\nn1 gpu:h100:8 -1\n", "line 2: memory in MB must be a whole number"),
        ("nodes.txt", "NodeName=n[1-2 Gres=gpu:h100:8\n", "node 1: the list of nodes 'n[1-2' is cut"),
        ("sinfo.txt", "NODELIST GRES\nn1 gpu:h100:999999\n", "are more than there can be"),
        ("sinfo.txt", "NODELIST GRES\nn1\n", "line 2 has 1 columns, the header 2"),
        ("sinfo.txt", "NODELIST GRES\nn1 gpu:\u0430100:8\n", "knows no accelerator '\u0430100'"),
        ("smi.json", '{"card0": {"Card Series": "\u202eMI9X"}}', "knows no accelerator '\\u202eMI9X'"),
        ("smi.json", '{"card0": 3}', "card0 must be an object"),
        ("smi.json", '{"card0": {"Card Series": 3}}', "card0 has no 'Card Series'"),
        ("smi.json", '{"card0": ' + "[" * 100_000, "nested too deeply"),
        ("nodes.json", '{"kind": "List", "items": 3, "metadata": {}}', "no items"),
        ("nodes.json", '{"kind": "List", "items": [3, null, {"status": 7}], "metadata": {}}', "item 1 must be an object"),
    ],
    ids=lambda value: str(value)[:30].encode("ascii", "replace").decode(),
)  # fmt: skip
def test_an_output_of_a_tool_that_means_no_good_is_refused(endured, name: str, content: str, said: str) -> None:
    assert said in endured("cluster", name, content, "--slug", "x")


@pytest.mark.parametrize("command", ["rows", "cluster", "model"])
@pytest.mark.parametrize("name", ["big.json", "big.yaml"])
def test_a_gigabyte_is_refused_before_it_is_read(refused, tmp_path: Path, command: str, name: str) -> None:
    path = tmp_path / name
    with path.open("wb") as file:
        file.write(b"{" if name.endswith("json") else b"a: ")
        file.truncate(GIB)
    tracemalloc.start()
    started = time.process_time()
    line = refused("catalog", "import", command, str(path))
    assert time.process_time() - started < SLOWEST_S
    assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY
    tracemalloc.stop()
    assert "larger than" in line


@pytest.mark.parametrize("command", ["rows", "cluster", "model"])
def test_what_is_no_file_is_refused(refused, tmp_path: Path, command: str) -> None:
    assert "x.json" in refused("catalog", "import", command, str(tmp_path / "x.json"))
    assert "folder" in refused("catalog", "import", command, str(tmp_path))


def test_yaml_of_more_values_than_there_is_memory_for_is_refused(endured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MOST_VALUES", 2_000)
    assert "holds more than 2,000 values" in endured("rows", "x.yaml", "vendors: [" + "{}," * 2_000 + "]")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes there")
@pytest.mark.parametrize("command", [
    ("catalog", "import", "rows"), ("catalog", "import", "cluster"), ("catalog", "import", "model"), ("evaluate", "--runs"),
])  # fmt: skip
@pytest.mark.parametrize("ending", ["yaml", "csv", "json"])
def test_a_pipe_into_which_nobody_writes_is_not_waited_for(
    refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], ending: str
) -> None:
    monkeypatch.setattr(files, "PIPE_TIMEOUT_S", 0.2)
    os.mkfifo(path := tmp_path / f"pipe.{ending}")
    # A writer at last, so that a reader that waits fails the test instead of stopping it.
    late = threading.Timer(5, lambda: os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK)))
    late.start()
    try:
        assert "is a pipe that gave nothing for 0.2 s" in refused(*command, str(path))
    finally:
        late.cancel()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes there")
@pytest.mark.parametrize(
    ("command", "ending", "content"),
    [
        ("rows", "yaml", "vendors:\n  - {slug: acme, name: Acme}\n"),
        ("rows", "csv", "entry,slug,name\nvendors,acme,Acme\n"),
        ("model", "json", CONFIG.read_text()),
    ],
)
def test_a_pipe_that_is_written_late_and_in_parts_is_read(
    planner, tmp_path: Path, command: str, ending: str, content: str
) -> None:
    os.mkfifo(path := tmp_path / f"pipe.{ending}")

    def write() -> None:
        with path.open("w") as pipe:
            for part in (content[:9], content[9:]):
                time.sleep(0.2)
                pipe.write(part)
                pipe.flush()

    writer = threading.Thread(target=write)
    writer.start()
    outcome = planner("catalog", "import", command, str(path), "-f", "json")
    writer.join()
    assert (outcome.status, outcome.err) == (0, "")
    assert json.loads(outcome.out)["added"] == 1


def test_a_config_on_standard_input_is_utf_8_in_any_locale(refused, monkeypatch: pytest.MonkeyPatch) -> None:
    content = CONFIG.read_bytes().replace(b'"llama"', b'"llama\xff"')
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", errors="surrogateescape"))
    assert "not a UTF-8 text" in refused("catalog", "import", "model", "-", "--slug", "x")


def test_a_note_may_begin_a_list(planner, tmp_path: Path) -> None:
    note = "- bought in May\n- on loan"
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"vendors": [{"slug": "acme", "name": "Acme", "note": note}]}), encoding="utf-8")
    planner("catalog", "import", "rows", str(path))
    found = json.loads(planner("catalog", "export", "vendors", "-f", "json").out)
    assert note in json.dumps(found).replace("\\n", "\n")


def test_sql_in_names_is_text(planner, database: str) -> None:
    for arguments in (("search", SQL), ("show", "models", SQL), ("remove", "models", SQL), ("history", "models", SQL)):
        outcome = planner("catalog", *arguments)
        assert outcome.status in (0, 2)
        assert outcome.err.count("\n") <= 1
    assert planner("catalog", "show", "models", "llama-3-8b").status == 0


def test_a_name_that_was_written_by_hand_does_not_steer_the_terminal(planner, database: str) -> None:
    path = database.removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE vendor SET name = ? WHERE slug = 'amd'", ("A\x1b[31mM\u200bD\u202e\u200f\x9b",))
        connection.commit()
    for arguments in (("list", "vendors"), ("show", "vendors", "amd"), ("search", "amd")):
        outcome = planner("catalog", *arguments)
        assert (outcome.status, outcome.err) == (0, "") or "closest" in outcome.err
        assert "A?[31mM?D???" in outcome.out


def refusal(work: Callable[[], object]) -> str:
    """The line with which `work` is refused; empty where it is done."""
    try:
        work()
    except PlannerError as refused:
        return str(refused)
    return ""


def mutated(content: bytes, seed: int) -> bytes:
    """`content` with a few bytes changed, dropped, doubled or swapped."""
    chance = random.Random(seed)
    changed = bytearray(content)
    for _ in range(chance.randint(1, 12)):
        place = chance.randrange(len(changed)) if changed else 0
        match chance.randrange(5):
            case 0:
                changed[place : place + 1] = bytes([chance.randrange(256)])
            case 1:
                del changed[place : place + chance.randint(1, 40)]
            case 2:
                changed[place:place] = changed[place : place + chance.randint(1, 200)]
            case 3:
                changed[place:place] = chance.choice(
                    [b"-1", b"1e999", b"NaN", b"\xe2\x80\xae", b"[[[[", b"&a", b"*a", b"\0", b'"']
                )
            case 4:
                changed = (
                    changed[: place + 1] + bytes(reversed(changed[place + 1 : place + 30])) + changed[place + 30 :]
                )
    return bytes(changed)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(sample=st.sampled_from(SAMPLES), seed=st.integers(0, 2**32))
def test_a_damaged_output_is_read_or_refused_and_never_fails_otherwise(sample: Path, seed: int) -> None:
    text = mutated(sample.read_bytes(), seed).decode("utf-8", "replace")
    for found in (recognised(text), *formats().values()):
        if found is None:
            continue
        line = refusal(lambda found=found: parsed(text, sample.name, found))
        assert "\n" not in line
        assert len(line) < 500


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
def test_a_damaged_description_is_read_or_refused_and_never_fails_otherwise(seed: int) -> None:
    from planner.importers.rows import document_entries

    text = mutated(POOL.read_bytes(), seed).decode("utf-8", "replace")
    assert "\n" not in refusal(lambda: list(document_entries(parse_document(text, "pool.yaml"), "pool.yaml")))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(["vendors", "nodes", "models", "accelerators", "prices", "efficiencies"]), st.data())
def test_any_values_in_the_fields_of_an_entry_are_taken_or_refused(kind: str, data: st.DataObject) -> None:
    from planner.catalog.fields import fields_of
    from planner.importers.rows import document_entries

    names = st.sampled_from([*fields_of(kind), "aliases", "peak_flop_per_s"])
    fields = data.draw(st.dictionaries(names, JSON_VALUES, max_size=8))
    item = fields if kind == "efficiencies" else {"slug": "a", **fields}
    assert "\n" not in refusal(lambda: list(document_entries({kind: [item]}, "file")))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
def test_a_damaged_config_is_read_or_refused(seed: int) -> None:
    from planner.importers.huggingface import read_config
    from planner.registry import installed_registry

    text = mutated(CONFIG.read_bytes(), seed).decode("utf-8", "replace")
    text = text if text.lstrip()[:1] == "{" else "{" + text
    assert "\n" not in refusal(lambda: read_config(text, installed_registry().config_readers.values()))


def test_nothing_is_kept_of_a_refused_file(refused, database: str, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("vendors:\n  - slug: good\n  - slug: BAD\n", encoding="utf-8")
    refused("catalog", "import", "rows", str(path))
    assert list(importing.exported(None, database=database)) == []
