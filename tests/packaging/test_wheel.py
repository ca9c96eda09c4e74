"""The wheel that goes to a gate: built offline from a copy of what git holds, then looked into and installed beside nothing else."""

import importlib
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.architecture.source import PACKAGES, ROOT, tracked_files

FIRMWARE = "firmware_bridge/reference"  # C for the controller: it is built where the controller is, not on a gate
BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built in a copy: setuptools leaves a build folder behind, and takes stale files from one that is there."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for file in tracked_files():
        place = file.relative_to(ROOT)
        if place.parts[0] in (*PACKAGES, "pyproject.toml", "README.md", "LICENSE", "tests", "benchmarks", "systemd"):
            (source / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, source / place)
    built = subprocess.run([sys.executable, "-W", "error", "-c", BUILD, str(out)], cwd=source, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (made,) = out.glob("*.whl")
    return made


def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as opened:
        return opened.namelist()


def test_the_wheel_holds_exactly_the_three_packages(wheel: Path) -> None:
    assert {name.split("/")[0] for name in names(wheel) if ".dist-info/" not in name} == set(PACKAGES)


def test_the_wheel_holds_every_file_of_the_packages_and_no_other(wheel: Path) -> None:
    tracked = (file.relative_to(ROOT) for file in tracked_files())
    wanted = {str(place) for place in tracked if place.parts[0] in PACKAGES and not place.is_relative_to(FIRMWARE)}
    assert {name for name in names(wheel) if ".dist-info/" not in name} == wanted


def test_the_wheel_carries_the_licence_and_runs_on_any_machine(wheel: Path) -> None:
    (licence,) = (name for name in names(wheel) if name.endswith("/LICENSE"))
    with zipfile.ZipFile(wheel) as opened:
        assert opened.read(licence) == (ROOT / "LICENSE").read_bytes()
    assert wheel.name.endswith("-py3-none-any.whl")


def scripts() -> dict[str, str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found: dict[str, str] = project["scripts"]
    return found


@pytest.mark.parametrize("target", scripts().values(), ids=scripts())
def test_a_program_of_the_wheel_resolves(target: str) -> None:
    module, _, function = target.partition(":")
    assert callable(getattr(importlib.import_module(module), function))


def test_the_installed_wheel_starts_from_another_folder(wheel: Path, tmp_path: Path) -> None:
    """From the wheel alone: were a data file missing, or the checkout on the path, it would show here."""
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = (
        f"import sys; sys.path[:] = [{str(tmp_path / 'site')!r}] + [p for p in sys.path if p != {str(ROOT)!r}]\n"
        "import agent, models.places; from agent.cli import main\n"
        "print(agent.__file__); print(sorted(p.name for p in models.places.manifests_folder().iterdir()))\n"
        "main(['check', '--print-example'])"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    first, packs, *example = ran.stdout.splitlines()
    assert first == str(tmp_path / "site" / "agent" / "__init__.py")
    assert "mtcnn-dlib" in packs
    assert "\n".join(example) + "\n" == (ROOT / "config" / "agent.example.toml").read_text(encoding="utf-8")
