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
from models.errors import GraphFailedError, GraphShapeError, PackDamagedError, PackMissingError
from models.families import FREE_OR_ONE, GraphSpec, Shape
from models.places import make_again

F32 = NDArray[np.float32]


class Session:
    """One loaded graph with one float32 input and one or more float32 outputs. Not for use by two threads at a time."""

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
        content = read_verified(file, sha256=sha256, error=PackDamagedError, missing=PackMissingError, remedy=_again(file))
        try:
            with _in_memory(content) as same_bytes:
                self._session = onnxruntime.InferenceSession(same_bytes, _options(spec, threads), providers=["CPUExecutionProvider"])
        # onnxruntime raises a dozen unrelated classes, all straight from Exception.
        except Exception as reason:
            raise PackDamagedError(f"{file} cannot be loaded by onnxruntime ({_first_line(reason)}); {_again(file)}") from reason
        _check(self._session, spec, file)
        self._file = file
        self._input, self._outputs = spec.input_name, [name for name, _ in spec.outputs]
        batch = self._session.get_inputs()[0].shape[0]
        self.batch_max: int | None = batch if isinstance(batch, int) else None
        """Most inputs of one call; None: as many as one likes."""

    def run(self, image: F32) -> F32:
        """Returns the graph's first output for one input; both as the graph's GraphSpec says. Raises GraphFailedError."""
        output: F32 = self._run(self._outputs[:1], image)[0]
        return output

    def run_all(self, image: F32) -> list[F32]:
        """Returns every output, in the order of the GraphSpec. Raises GraphFailedError."""
        return self._run(self._outputs, image)

    def _run(self, wanted: list[str], image: F32) -> list[F32]:
        try:
            outputs: list[F32] = self._session.run(wanted, {self._input: image})
        # onnxruntime raises a dozen unrelated classes, all straight from Exception.
        except Exception as reason:
            raise GraphFailedError(
                f"{self._file} fails on an input of shape {image.shape} ({_first_line(reason)}); {_again(self._file)}, or use another pack"
            ) from reason
        return outputs


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


def _options(spec: GraphSpec, threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # spinning threads take the core from the camera
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    # The arena never gives back what one crowded frame took. With inputs of any number plain allocation is as fast.
    options.enable_cpu_mem_arena = spec.few_sizes
    # A memory pattern is planned and kept for every new input shape: with batches and pyramids of changing size that is a slow leak.
    options.enable_mem_pattern = False
    options.log_severity_level = 3  # errors only: what goes wrong is raised, not printed
    return options


def _check(session: onnxruntime.InferenceSession, spec: GraphSpec, file: Path) -> None:
    ends = (("input", session.get_inputs(), ((spec.input_name, spec.input_shape),)), ("output", session.get_outputs(), spec.outputs))
    for kind, found, wanted in ends:
        by_name = {each.name: each for each in found}
        names = [name for name, _ in wanted]
        if by_name.keys() != set(names):
            raise GraphShapeError(f"{file} has the {kind}s {list(by_name)}, {spec.part!r} needs exactly {names}; {_again(file)}")
        for name, shape in wanted:
            if by_name[name].type != "tensor(float)":
                raise GraphShapeError(
                    f"{file} has {kind} {name!r} of type {by_name[name].type}, {spec.part!r} needs tensor(float); {_again(file)}"
                )
            if not _fits(by_name[name].shape, shape):
                raise GraphShapeError(
                    f"{file} has {kind} {name!r} of shape {by_name[name].shape}, {spec.part!r} needs {list(shape)} "
                    f"(None: any, {FREE_OR_ONE}: any or 1); {_again(file)}"
                )


def _fits(found: list[int | str | None], wanted: Shape) -> bool:
    """Says whether a graph's shape is the wanted one; where any size is wanted the graph must leave it free."""

    def fits(have: int | str | None, want: int | None) -> bool:
        if want == FREE_OR_ONE:
            return have == 1 or not isinstance(have, int)
        return have == want if want is not None else not isinstance(have, int)

    return len(found) == len(wanted) and all(fits(have, want) for have, want in zip(found, wanted, strict=True))


def _first_line(reason: Exception) -> str:
    return (str(reason).strip().splitlines() or [type(reason).__name__])[0]


def _again(file: Path) -> str:
    """What to do about a graph that is missing or damaged: its folder has the pack's name."""
    return make_again(file.parent.name)
