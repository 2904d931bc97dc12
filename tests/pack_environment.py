"""Packs of facts built as wheels, and environments to install them into."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import NamedTuple


class Done(NamedTuple):
    """What a command left behind."""

    status: int
    out: str
    err: str


class Environment(NamedTuple):
    """A virtual environment with the planner's wheel, and a catalog of its own."""

    python: Path
    home: Path

    def pip(self, *arguments: str) -> None:
        """Install or uninstall, with the pip of the environment that the tests run in."""
        command = [sys.executable, "-m", "pip", "--python", str(self.python), *arguments]
        subprocess.run([*command, "--quiet", "--disable-pip-version-check"], check=True, capture_output=True, text=True)

    def planner(self, *arguments: str) -> Done:
        """Run `planner` as installed there."""
        done = subprocess.run(
            [self.python.with_name("planner"), *arguments],
            cwd=self.home,
            env={"HOME": str(self.home), "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def items(self, *arguments: str) -> list[dict[str, object]]:
        """The items that a command lists."""
        done = self.planner(*arguments, "--format", "json")
        assert done.status == 0, done.err
        found: list[dict[str, object]] = json.loads(done.out)["items"]
        return found


def built(pack: Path, source: Path, out: Path) -> Path:
    """The wheel of a pack, built from a copy of its folder."""
    shutil.copytree(pack, source, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(source)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return next(out.glob("*.whl"))


def with_planner(wheel: Path, dependencies: Path, folder: Path, home: Path) -> Environment:
    """An environment in `folder` that has the planner's wheel and nothing else of this checkout."""
    venv.create(folder, with_pip=False)
    made = Environment(python=folder / "bin" / "python", home=home)
    made.pip("install", "--no-index", "--no-deps", str(wheel))
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    (folder / "lib" / version / "site-packages" / "dependencies.pth").write_text(f"{dependencies}\n")
    return made
