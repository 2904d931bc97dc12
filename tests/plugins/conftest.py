"""The first-party registry, loaded once for a test session of this folder."""

import pytest

from planner.registry import load_registry


@pytest.fixture(scope="session")
def registry():
    return load_registry(disable="*")
