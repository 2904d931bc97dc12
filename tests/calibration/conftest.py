"""A catalog of one's own, and calls of the command line on it."""

from __future__ import annotations

import csv
import io
import json

import pytest

from planner.cli.main import main


@pytest.fixture
def database(tmp_path):
    return f"sqlite:///{tmp_path / 'catalog.db'}"


@pytest.fixture
def called(database, capsys):
    """The exit status, standard output and standard error of a call."""

    def call(*arguments):
        status = main([*map(str, arguments), "--database", database])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


@pytest.fixture
def answered(called):
    """The JSON of a call that must succeed."""

    def call(*arguments):
        status, out, err = called(*arguments, "--format", "json")
        assert status == 0, err
        return json.loads(out)

    return call


@pytest.fixture
def predicted(called):
    """The rows of a file with their predictions."""

    def call(path):
        status, out, err = called("evaluate", "--runs", path, "--format", "csv")
        assert status == 0, err
        return list(csv.DictReader(io.StringIO(out)))

    return call
