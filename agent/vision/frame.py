"""One picture of a camera."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

U8 = npt.NDArray[np.uint8]
F32 = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A picture and when it was taken.

    Attributes:
        seq: number of the frame in this run of its camera, from 1; a gap means that frames were dropped.
        captured_at_ns: monotonic; when the picture came from the device or the file.
        image: uint8 (h, w, 3) BGR; not written to by anybody.
    """

    seq: int
    captured_at_ns: int
    image: U8
