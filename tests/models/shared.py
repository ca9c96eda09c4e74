"""Published weights that lie beside the checkout on some machines (../shared/models), never committed: tests that want them skip."""

from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "models"


def weights(name: str) -> Path:
    """Returns the file; skips the test where it is not there."""
    file = FOLDER / name
    if not file.is_file():
        pytest.skip(f"{name} is not there; this test looks at published weights, which are not part of the project")
    return file
