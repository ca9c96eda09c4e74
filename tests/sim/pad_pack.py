"""Packs that detect attacks, of made weights: real graphs in onnxruntime, with the shapes of MiniFASNet's and a verified manifest.

They know nothing of faces. They stand where the published weights cannot be had, so that everything around the networks runs: the pack's
digests, the crops, the scores of a track, the verdict, the decision, the events.
"""

from pathlib import Path

import numpy as np

from models.build.graph import GraphWriter
from models.digests import sha256_hex
from models.manifest_reader import load_pad
from models.places import manifests_folder

NAME = "stand-in"
PUBLISHED = "minifasnet"
SIDE_PX = 80

BLUE_FROM = 20.0
"""Grey levels of mean blue above mean red at which the score is one half: a plain wall is below, blue light above."""


def by_colour() -> bytes:
    """Blue surroundings are an attack; the score falls from 1 to 0 about BLUE_FROM."""
    blue, green, red = np.eye(3, dtype=np.float32)
    to_live = 0.5 * (red - blue) + 0 * green
    return _graph(np.stack([np.zeros(3), to_live, np.zeros(3)], axis=1), live=0.5 * BLUE_FROM)


def always(score: float) -> bytes:
    """The same score whatever is seen."""
    return _graph(np.zeros((3, 3)), live=float(np.log(score / (1 - score))))


def fails_on_light() -> bytes:
    """Loads and runs on a black picture; on one with a pixel of grey level 100 or more onnxruntime fails."""
    writer = GraphWriter()
    brightest = writer.node("ReduceMax", ["image"], axes=[1, 2, 3], keepdims=0)
    row = writer.node("Cast", [writer.node("Div", [brightest, writer.constant("hundred", np.array([100], np.float32))])], to=7)  # int64
    logits = writer.node("Gather", [writer.constant("rows", np.array([[0, 9, 0]], np.float32)), row], axis=0)
    return writer.finish("fails", image=("n", 3, SIDE_PX, SIDE_PX), value=logits, output=("n", 3))


def _graph(weight: np.ndarray, *, live: float) -> bytes:
    writer = GraphWriter()
    means = writer.node("Flatten", [writer.node("GlobalAveragePool", ["image"])], axis=1)
    logits = writer.dense(means, weight.astype(np.float32), np.array([0, live, -40], np.float32))
    return writer.finish("standin", image=("n", 3, SIDE_PX, SIDE_PX), value=logits, output=("n", 3))


def write_pack(folder: Path, graph: bytes, *, name: str = NAME) -> Path:
    """Writes a pack into a folder of packs, both networks the same; returns its own folder. It is there as a whole or not at all."""
    published = manifests_folder() / PUBLISHED / "manifest.toml"
    text = published.read_text(encoding="utf-8").replace(f'name = "{PUBLISHED}"', f'name = "{name}"')
    for known in load_pad(published).graphs:
        assert known.sha256 in text
        text = text.replace(known.sha256, sha256_hex(graph))
    making = folder / f".{name}.making"
    making.mkdir(parents=True)
    for part in ("near", "far"):
        (making / f"{part}.onnx").write_bytes(graph)
    (making / "manifest.toml").write_text(text, encoding="utf-8")
    return making.rename(folder / name)
