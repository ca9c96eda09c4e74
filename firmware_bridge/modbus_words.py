"""What is said to a Modbus relay board, and how its answers read. Packets are made and read by pymodbus; nothing here does I/O.

Modbus has no word for "on for a time"; each family of boards has its own. Every family here times the pulse itself and shows the
output as a coil while it is on. The frames in the tests are those that the makers publish.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from firmware_bridge.errors import PackageAbsentError

try:
    from pymodbus.exceptions import ModbusException
    from pymodbus.framer import FramerRTU
    from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU
    from pymodbus.pdu.bit_message import ReadCoilsRequest, ReadCoilsResponse, ReadDiscreteInputsRequest
    from pymodbus.pdu.register_message import WriteMultipleRegistersRequest, WriteMultipleRegistersResponse
except ImportError as error:
    raise PackageAbsentError("pymodbus") from error

Request = ModbusPDU
PULSE_STEP_MS: Final = 100  # of every family in the table


class WriteCoil(ModbusPDU):
    """Function 05 with its value as it stands: pymodbus's own knows only on and off, and boards put a time there."""

    function_code = 5
    rtu_frame_size = 8
    value: int = 0

    def encode(self) -> bytes:
        return struct.pack(">HH", self.address, self.value)

    def decode(self, data: bytes) -> None:
        self.address, self.value = struct.unpack(">HH", data[:4])


def write_coil(address: int, coil: int, value: int) -> WriteCoil:
    request = WriteCoil(dev_id=address, address=coil)
    request.value = value
    return request


def _coil_0200(address: int, output: int, steps: int) -> Request:
    return write_coil(address, 0x0200 + output, steps)


def _register_3(address: int, output: int, steps: int) -> Request:
    return WriteMultipleRegistersRequest(dev_id=address, address=3 + 5 * output, registers=[4, steps])


FLASHES: Final[Mapping[str, Callable[[int, int, int], Request]]] = MappingProxyType(
    {
        "coil_0200": _coil_0200,  # function 05 to coil 0x0200 + output: Waveshare "Modbus RTU Relay" and its kin
        "register_3": _register_3,  # function 16 to register 3 + 5 x output, mode 4: the "LC" boards with 1 to 8 relays
    }
)
"""How a family of boards is told to switch an output on for `steps` x 100 ms: (address, output, steps) -> request."""


def read_outputs(address: int, count: int) -> Request:
    return ReadCoilsRequest(dev_id=address, address=0, count=count)


def read_inputs(address: int, count: int) -> Request:
    return ReadDiscreteInputsRequest(dev_id=address, address=0, count=count)


def switch_off(address: int, output: int) -> Request:
    return write_coil(address, output, 0x0000)


@dataclass(frozen=True, slots=True)
class Said:
    """An answer that belongs to the request. `bits`: what was read; empty for a write."""

    bits: tuple[bool, ...] = ()


@dataclass(frozen=True, slots=True)
class SaidNo:
    """The board has understood and refuses."""

    reason: str


_EXCEPTIONS: Final = MappingProxyType(
    {
        1: "it does not know this function",
        2: "it has no such output or input",
        3: "it does not take this value",
        4: "it has failed",
        6: "it is busy",
    }
)


class Dialogue:
    """Requests to bytes, and bytes to the answer of one request."""

    def __init__(self) -> None:
        decoder = DecodePDU(is_server=False)
        decoder.register(WriteCoil)
        self._framer = FramerRTU(decoder)

    def packet(self, request: Request) -> bytes:
        return self._framer.buildFrame(request)

    def answer(self, request: Request, data: bytes) -> Said | SaidNo | None:
        """The answer in the bytes that came since the request; None: there is none yet. What else stands there is passed over."""
        for start in range(len(data)):  # the framer gives up at a frame that is damaged or not ours; the answer may stand behind it
            try:
                _, reply = self._framer.handleFrame(data[start:], request.dev_id, 0)
            except ModbusException:
                continue
            found = None if reply is None else _belongs(request, reply)
            if found is not None:
                return found
        return None


def _belongs(request: Request, reply: ModbusPDU) -> Said | SaidNo | None:
    if isinstance(reply, ExceptionResponse):
        if reply.function_code & 0x7F != request.function_code:
            return None
        return SaidNo(_EXCEPTIONS.get(reply.exception_code, f"exception {reply.exception_code}"))
    match request, reply:
        case WriteCoil(), WriteCoil():
            return Said() if (reply.address, reply.value) == (request.address, request.value) else None
        case WriteMultipleRegistersRequest(), WriteMultipleRegistersResponse():
            return Said() if (reply.address, reply.count) == (request.address, len(request.registers)) else None
        case ReadCoilsRequest(), ReadCoilsResponse() if request.function_code == reply.function_code:  # of inputs too: they are its kind
            return _bits(request, reply)
        case _:
            return None


def _bits(request: Request, reply: ModbusPDU) -> Said | None:
    """Whole bytes come; a reply with fewer bits than were asked for, or with a byte more, answers something else."""
    wanted = -(-request.count // 8) * 8
    return Said(tuple(bool(bit) for bit in reply.bits[: request.count])) if len(reply.bits) == wanted else None
