"""A graph is verified before onnxruntime sees it, and has to fit its family."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.build.graph import GraphWriter
from models.digests import sha256_hex
from models.errors import GraphFailedError, GraphShapeError, PackDamagedError, PackMissingError
from models.families import GraphSpec
from models.session import Session

SPEC = GraphSpec("toy", "image", (None, 3, 4, 4), "output", (None, 3, 4, 4))


def graph(*, image: tuple[int | str, ...] = ("n", 3, 4, 4), output: tuple[int | str, ...] = ("n", 3, 4, 4)) -> bytes:
    writer = GraphWriter()
    return writer.finish("toy", image=image, value=writer.node("Relu", ["image"]), output=output)


def opened(folder: Path, content: bytes, *, spec: GraphSpec = SPEC, sha256: str | None = None) -> Session:
    file = folder / "toy.onnx"
    file.write_bytes(content)
    return Session(file, sha256=sha256 or sha256_hex(content), spec=spec, threads=1)


def test_a_graph_that_fits_runs(tmp_path: Path) -> None:
    session = opened(tmp_path, graph())
    image = np.array([-1.0, 2.0] * 48, dtype=np.float32).reshape(2, 3, 4, 4)
    assert session.run(image).tolist() == np.maximum(image, 0).tolist()


def test_a_graph_that_fails_on_an_input_is_named_with_what_it_was_given(tmp_path: Path) -> None:
    session = opened(tmp_path, graph())
    with pytest.raises(GraphFailedError, match=r"toy\.onnx fails on an input of shape \(2, 3, 5, 4\) .*use another pack"):
        session.run(np.zeros((2, 3, 5, 4), np.float32))


def test_one_flipped_bit_is_refused_whatever_it_does_to_the_graph(tmp_path: Path) -> None:
    content = graph()
    for at in range(0, len(content), 7):
        flipped = bytearray(content)
        flipped[at] ^= 1
        with pytest.raises(PackDamagedError, match=r"toy\.onnx has SHA-256 .*gate-agent models import FILE --manifest"):
            opened(tmp_path, bytes(flipped), sha256=sha256_hex(content))


@pytest.mark.parametrize("content", [b"", b"not a graph", graph()[:-40]])
def test_bytes_that_are_no_graph_are_refused_even_with_their_right_digest(tmp_path: Path, content: bytes) -> None:
    with pytest.raises((PackDamagedError, GraphShapeError), match=r"toy\.onnx .*gate-agent models import FILE --manifest"):
        opened(tmp_path, content)


def test_a_missing_file_is_named_with_the_command_that_builds_it(tmp_path: Path) -> None:
    with pytest.raises(PackMissingError, match=r"gone\.onnx cannot be read .*gate-agent models import FILE --manifest"):
        Session(tmp_path / "gone.onnx", sha256="0" * 64, spec=SPEC, threads=1)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (replace(SPEC, input_name="picture"), r"inputs \['image'\], 'toy' needs exactly \['picture'\]"),
        (replace(SPEC, output_name="score"), r"outputs \['output'\]"),
        (replace(SPEC, input_shape=(None, 3, 8, 8)), r"shape \['n', 3, 4, 4\].*needs \[None, 3, 8, 8\]"),
        (replace(SPEC, input_shape=(1, 3, 4, 4)), "needs"),
        (replace(SPEC, output_shape=(None, 3, 4)), "needs"),
        (replace(SPEC, output_shape=(None, 3, None, 4)), "needs"),
    ],
)
def test_a_graph_of_another_shape_is_refused_naming_both(tmp_path: Path, spec: GraphSpec, says: str) -> None:
    with pytest.raises(GraphShapeError, match=says):
        opened(tmp_path, graph(), spec=spec)


def test_a_graph_of_another_type_is_refused(tmp_path: Path) -> None:
    import onnx  # noqa: PLC0415  only this test needs it

    model = onnx.load_model_from_string(graph())
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    with pytest.raises(GraphShapeError, match=r"type tensor\(double\)"):
        opened(tmp_path, model.SerializeToString())
