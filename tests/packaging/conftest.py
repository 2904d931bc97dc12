"""The wheels of the checkout, built once per worker, and environments to install them into."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAPPED = ("planner", "migrations", "plugins", "seed_data")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    source = tmp_path_factory.mktemp("source") / "checkout"
    _copy_checkout(source)
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(source)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    (built,) = out.glob("*.whl")
    return built


def _copy_checkout(target: Path) -> None:
    """Only what a build needs, so that parallel tests do not share a build folder."""
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc", "packs")
    target.mkdir(parents=True)
    for folder in MAPPED:
        shutil.copytree(ROOT / folder, target / folder, ignore=ignore)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, target / name)


@pytest.fixture(scope="session")
def dependencies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The installed third-party packages, without this project's editable install."""
    target = tmp_path_factory.mktemp("dependencies")
    installed = Path(__import__("click").__file__).resolve().parents[1]
    for entry in installed.iterdir():
        if "gpu_planner" not in entry.name and "__editable__" not in entry.name and not entry.name.endswith(".pth"):
            (target / entry.name).symlink_to(entry)
    return target
