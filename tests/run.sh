#!/usr/bin/env bash
# Makes a virtual environment of its own, installs the planner with its development tools, and runs every gate.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

venv="${PLANNER_TEST_VENV:-.venv}"
[ -x "$venv/bin/python" ] || "${PYTHON:-python3}" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable '.[dev]'

echo "== ruff"
"$venv/bin/ruff" check .
"$venv/bin/ruff" format --check .
echo "== mypy"
"$venv/bin/mypy"
echo "== pytest"
"$venv/bin/python" -m pytest --quiet -n auto "$@"
