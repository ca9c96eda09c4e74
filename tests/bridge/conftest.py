"""The reference firmware, built once for a run."""

from pathlib import Path

import pytest

from tests.bridge.firmware import compile_library
from tests.bridge.qemu import build_image, missing_tools


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shared library, with the checks of undefined behaviour in it. Needs a C compiler, which script/test installs."""
    return compile_library(tmp_path_factory.mktemp("firmware"))


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The firmware for the Cortex-M3. Needs what script/test --full installs; without it this fails rather than skips."""
    missing = missing_tools()
    if missing:
        pytest.fail(f"missing: {', '.join(missing)}; script/test --full installs them")
    return build_image(tmp_path_factory.mktemp("board"))
