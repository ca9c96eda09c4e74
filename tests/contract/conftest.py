"""The peers that are compiled: the same fixtures as in tests/bridge."""

from tests.bridge.conftest import image, library

__all__ = ["image", "library"]
