"""Whatever kills a writer, the catalog is as it was or as it was to be. `benchmarks/crashes.py` does it a hundred times."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from catalog.crashes import AMID, ON_A_SERVER, OPERATIONS, copied_file, crash, file_in, subject
from catalog.servers import Server


@pytest.mark.parametrize(("seed", "name"), list(enumerate(OPERATIONS, start=1)))
def test_a_killed_writer_leaves_the_old_or_the_new_state(tmp_path: Path, name: str, seed: int) -> None:
    """One crash each, for the time that they take."""
    interrupted = subject(name, tmp_path, file_in(tmp_path), copied_file(tmp_path))
    assert interrupted.before != interrupted.after
    crash(interrupted, seed)


def test_a_writer_that_is_killed_amid_its_write_has_written_nothing(tmp_path: Path) -> None:
    interrupted = subject("import", tmp_path, file_in(tmp_path), copied_file(tmp_path))
    states = (crash(interrupted, seed) for seed in range(1, 30) if seed % 4)
    assert next(state for state in states if AMID in state) == f"old {AMID}"


@pytest.mark.parametrize("name", ["upgrade"])
def test_a_killed_writer_leaves_a_server_in_the_old_or_the_new_state(server: Server, tmp_path: Path, name: str) -> None:
    assert name in ON_A_SERVER
    interrupted = subject(
        name, tmp_path, lambda: server.url(server.make_database()),
        lambda url: server.url(server.make_database(str(sa.make_url(url).database))),
    )  # fmt: skip
    crash(interrupted, 2)
