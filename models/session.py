"""One graph in onnxruntime: verified before it is parsed, fixed threads, checked shapes. The only file that imports onnxruntime."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from models.digests import read_verified
from models.errors import GraphShapeError, PackDamagedError, PackMissingError
from models.families import GraphSpec, Shape

F32 = NDArray[np.float32]

BUILD_AGAIN = "run: gate-agent models build"
"""What to do about a missing or damaged file of a pack."""


class Session:
    """One loaded graph with one float32 input and one float32 output. Not for use by two threads at a time."""

    def __init__(self, file: Path, *, sha256: str, spec: GraphSpec, threads: int) -> None:
        """Verifies and loads a graph.

        Args:
            file: the ONNX file.
            sha256: its digest as the manifest names it; the very bytes that match are given to onnxruntime.
            spec: names and shapes that the graph must have.
            threads: within one operator, 1 or more.

        Raises:
            PackMissingError: the file cannot be read.
            PackDamagedError: the digest is another one, or onnxruntime cannot load the bytes.
            GraphShapeError: other inputs or outputs than the spec's.
        """
        content = read_verified(file, sha256=sha256, error=PackDamagedError, missing=PackMissingError, remedy=BUILD_AGAIN)
        try:
            with _in_memory(content) as same_bytes:
                self._session = onnxruntime.InferenceSession(same_bytes, _options(threads), providers=["CPUExecutionProvider"])
        # onnxruntime raises a dozen unrelated classes, all straight from Exception.
        except Exception as reason:
            raise PackDamagedError(f"{file} cannot be loaded by onnxruntime ({_first_line(reason)}); {BUILD_AGAIN}") from reason
        _check(self._session, spec, file)
        self._input, self._outputs = spec.input_name, [spec.output_name]

    def run(self, image: F32) -> F32:
        """Returns the graph's output for one input; both as the graph's GraphSpec says."""
        output: F32 = self._session.run(self._outputs, {self._input: image})[0]
        return output


@contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    """Gives bytes a path of their own. A session made from bytes keeps a copy of them for good (22 MB here); from a path it does not."""
    memory = os.memfd_create("graph")
    try:
        with os.fdopen(memory, "wb", closefd=False) as stream:
            stream.write(content)
        yield f"/proc/self/fd/{memory}"
    finally:
        os.close(memory)


def give_back_memory() -> None:
    """Returns to the system what loading left over: 46 MB of the default pack's 90, which glibc would keep."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc only
    if trim is not None:
        trim(0)


def _options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # spinning threads take the core from the camera
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    # The arena never gives back what one crowded frame took; measured, plain allocation is as fast here.
    options.enable_cpu_mem_arena = False
    # A memory pattern is planned and kept for every new input shape: with batches and pyramids of changing size that is a slow leak.
    options.enable_mem_pattern = False
    options.log_severity_level = 3  # errors only: what goes wrong is raised, not printed
    return options


def _check(session: onnxruntime.InferenceSession, spec: GraphSpec, file: Path) -> None:
    ends = (
        ("input", session.get_inputs(), spec.input_name, spec.input_shape),
        ("output", session.get_outputs(), spec.output_name, spec.output_shape),
    )
    for kind, found, name, shape in ends:
        if len(found) != 1 or found[0].name != name:
            raise GraphShapeError(
                f"{file} has the {kind}s {[each.name for each in found]}, {spec.part!r} needs exactly [{name!r}]; {BUILD_AGAIN}"
            )
        if found[0].type != "tensor(float)":
            raise GraphShapeError(f"{file} has {kind} {name!r} of type {found[0].type}, {spec.part!r} needs tensor(float); {BUILD_AGAIN}")
        if not _fits(found[0].shape, shape):
            raise GraphShapeError(
                f"{file} has {kind} {name!r} of shape {found[0].shape}, {spec.part!r} needs {list(shape)} (None: any); {BUILD_AGAIN}"
            )


def _fits(found: list[int | str | None], wanted: Shape) -> bool:
    """Says whether a graph's shape is the wanted one; where any size is wanted the graph must leave it free."""
    return len(found) == len(wanted) and all(
        have == want if want is not None else not isinstance(have, int) for have, want in zip(found, wanted, strict=True)
    )


def _first_line(reason: Exception) -> str:
    return (str(reason).strip().splitlines() or [type(reason).__name__])[0]
