"""Where packs are: the committed manifests beside this file, and the folder of the built packs."""

import os
from pathlib import Path

from models.errors import PackMissingError

DEFAULT_PACK = "mtcnn-dlib"

RECOMMENDED_PACK = "mobilefacenet"
"""The pack that `fetch` and `import` make unless another is named; docs/PACKS.md says why."""

ENVIRONMENT = "GATE_AGENT_PACKS"
"""Environment variable that names the folder of built packs."""

GATE_FOLDER = Path("/var/lib/gate-agent/packs")
"""Where a gate keeps its packs."""

_HERE = Path(__file__).resolve().parent


def manifests_folder() -> Path:
    """Returns the folder of the committed manifests, one sub-folder a pack."""
    return _HERE / "packs"


def built_folder() -> Path:
    """Returns the folder of built packs: GATE_AGENT_PACKS, else a gate's own, else `build/packs` of this checkout.

    Raises:
        PackMissingError: none of the three exists.
    """
    if named := os.environ.get(ENVIRONMENT):
        return Path(named)
    if GATE_FOLDER.is_dir():
        return GATE_FOLDER
    for folder in _HERE.parents:
        if (folder / "pyproject.toml").is_file():
            return folder / "build" / "packs"
    raise PackMissingError(
        f"no folder of model packs: {GATE_FOLDER} does not exist and this is no checkout; set {ENVIRONMENT}, or give the folder by --into"
    )


def make_again(pack: str) -> str:
    """What to do about a pack of this name that is missing or damaged, as the end of a sentence."""
    if pack == DEFAULT_PACK:
        return "run: gate-agent models build"
    if (manifests_folder() / pack).is_dir():
        return f"run: gate-agent models fetch {pack}, or gate-agent models import FILE --pack {pack}, or copy a whole one"
    return "run: gate-agent models import FILE --manifest ITS-MANIFEST, or copy a whole one"
