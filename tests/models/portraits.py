"""Portraits and weights that installed packages carry, located as files: none of those packages is imported."""

import importlib.metadata
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]


def installed_file(distribution: str, name: str) -> Path:
    files = importlib.metadata.files(distribution) or []
    return Path(str(next(file.locate() for file in files if file.name == name)))


def picture(file: Path) -> U8:
    read = cv2.imread(str(file))
    assert read is not None
    return np.asarray(read, dtype=np.uint8)
