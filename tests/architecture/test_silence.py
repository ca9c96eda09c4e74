"""A gate talks to its broker and to nobody else. onnxruntime 1.29 and newer collects usage data, gives the machine an identifier and sends
both to its maker, unless ORT_DISABLE_TELEMETRY=1 stands in the environment before it is imported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.source import ROOT

# What silences it by itself; a gate has none of these.
_SILENCERS = ("CI", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "GITHUB_ACTIONS", "TF_BUILD", "XDG_CACHE_HOME", "XDG_DATA_HOME")
GRAPH = str(ROOT / "build" / "packs" / "mtcnn-dlib" / "pnet.onnx")


def left_behind(code: str, home: Path) -> list[str]:
    """Files that a process leaves in an empty home."""
    kept = {name: value for name, value in os.environ.items() if name not in _SILENCERS}
    nowhere = dict.fromkeys(
        ("http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9"
    )  # no test of ours reports either
    environment = {**kept, **nowhere, "HOME": str(home)}
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return sorted(str(file.relative_to(home)) for file in home.rglob("*") if file.is_file())


@pytest.mark.parametrize("module", ["models.session", "agent.app", "agent.authority.enrolment"])
def test_the_recogniser_reports_to_nobody(module: str, tmp_path: Path) -> None:
    code = f"import {module}, onnxruntime; onnxruntime.InferenceSession({GRAPH!r}, providers=['CPUExecutionProvider'])"
    left = left_behind(code, tmp_path)
    assert left == [], "set ORT_DISABLE_TELEMETRY=1 in models/__init__.py, before anything can import onnxruntime"


def test_without_the_precaution_it_would(tmp_path: Path) -> None:
    """Should this fail, a newer onnxruntime has stopped collecting, or hides it elsewhere: look before trusting the test above."""
    code = f"import onnxruntime; onnxruntime.InferenceSession({GRAPH!r}, providers=['CPUExecutionProvider'])"
    assert any("deviceid" in file for file in left_behind(code, tmp_path))


def test_the_service_runs_with_it_switched_off() -> None:
    assert "\nEnvironment=ORT_DISABLE_TELEMETRY=1" in (ROOT / "systemd" / "gate-agent.service").read_text(encoding="utf-8")
