"""The reference firmware, built once for a run."""

from pathlib import Path

import pytest

from tests.bridge.firmware import compile_library


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shared library, with the checks of undefined behaviour in it. Needs a C compiler, which script/test installs."""
    return compile_library(tmp_path_factory.mktemp("firmware"))
