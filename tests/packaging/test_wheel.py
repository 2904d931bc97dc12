"""The wheel holds what the checkout holds, obeys the import rules, and answers the main question on its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MAPPED = {
    "planner": "planner",
    "migrations": "planner/migrations",
    "plugins": "planner/plugins",
    "seed_data": "planner/seed_data",
}
SHIPPED = {".py", ".json", ".csv", ".md", ".mako", ".typed"}


def _checkout_files() -> set[str]:
    found = set()
    for folder, package in MAPPED.items():
        for path in (ROOT / folder).rglob("*"):
            inside = path.relative_to(ROOT / folder).as_posix()
            if (
                path.is_file()
                and path.suffix in SHIPPED
                and "__pycache__" not in inside
                and not inside.startswith("packs/")
            ):
                found.add(f"{package}/{inside}")
    return found


def test_the_wheel_holds_every_file_of_the_checkout(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == _checkout_files()


def test_imports_flow_one_way(wheel: Path, tmp_path: Path) -> None:
    """On the unpacked wheel, where planner.plugins is a real package."""
    zipfile.ZipFile(wheel).extractall(tmp_path)
    command = [
        str(Path(sys.executable).parent / "lint-imports"),
        str(ROOT / "pyproject.toml"),
        "--no-cache",
    ]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_wheel_plans_in_an_empty_environment(wheel: Path, dependencies: Path, tmp_path: Path) -> None:
    """A new environment that sees the dependencies but not the checkout, an empty home, another working directory."""
    home = tmp_path / "home"
    home.mkdir()
    environment_dir = tmp_path / "venv"
    venv.create(environment_dir, with_pip=False)
    python = environment_dir / "bin" / "python"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = environment_dir / "lib" / version / "site-packages"
    zipfile.ZipFile(wheel).extractall(site)
    (site / "dependencies.pth").write_text(f"{dependencies}\n")
    clean = {"HOME": str(home), "PATH": os.environ["PATH"]}
    script = "import sys; from planner.cli.main import run; sys.argv[0] = 'planner'; sys.exit(run())"
    done = subprocess.run(
        [str(python), "-c", script, "plan", "--model", "llama3-7b", "--cluster", "a100-pool", "--format", "json"],
        cwd=tmp_path, env=clean, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["answer"]["min_gpus"] >= 1
    location = subprocess.run(
        [str(python), "-c", "import planner; print(planner.__file__)"],
        cwd=tmp_path,
        env=clean,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert Path(location.strip()).is_relative_to(site)
