"""The commands that the pages mark as runnable (```sh run) are run, in their order, in an empty folder with what the page asks for."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

from agent.diagnostics.walkup import place, portrait, wall
from tests.docs.pages import all_commands


def enrolment_pictures(folder: Path) -> None:
    """Three pictures of one person, as README's `people/` wants them."""
    (folder / "ada").mkdir(parents=True)
    for number, (x, lean_deg) in enumerate([(310, -2.0), (320, 0.0), (330, 2.0)]):
        picture = place(wall((640, 480)), portrait("astronaut"), at=(x, 200), eye_px=70.0, lean_deg=lean_deg)
        assert cv2.imwrite(str(folder / "ada" / f"{number}.png"), np.asarray(picture))


def test_the_runnable_commands_of_the_pages_run(tmp_path: Path) -> None:
    enrolment_pictures(tmp_path / "people")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    shown = [command for command in all_commands() if command.runnable]
    assert shown
    for command in shown:
        ran = subprocess.run(
            command.words, cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, f"{command}\n{ran.stdout}{ran.stderr}"
    assert sorted(item.name for item in (tmp_path / "stick").iterdir()) == ["metadata", "targets"]
