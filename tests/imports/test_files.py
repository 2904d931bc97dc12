"""`planner catalog export` and `import rows`: what goes out comes in again, all of it or nothing."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planner import importing
from planner.catalog.entries import as_written, entry
from planner.catalog.kinds import KINDS
from planner.catalog.location import core_revisions
from planner.catalog.upgrade import downgrade
from planner.catalog.user_layer import entries_of, keep
from planner.reports.exported import written

ENDINGS = {"yaml": "yaml", "json": "json", "csv": "csv"}


def user_rows(database: str) -> dict[str, list[tuple[object, ...]]]:
    """Every row of the user's layer, without the planner."""
    with sqlite3.connect(database.removeprefix("sqlite:///")) as connection:
        tables = [*KINDS.values(), "alias", "peak_rate"]
        return {
            name: sorted(connection.execute(f"SELECT * FROM {name} WHERE layer = 'user'").fetchall(), key=repr)
            for name in tables
        }


def again(released: Path, tmp_path: Path, text: str, format_name: str) -> str:
    """A catalog into which a file of this text was imported."""
    url = f"sqlite:///{shutil.copy(released, tmp_path / 'again.db')}"
    path = tmp_path / f"file.{ENDINGS[format_name]}"
    path.write_text(text, encoding="utf-8", newline="")
    importing.import_entries(str(path), database=url)
    return url


@pytest.mark.parametrize("format_name", ENDINGS)
def test_the_whole_released_catalog_goes_out_and_comes_in_again(
    database: str, released: Path, tmp_path: Path, format_name: str
) -> None:
    every = list(importing.exported(None, layer="all", database=database))
    url = again(released, tmp_path, "".join(written(every, list(KINDS), format_name)), format_name)
    found = list(entries_of(url, list(dict.fromkeys(each.kind for each in every))))
    assert [as_written(each) for each in found] == [as_written(each) for each in every]
    text = "".join(written(entries_of(url, list(KINDS)), list(KINDS), format_name))
    second = again(released, tmp_path, text, format_name)
    assert user_rows(second) == user_rows(url)


NAMES = st.text(
    st.characters(
        codec="utf-8",
        categories=("Lu", "Ll", "Nd", "Po", "Pd", "Sm"),
        max_codepoint=0x17F,
        # Other forms of usual letters, which no name may hold.
        exclude_characters="µĲĳĿŀŉſ",
    ),
    max_size=30,
).map(lambda text: f"n{text}")
SLUGS = st.from_regex(r"own[a-z]{1,8}[0-9]{1,3}", fullmatch=True)
NUMBERS = st.floats(min_value=1e9, max_value=1e15, allow_nan=False)
WATTS = st.floats(min_value=1e-3, max_value=1e4, allow_nan=False)
TEXTS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"), max_codepoint=0x2FF),
    max_size=40,
).filter(lambda text: text.lstrip()[:1] not in tuple("=+-@"))
DATES = st.sampled_from(["2026", "2026-11", "2026-02-28"])
ACCELERATORS = st.fixed_dictionaries(
    {
        "slug": SLUGS, "name": NAMES, "vendor": st.just("nvidia"), "year": st.integers(2000, 2100),
        "capacity_bytes": st.integers(2**30, 2**42), "memory_bandwidth_bytes_per_s": NUMBERS, "source": st.just("a test"),
        "note": TEXTS, "source_date": DATES, "confidence": st.sampled_from(["high", "low"]), "form_factor": TEXTS,
    },
    optional={
        "tdp_w": WATTS, "peak_flop_per_s": st.dictionaries(st.sampled_from(["bf16", "fp8"]), NUMBERS, max_size=2),
        "aliases": st.lists(NAMES, max_size=2),
    },
)  # fmt: skip


@pytest.mark.parametrize("format_name", ENDINGS)
def test_any_entries_go_out_and_come_in_again(
    released: Path, tmp_path_factory: pytest.TempPathFactory, format_name: str
) -> None:
    @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(ACCELERATORS, max_size=4, unique_by=lambda fields: fields["slug"]))
    def check(given_entries: list[dict[str, object]]) -> None:
        folder = tmp_path_factory.mktemp("any")
        url = f"sqlite:///{shutil.copy(released, folder / 'one.db')}"
        for fields in given_entries:
            # Two entries may not share a name.
            names = [f"{fields['slug']} {name}" for name in fields.pop("aliases", ())]  # type: ignore[attr-defined]
            keep(url, [entry("accelerators", {**fields, "aliases": names}, where="test")])
        text = "".join(written(entries_of(url, list(KINDS)), list(KINDS), format_name))
        assert user_rows(again(released, folder, text, format_name)) == user_rows(url)
        shutil.rmtree(folder)

    check()


@pytest.mark.parametrize("format_name", ENDINGS)
def test_of_all_layers_what_counts_goes_out_and_comes_in_again(
    planner, database: str, released: Path, tmp_path: Path, format_name: str
) -> None:
    chip = {
        "slug": "h100-sxm5-80gb", "vendor": "nvidia", "year": 2022, "capacity_bytes": "80 GiB",
        "memory_bandwidth_bytes_per_s": "3 TB/s", "source": "a test",
    }  # fmt: skip
    keep(database, [entry("accelerators", each) for each in (chip, {**chip, "slug": "own-chip"})])
    with sqlite3.connect(database.removeprefix("sqlite:///")) as connection:
        # A measurement of one's own, under the key of a published one.
        columns = "accelerator, layer, metric, format, condition, accelerator_layer, fraction, source, note"
        key = "accelerator, 'user', metric, format, condition, NULL, 0.123, 'a test', ''"
        connection.execute(
            f"INSERT INTO efficiency ({columns}) SELECT {key} FROM efficiency ORDER BY accelerator, metric LIMIT 1"
        )
    path = tmp_path / f"all.{ENDINGS[format_name]}"
    outcome = planner("catalog", "export", "all", "--layer", "all", "-f", format_name, "-o", str(path))
    assert (outcome.status, outcome.err) == (0, "")
    url = again(released, tmp_path, path.read_text("utf-8"), format_name)
    rows = user_rows(url)
    (kept,) = [row for row in rows["accelerator"] if row[0] == "h100-sxm5-80gb"]
    assert 3e12 in kept
    assert len([row for row in rows["efficiency"] if 0.123 in row]) == 1
    with sqlite3.connect(released) as connection:
        for table in KINDS.values():
            every = connection.execute(f"SELECT count(*) FROM {table} WHERE layer <> 'user'").fetchone()[0]
            assert len(rows[table]) == every + (table == "accelerator"), table


def test_an_export_with_a_name_that_a_fact_has_too_says_so_and_the_fact_goes_without_it(planner, database: str) -> None:
    chip = {
        "slug": "own-chip", "vendor": "nvidia", "year": 2022, "capacity_bytes": "80 GiB",
        "memory_bandwidth_bytes_per_s": "3 TB/s", "source": "a test",
    }  # fmt: skip
    keep(database, [entry("accelerators", chip)])
    with sqlite3.connect(database.removeprefix("sqlite:///")) as connection:
        # As if a release had given the name to another afterwards.
        connection.execute("INSERT INTO alias VALUES ('accelerators', 'h200', 'user', 'H200', 'own-chip', 'alias')")
    outcome = planner("catalog", "export", "all", "--layer", "all", "-f", "json")
    said = "accelerators 'H200' means your own-chip, not h200-sxm5-141gb of vendor"
    assert f"a catalog that has these facts refuses an import of this file: {said}" in outcome.err
    named = {item["slug"]: item.get("aliases", []) for item in json.loads(outcome.out)["items"] if "slug" in item}
    assert named["own-chip"] == ["H200"]
    assert "h200-sxm" in named["h200-sxm5-141gb"]
    assert "h200" not in named["h200-sxm5-141gb"]
    assert said in planner("catalog", "export", "accelerators", "-f", "json").err
    assert planner("catalog", "export", "models", "--layer", "all", "-f", "json").err == ""


def test_an_export_is_one_document_and_names_each_kind(planner, database: str) -> None:
    keep(database, [entry("vendors", {"slug": "own-maker", "source": "a test"})])
    document = json.loads(planner("catalog", "export", "all", "-f", "json").out)
    assert document["schema"] == "planner.catalog.export/1"
    assert [(item["entry"], item["slug"]) for item in document["items"]] == [("vendors", "own-maker")]
    assert planner("catalog", "export", "vendors").out.startswith(
        "schema: planner.catalog.export/1\nitems:\n- entry: vendors\n"
    )
    assert planner("catalog", "export", "all", "-f", "markdown").out.startswith("```yaml\nschema:")


def test_an_empty_layer_exports_no_entries_and_says_how_to_get_all(planner) -> None:
    outcome = planner("catalog", "export", "all", "-f", "json")
    assert json.loads(outcome.out) == {"schema": "planner.catalog.export/1", "items": []}
    assert "no entries in the layer user; --layer all exports those of every layer" in outcome.err


def test_one_entry_is_exported_by_any_of_its_names(planner, refused, tmp_path: Path) -> None:
    path = tmp_path / "h100.json"
    assert planner("catalog", "export", "gpu", "H100", "-f", "json", "-o", str(path)).out == ""
    (item,) = json.loads(path.read_text("utf-8"))["items"]
    assert (item["slug"], item["peak_flop_per_s"]["fp8"]) == ("h100-sxm5-80gb", 1979e12)
    assert "unknown accelerator 'h100x'" in refused("catalog", "export", "gpu", "h100x")
    assert "has no slugs to choose one by" in refused("catalog", "export", "all", "h100")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("vendors,,b,a test", "line 3: vendors: slug is missing"),
        ("vendors,b;x,b,a test", "line 3: vendor 'b;x': 'b;x' is no slug"),
        ("flowers,b,b,a test", "line 3: unknown kind 'flowers'"),
        (",b,b,a test", "line 3: entry is missing"),
        ("vendors,a,other,a test", "line 3: vendor 'a' is there twice"),
        ("vendors,b,b,a test,more", "line 3: 5 cells for 4 columns"),
        ("vendors,b,b\u202e,a test", "line 3: vendor 'b': name 'b\\u202e' holds the character U+202E"),
    ],
)
def test_one_bad_line_keeps_nothing_and_is_named(refused, database: str, tmp_path: Path, row: str, said: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(f"entry,slug,name,source\nvendors,a,a,a test\n{row}\n", encoding="utf-8")
    assert f"rows.csv, {said}" in refused("catalog", "import", "rows", str(path))
    assert not any(user_rows(database).values())


def test_what_the_database_forbids_is_named_by_its_line(refused, database: str, tmp_path: Path) -> None:
    lines = ["entry,slug,vendor,year,capacity_bytes,usable_bytes,memory_bandwidth_bytes_per_s"]
    lines += [f"accelerators,own{index},nvidia,2026,80GiB,79GiB,3TB/s" for index in range(1500)]
    lines[1234] = "accelerators,own1233,nvidia,1066,80GiB,79GiB,3TB/s"
    path = tmp_path / "rows.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    line = refused("catalog", "import", "rows", str(path))
    assert "rows.csv, line 1235: accelerator 'own1233': the rule 'year BETWEEN 2000 AND 2100' does not hold" in line
    assert not any(user_rows(database).values())


def test_a_bulk_import_is_counted_and_listed_as_far_as_one_can_read(planner, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("entry,slug\n" + "".join(f"vendors,own{index}\n" for index in range(3000)), encoding="utf-8")
    document = json.loads(planner("catalog", "import", "rows", str(path), "-f", "json").out)
    assert (document["added"], len(document["items"])) == (3000, 1000)
    text = planner("catalog", "import", "rows", str(path)).out
    assert "3,000 unchanged" in text
    assert "and 2,980 more" in text


def test_calibrations_are_exported_too(planner, database: str) -> None:
    fields = {
        "accelerator": "H100", "metric": "calibrated_arithmetic", "format": "all", "condition": "12 runs", "fraction": 0.9,
        "source": "planner calibrate",
    }  # fmt: skip
    keep(database, [entry("efficiencies", fields)])
    document = json.loads(planner("catalog", "export", "all", "-f", "json").out)
    assert [(item["entry"], item["accelerator"]) for item in document["items"]] == [("efficiencies", "h100-sxm5-80gb")]


@pytest.mark.parametrize("revision", [each for each in core_revisions()[:-1] if each > "0002"])
def test_a_catalog_that_was_taken_back_is_never_told_to_be_deleted(
    planner, database: str, tmp_path: Path, revision: str
) -> None:
    downgrade(database, revision)
    path = tmp_path / "rows.yaml"
    path.write_text(
        "accelerators:\n"
        "- {slug: own-1, vendor: nvidia, year: 2026, capacity_bytes: 80 GiB, memory_bandwidth_bytes_per_s: 2 TB/s,"
        " peak_flop_per_s: {bf16: 500 TFLOP/s}}\n"
        "pue: [{slug: own-2, operator: me, year: 2026, pue: 1.1}]\n"
    )
    for arguments in (
        ("import", "rows", str(path)),
        ("export", "all"),
        ("export", "all", "--layer", "all"),
        ("export", "accelerators", "h100", "--layer", "all"),
        ("remove", "accelerators", "own-1"),
    ):
        outcome = planner("catalog", *arguments)
        assert "delete" not in outcome.err
        assert outcome.status == 0 or "own-1" in outcome.err or "older than this program" in outcome.err
