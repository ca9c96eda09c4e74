"""`models build | list | verify` as a user meets them."""

import json
from pathlib import Path

import pytest

from models import commands, places
from models.errors import PackMissingError

NAME = "mtcnn-dlib"


def test_build_list_and_verify_agree_on_a_fresh_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    into = str(tmp_path / "packs")
    assert commands.main(["list", "--into", into, "--json"]) == 0
    known = json.loads(capsys.readouterr().out)["packs"]
    assert {row["name"]: (row["kind"], row["state"]) for row in known} == {
        "minifasnet": ("pad", "not built"),
        "mobilefacenet": ("recognition", "not built"),
        NAME: ("recognition", "not built"),
        "mtcnn-taguchi": ("recognition", "not built"),
        "opencv-zoo": ("recognition", "not built"),
        "yunet-mobilefacenet": ("recognition", "not built"),
    }

    assert commands.main(["build", "--into", into, "--json"]) == 0
    said = capsys.readouterr()
    built = json.loads(said.out)
    assert (built["name"], built["state"], built["folder"]) == (NAME, "built", f"{into}/{NAME}")
    assert [f"({n} of 4)" in line for n, line in enumerate(said.err.splitlines(), start=1)] == [True] * 4
    assert sorted(file.name for file in (tmp_path / "packs" / NAME).iterdir()) == [
        "CARD.md", "embedder.onnx", "manifest.toml", "onet.onnx", "pnet.onnx", "rnet.onnx",
    ]  # fmt: skip

    assert commands.main(["verify", "--into", into, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {**built, "state": "verified"}
    assert commands.main(["list", "--into", into]) == 0
    assert capsys.readouterr().out.splitlines()[0].split() == [NAME, "built", built["id"]]


def test_a_built_pack_is_left_alone_and_nothing_is_said(packs_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {file: file.stat().st_mtime_ns for file in (packs_folder / NAME).iterdir()}
    assert commands.main(["build", "--quiet-if-built", "--into", str(packs_folder)]) == 0
    assert capsys.readouterr() == ("", "")
    assert {file: file.stat().st_mtime_ns for file in (packs_folder / NAME).iterdir()} == before


@pytest.mark.parametrize("harm", ["damaged", "gone", "old manifest"])
def test_a_pack_that_is_not_intact_is_built_again(tmp_path: Path, capsys: pytest.CaptureFixture[str], harm: str) -> None:
    assert commands.main(["build", "--into", str(tmp_path)]) == 0
    match harm:
        case "damaged":
            (tmp_path / NAME / "onet.onnx").write_bytes(b"torn")
        case "gone":
            (tmp_path / NAME / "pnet.onnx").unlink()
        case _:
            file = tmp_path / NAME / "manifest.toml"
            file.write_text(file.read_text().replace("people_max = 300", "people_max = 200"))
    capsys.readouterr()
    assert commands.main(["build", "--quiet-if-built", "--into", str(tmp_path)]) == 0
    assert "built in" in capsys.readouterr().out
    assert commands.main(["verify", "--into", str(tmp_path)]) == 0
    assert sorted(file.name for file in tmp_path.iterdir()) == [".lock", NAME], "nothing half made is left over"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["verify"], "model pack 'mtcnn-dlib' is not built"),
        (["verify", "--pack", "nobody"], "model pack 'nobody' is not built"),
        (["build", "--pack", "nobody"], "pack 'nobody' is not known; packs that can be built: minifasnet, mobilefacenet, mtcnn-dlib"),
        (["build", "--into", "/proc/nowhere"], "/proc/nowhere"),
    ],
)
def test_a_failure_is_one_sentence_and_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    if "--into" not in arguments:
        arguments = [*arguments, "--into", str(tmp_path)]
    assert commands.main(arguments) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert says in said.err
    assert said.err.count("\n") == 1


def test_list_shows_a_damaged_pack_with_the_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands.main(["build", "--into", str(tmp_path)])
    (tmp_path / NAME / "rnet.onnx").write_bytes(b"torn")
    capsys.readouterr()
    assert commands.main(["list", "--json", "--into", str(tmp_path)]) == 0
    row = json.loads(capsys.readouterr().out)["packs"][0]
    assert row["state"] == "damaged"
    assert "rnet.onnx has SHA-256" in row["reason"]


@pytest.mark.parametrize("arguments", [[], ["destroy"], ["build", "--force"]])
def test_wrong_usage_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        commands.main(arguments)
    assert left.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_the_folder_comes_from_the_environment_then_the_gate_then_the_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(places.ENVIRONMENT, str(tmp_path / "named"))
    assert places.built_folder() == tmp_path / "named"
    monkeypatch.delenv(places.ENVIRONMENT)
    monkeypatch.setattr(places, "GATE_FOLDER", tmp_path)
    assert places.built_folder() == tmp_path
    monkeypatch.setattr(places, "GATE_FOLDER", tmp_path / "absent")
    assert (places.built_folder().parent.parent / "pyproject.toml").is_file()
    monkeypatch.setattr(places, "_HERE", tmp_path / "site-packages" / "models")
    with pytest.raises(PackMissingError, match="set GATE_AGENT_PACKS"):
        places.built_folder()
