"""Frees the sizes that a published ONNX graph fixes, without the package `onnx`: a gate can then make the pack from a file on a stick.

An ONNX file is a protocol buffer: fields of a number, a kind and a value, nested. Here the graph's inputs and outputs are written anew
with the wanted shapes and the recorded shapes in between are left out, because they hold for the old size only. Everything else is copied
byte for byte. What a graph computes does not change; whether it can be computed at another size is for the family to know.
"""

from collections.abc import Iterator, Mapping

from models.errors import SourceError

Sizes = tuple[int | str, ...]
"""Of one tensor: a number, or a name where any size may stand."""

# Field numbers of onnx.proto: ModelProto.graph, GraphProto.{input, output, value_info}, ValueInfoProto.name.
MODEL_GRAPH = 7
GRAPH_INPUT, GRAPH_OUTPUT, GRAPH_VALUE_INFO = 11, 12, 13
VALUE_NAME = 1
FLOAT32 = 1

BYTES = 2
"""The kind of a field that holds a message, a text or bytes."""

VARINT_BITS_MAX = 63


def with_sizes(content: bytes, sizes: Mapping[str, Sizes]) -> bytes:
    """Returns the model with other shapes of its inputs and outputs, all of them float32. sizes: by name, all of them.

    Raises:
        SourceError: no ONNX model, or one with other inputs and outputs.
    """
    left = dict(sizes)
    model = b"".join(
        _field(number, _graph(value, left)) if number == MODEL_GRAPH and kind == BYTES else whole
        for number, kind, value, whole in _fields(content)
    )
    if left:
        raise SourceError(f"the published model has no input or output {', '.join(left)}; it is another network")
    return model


def _graph(content: bytes, left: dict[str, Sizes]) -> bytes:
    parts = []
    for number, _, value, whole in _fields(content):
        if number in {GRAPH_INPUT, GRAPH_OUTPUT}:
            name = next((v.decode(errors="replace") for n, _, v, _ in _fields(value) if n == VALUE_NAME), "")
            if name not in left:
                raise SourceError(f"the published model has an input or output {name!r} that its family does not know")
            parts.append(_field(number, _value_info(name, left.pop(name))))
        elif number != GRAPH_VALUE_INFO:
            parts.append(whole)
    return b"".join(parts)


def _value_info(name: str, sizes: Sizes) -> bytes:
    """A ValueInfoProto: name, and a type that is a tensor of float32 with a shape."""
    dimensions = b"".join(_field(1, _field(2, size.encode()) if isinstance(size, str) else b"\x08" + _varint(size)) for size in sizes)
    tensor = b"\x08" + _varint(FLOAT32) + _field(2, dimensions)
    return _field(VALUE_NAME, name.encode()) + _field(2, _field(1, tensor))


def _field(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | BYTES) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:  # noqa: PLR2004  seven bits a byte
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _fields(content: bytes) -> Iterator[tuple[int, int, bytes, bytes]]:
    """Yields (number, kind, value, the whole field) of each field of one message; the value of a number is of no use here."""
    at = 0
    while at < len(content):
        start = at
        tag, at = _read_varint(content, at)
        kind = tag & 7
        match kind:
            case 0:
                _, end = _read_varint(content, at)
            case 1:
                end = at + 8
            case 2:
                length, at = _read_varint(content, at)
                end = at + length
            case 5:
                end = at + 4
            case _:
                raise SourceError(f"byte {start} of the published model begins no field; it is no ONNX model")
        if end > len(content):
            raise SourceError(f"a field of the published model at byte {start} reaches beyond its end; it is cut off")
        yield tag >> 3, kind, content[at:end], content[start:end]
        at = end


def _read_varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(content) and shift <= VARINT_BITS_MAX:
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004  the last one
            return value, at
        shift += 7
    raise SourceError("the published model ends within a number; it is no ONNX model, or cut off")
