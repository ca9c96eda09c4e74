"""An authority in a folder, the built pack, and pictures made from the two portraits that come with packages."""

import importlib.util
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from agent.authority.authority import Authority
from agent.authority.keys import KEYED_ROLES, SINGLE
from agent.authority.register import Bound
from agent.biometrics.quality import Bounds
from agent.biometrics.template import Metric
from agent.roster.document import TemplateForm
from agent.vision.sampler import Sampler, open_sampler
from models.errors import ModelError
from models.places import built_folder

NOW_S = 1_790_000_000  # 2026-09-21
U8 = npt.NDArray[np.uint8]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    quorums = dict.fromkeys(KEYED_ROLES, SINGLE)
    return Authority.found(tmp_path / "authority", site="site", pack="mtcnn-dlib", quorums=quorums, passphrase=None, now_s=NOW_S)


@pytest.fixture(scope="session")
def sampler() -> Sampler:
    bounds = Bounds(min_eye_distance_px=40, max_yaw=0.35, min_blur=30, min_brightness=40, max_brightness=220, max_clipped=0.3)
    try:
        return open_sampler("mtcnn-dlib", (built_folder(),), threads=1, bounds=bounds)
    except ModelError as error:
        pytest.skip(f"the default pack is not built here: {error}")


@pytest.fixture(scope="session")
def bound(sampler: Sampler) -> Bound:
    embedder = sampler.pack.manifest.embedder
    return Bound(pack=sampler.pack.id, form=TemplateForm(embedder.template_length, Metric(embedder.metric)))


def installed(package: str, file: str) -> Path:
    """A file of an installed package; the package itself is not imported."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        pytest.skip(f"{package} is not installed")
    return Path(spec.origin).parent / file


@pytest.fixture(scope="session")
def faces() -> dict[str, U8]:
    """Two people: an astronaut and an admiral."""
    files = {
        "astronaut": installed("skimage", "data/astronaut.png"),
        "admiral": installed("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
    }
    return {name: np.asarray(cv2.imread(str(file)), dtype=np.uint8) for name, file in files.items()}


def moved(image: U8, *, scale: float = 1.0, x: float = 0.0, y: float = 0.0, light: float = 1.0, wide: float = 1.0) -> U8:
    """A picture as if it had been taken from a little elsewhere. wide: of the head; another one makes it another shot."""
    height, width = image.shape[:2]
    matrix = np.array([[scale * wide, 0, x], [0, scale, y]])
    out = cv2.warpAffine(image, matrix, (int(width * scale * wide), int(height * scale)), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(np.clip(out * light, 0, 255), dtype=np.uint8)


def three(image: U8) -> dict[str, U8]:
    """Three pictures of one person."""
    return {
        "1.png": moved(image, scale=1.2),
        "2.png": moved(image, scale=1.4, x=6, y=4, light=0.9, wide=0.82),
        "3.jpg": moved(image, scale=1.2, x=-5, light=1.05, wide=1.25),
    }


def one_bit_png(width: int, height: int) -> bytes:
    """A small file that says that it is a large picture."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = zlib.compress(bytes((1 + (width + 7) // 8) * min(height, 64)))
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.fixture
def pictures(tmp_path: Path) -> Callable[..., Path]:
    """Writes sub-folders of pictures: name -> {file: picture or bytes}."""

    def write(**people: dict[str, U8 | bytes]) -> Path:
        folder = tmp_path / "pictures"
        for person, files in people.items():
            (folder / person).mkdir(parents=True, exist_ok=True)
            for name, content in files.items():
                if isinstance(content, bytes):
                    (folder / person / name).write_bytes(content)
                else:
                    cv2.imwrite(str(folder / person / name), content)
        return folder

    return write
