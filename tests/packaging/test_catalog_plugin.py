"""The catalog branch of docs/plugins.md, built, installed, upgraded, used, uninstalled and installed again."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest

from planner.catalog.names import name_key
from planner.catalog.reader import Catalog

DOCUMENT = Path(__file__).parents[2] / "docs" / "plugins.md"
FILES = dict(re.findall(r"^`([\w./-]+)`:\n\n```\w+\n(.*?)```$", DOCUMENT.read_text("utf-8"), re.DOTALL | re.MULTILINE))
REVISION = "planner_acme/versions/acme_0001_first_accelerator.py"


class Done(NamedTuple):
    """What a command left behind."""

    status: int
    out: str
    err: str


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as the document prints it."""
    folder = tmp_path_factory.mktemp("planner-acme")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def site(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the wheel of the package is installed into."""
    out, site = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(source)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    zipfile.ZipFile(next(out.glob("*.whl"))).extractall(site)
    return site


def planner(database: Path, *arguments: str, site: Path | None = None) -> Done:
    """Run `planner` in a process of its own, with the packages of `site` installed."""
    script = "import sys; from planner.cli.main import run; sys.exit(run())"
    environment = {**os.environ, "PLANNER_DATABASE_URL": str(database), "PYTHONPATH": str(site or "")}
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    return Done(done.returncode, done.stdout, done.stderr)


def heads(done: Done) -> list[str]:
    return [item["revision"] for item in json.loads(done.out)["items"]]


def test_the_branch_of_the_document_comes_stays_and_goes(site: Path, tmp_path: Path) -> None:
    database = tmp_path / "catalog.db"
    upgraded = planner(database, "db", "upgrade", "-f", "json", site=site)
    assert (upgraded.status, upgraded.err, heads(upgraded)[-1]) == (0, "", "acme_0001")
    core = heads(upgraded)[:-1]
    with Catalog.open(str(database)) as catalog:
        for name in ("a1", "A1", "acme-a1-48gb", "Acme A1 48 GB"):
            accelerator = catalog.accelerator(name)
            assert (accelerator.slug, accelerator.vendor, accelerator.memory_bytes) == (
                "acme-a1-48gb",
                "acme",
                48 << 30,
            )
            assert accelerator.peak_flop_per_s == {"fp32": 45e12, "bf16": 180e12}
        assert catalog.row("vendors", "acme")["source"] == "Acme A1 data sheet, revision 3"
    plan = ("plan", "--model", "llama3-7b", "--cluster", "a1:8", "-f", "json")
    answer = json.loads(planner(database, *plan, site=site).out)["answer"]
    assert answer["min_gpus"]

    gone = planner(database, "db", "current", "-f", "json")
    assert (gone.status, heads(gone)) == (0, [*core, "acme_0001"])
    assert gone.err == "planner: note: the plugin that brought acme_0001 is not installed: its facts stay as they are\n"
    again = planner(database, *plan)
    assert (again.status, json.loads(again.out)["answer"]["min_gpus"]) == (0, answer["min_gpus"])
    refused = planner(database, "db", "downgrade", "base")
    assert (refused.status, refused.out, refused.err.count("\n")) == (2, "", 1)
    assert "the branch of acme_0001 has or needs" in refused.err

    removed = planner(database, "db", "downgrade", "acme@base", "-f", "json", site=site)
    assert (removed.status, removed.err, heads(removed)) == (0, "", core)
    shown = planner(database, "catalog", "show", "accelerators", "a1")
    assert (shown.status, "unknown accelerator 'a1'" in shown.err) == (2, True)
    assert planner(database, "db", "current").err == ""


def test_opening_the_catalog_brings_the_branch_in(site: Path, tmp_path: Path) -> None:
    database = tmp_path / "catalog.db"
    assert planner(database, "catalog", "show", "models", "llama3-7b").status == 0
    shown = planner(database, "catalog", "show", "accelerators", "a1", "-f", "json", site=site)
    assert (shown.status, json.loads(shown.out)["slug"]) == (0, "acme-a1-48gb")


def test_a_file_of_runs_brings_the_branch_in(site: Path, tmp_path: Path) -> None:
    database, runs = tmp_path / "catalog.db", tmp_path / "runs.csv"
    runs.write_text("model_name,gpu_slug,n_gpus,seq_len\nLlama 3 8B,acme-a1-48gb,8,4096\n", encoding="utf-8")
    assert planner(database, "catalog", "show", "models", "llama3-7b").status == 0
    done = planner(database, "evaluate", "--runs", str(runs), "-f", "json", site=site)
    row = json.loads(done.out)["rows"][0]
    assert (done.status, row["error"]) == (0, "")
    assert float(row["predicted_step_time_s"]) > 0


def test_the_key_of_the_document_is_that_of_the_catalog(source: Path, tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("acme_0001", source / REVISION)
    assert spec is not None
    assert spec.loader is not None
    revision = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(revision)
    with Catalog.open(str(tmp_path / "catalog.db")) as catalog:
        names = [name for kind in ("accelerators", "models", "nodes") for name in catalog.names(kind)]
    for name in (*names, *(name for _, name, _ in revision.NAMES), "Llama 3.1 8B", "a-1-2 b", "ÜBER 9"):
        assert revision.key(name) == name_key(name)


def test_the_revision_imports_what_a_revision_may_import() -> None:
    imported = re.findall(r"^(?:import|from) (\w+)", FILES[REVISION], re.MULTILINE)
    assert set(imported) <= {"alembic", "sqlalchemy", *sys.stdlib_module_names}
