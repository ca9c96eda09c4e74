"""The benchmark of recognition over its bare calls runs on a built pack; its figures are for people and never asserted."""

import json
import os
import subprocess
import sys
from pathlib import Path


def test_the_benchmark_gives_its_ratio_as_json(packs_folder: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.floor", "--blocks", "2", "--json"],
        cwd=root,
        env={**os.environ, "GATE_AGENT_PACKS": str(packs_folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    figures = json.loads(ran.stdout)
    assert figures["pack"].startswith("mtcnn-dlib-")
    assert 0 < figures["ratio"]["min"] <= figures["ratio"]["median"] <= figures["ratio"]["max"]
