"""Aligned chips to templates."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from models.errors import ImageError
from models.picture import F32, U8
from models.session import Session

CHIPS_AT_ONCE = 4
"""Most chips of one call; more are cut up, so that enrolling many pictures needs no more memory than a gate does."""


class Embedder(Protocol):
    @property
    def dim(self) -> int:
        """Numbers in a template."""
        ...

    @property
    def chip_px(self) -> int:
        """Side of a chip."""
        ...

    def embed(self, chips: U8) -> F32:
        """Returns (n, dim) templates, to be compared by the manifest's metric. chips: uint8 (n, chip_px, chip_px, 3) RGB.

        Raises:
            ImageError: another type or shape of chips.
        """
        ...


@dataclass(frozen=True, slots=True)
class InputForm:
    """How a published graph wants its chips, which are RGB 0..255: (x - mean) * scale, in its own order of channels.

    mean, scale: (3,) in that order; bgr: that order is blue, green, red.
    """

    mean: F32
    scale: F32
    bgr: bool


class MirroredEmbedder:
    """Runs one graph; where `mirror`, a template is the mean of the chip's and its mirror image's. Not for two threads at a time."""

    def __init__(self, session: Session, *, dim: int, chip_px: int, mirror: bool, unit_length: bool, form: InputForm | None = None) -> None:
        """unit_length: scale each template to length 1, for a pack compared by cosine; form: None where the graph takes a chip as it is."""
        self._session = session
        self._dim, self._chip_px = dim, chip_px
        self._mirror, self._unit_length = mirror, unit_length
        self._form = form

    @property
    def dim(self) -> int:
        return self._dim

    @property
    def chip_px(self) -> int:
        return self._chip_px

    def embed(self, chips: U8) -> F32:
        if chips.dtype != np.uint8 or chips.shape[1:] != (self._chip_px, self._chip_px, 3):
            wanted = f"(n, {self._chip_px}, {self._chip_px}, 3)"
            raise ImageError(f"chips of type {chips.dtype} and shape {chips.shape} were given; they must be uint8 of {wanted}")
        templates = np.empty((len(chips), self._dim), dtype=np.float32)
        for start in range(0, len(chips), CHIPS_AT_ONCE):
            part = slice(start, start + CHIPS_AT_ONCE)
            templates[part] = self._templates(chips[part])
        if self._unit_length:
            templates /= np.maximum(np.linalg.norm(templates, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        return templates

    def _templates(self, chips: U8) -> F32:
        count = len(chips)
        batch = np.empty((count * (2 if self._mirror else 1), 3, self._chip_px, self._chip_px), dtype=np.float32)
        batch[:count] = self._formed(chips)
        if not self._mirror:
            return self._run(batch)
        batch[count:] = batch[:count, :, :, ::-1]
        both = self._run(batch)
        return (both[:count] + both[count:]) * np.float32(0.5)

    def _formed(self, chips: U8) -> F32:
        planes: F32 = chips.transpose(0, 3, 1, 2).astype(np.float32)
        if self._form is None:
            return planes
        ordered = planes[:, ::-1] if self._form.bgr else planes
        formed: F32 = (ordered - self._form.mean[:, None, None]) * self._form.scale[:, None, None]
        return formed

    def _run(self, batch: F32) -> F32:
        most = self._session.batch_max or len(batch)
        if len(batch) <= most:
            return self._session.run(batch)
        return np.concatenate([self._session.run(batch[start : start + most]) for start in range(0, len(batch), most)])
