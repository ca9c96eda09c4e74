"""Presentation attack detection: the port only. No family is implemented in this version; a manifest that names one is refused."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Pad(Protocol):
    """Tells a face in front of the camera from a picture or a screen. Its score is logged apart from the match and never mixed with it."""

    def score(self, image: NDArray[np.uint8], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns one score a box, 0 (attack) to 1 (bona fide).

        image: (h, w, 3) BGR, the whole frame, because the surroundings of a face count; boxes: (n, 4) x0, y0, x1, y1 in pixels.
        """
        ...
