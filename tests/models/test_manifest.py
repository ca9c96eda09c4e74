"""The manifest: nothing unknown, nothing missing, nothing outside its limits; the id follows what shapes a template."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from models import manifest_reader
from models.errors import FamilyError, ManifestError
from models.manifest import Manifest

Document = dict[str, Any]


def tables(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yields the path of every table of a document."""
    if isinstance(value, dict):
        yield path
        for key, below in value.items():
            yield from tables(below, (*path, key))
    elif isinstance(value, list):
        for index, below in enumerate(value):
            yield from tables(below, (*path, index))


def at(document: Document, path: tuple[Any, ...]) -> Any:
    value: Any = document
    for step in path:
        value = value[step]
    return value


def test_an_unknown_key_in_any_table_is_refused_naming_file_and_key(document: Document) -> None:
    paths = list(tables(document))
    assert len(paths) > 10
    for path in paths:
        wrong = copy.deepcopy(document)
        at(wrong, path)["colour"] = "blue"
        with pytest.raises(ManifestError, match=r"^here\.toml: .*colour is not known"):
            manifest_reader.parse(wrong, place="here.toml")


def test_a_missing_key_in_any_table_is_refused_naming_file_and_key(document: Document) -> None:
    for path in tables(document):
        for key in at(document, path):
            wrong = copy.deepcopy(document)
            del at(wrong, path)[key]
            with pytest.raises(ManifestError, match=rf"^here\.toml: .*{key} is missing"):
                manifest_reader.parse(wrong, place="here.toml")


@pytest.mark.parametrize(
    ("table", "key", "value", "says"),
    [
        ("comparison", "people_max", 301, "from 1 to 300"),
        ("comparison", "calibration", "measured", "one of: pack-default"),
        ("comparison", "threshold_plain", "0.4", "must be a number"),
        ("comparison", "cohort_size", True, "whole number"),
        ("quality", "min_brightness", 250, "below max_brightness"),
        ("embedder", "metric", "manhattan", "one of: euclidean, cosine"),
        ("embedder", "alignment", [[1, 2]], "list of 5 points"),
        ("embedder", "alignment", [[1, 2], [1, 2], [1, 2], [1, 2], [1, "2"]], "list of 2 numbers"),
        ("embedder", "chip_px", 112, "family 'dlib-resnet' has 150"),
        ("embedder", "template_length", 512, "family 'dlib-resnet' has 128"),
        ("embedder", "mirror", 1, "true or false"),
        ("detector", "thresholds", [0.6, 0.7], "list of 3 numbers"),
        ("detector", "graphs", 3, "must be a table"),
    ],
)
def test_a_value_outside_its_limits_is_refused_naming_value_and_limit(
    document: Document, table: str, key: str, value: object, says: str
) -> None:
    document[table][key] = value
    with pytest.raises(ManifestError, match=rf"^here\.toml: {table}\.{key}.*{says}"):
        manifest_reader.parse(document, place="here.toml")


@pytest.mark.parametrize("file", ["../pnet.onnx", "/etc/passwd", "pnet.exe", ""])
def test_a_graph_outside_the_packs_folder_is_refused(document: Document, file: str) -> None:
    document["detector"]["graphs"]["pnet"]["file"] = file
    with pytest.raises(ManifestError, match=r"detector\.graphs\.pnet\.file"):
        manifest_reader.parse(document, place="here.toml")


@pytest.mark.parametrize(
    ("table", "family", "says"),
    [
        ("detector", "haar", "is not known; this version runs: mtcnn, yunet"),
        ("embedder", "facenet", "is not known; this version runs: dlib-resnet, arcface, sface"),
        ("pad", "minifasnet", "stands in a pack that recognises faces; it is a pack of its own"),
    ],
)
def test_a_family_that_this_version_cannot_run_is_refused_by_its_name(document: Document, table: str, family: str, says: str) -> None:
    document[table]["family"] = family
    with pytest.raises(FamilyError, match=f"{family!r} {says}"):
        manifest_reader.parse(document, place="here.toml")


def test_another_format_is_refused(document: Document) -> None:
    with pytest.raises(ManifestError, match=r"format is 2; this version reads 1"):
        manifest_reader.parse({**document, "format": 2}, place="here.toml")


def test_what_is_not_toml_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "manifest.toml"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ManifestError, match="is not TOML"):
        manifest_reader.load(file)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("embedder", "alignment", 0, 0), 46.9),
        (("embedder", "mirror"), False),
        (("embedder", "graphs", "embedder", "sha256"), "0" * 64),
        (("detector", "graphs", "onet", "sha256"), "0" * 64),
        (("detector", "thresholds", 2), 0.8),
        (("name",), "another"),
    ],
)
def test_what_shapes_a_template_changes_the_packs_id(document: Document, manifest: Manifest, path: tuple[Any, ...], value: object) -> None:
    at(document, path[:-1])[path[-1]] = value
    assert manifest_reader.parse(document, place="here.toml").id != manifest.id


def test_what_leaves_templates_alone_leaves_the_packs_id_alone(document: Document, manifest: Manifest) -> None:
    document["comparison"]["threshold_plain"] = 0.3
    document["quality"]["min_blur"] = 100
    document["detector"]["graphs"]["pnet"]["file"] = "renamed.onnx"
    changed = manifest_reader.parse(document, place="here.toml")
    assert changed != manifest
    assert changed.id == manifest.id
