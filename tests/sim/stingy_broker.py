"""A peer that speaks just enough MQTT 5 to take a client, names a small Receive Maximum, and then acknowledges nothing."""

import socket
import struct
import threading
from typing import BinaryIO, Self

CONNECT, PUBLISH, SUBSCRIBE, PINGREQ = 1, 3, 8, 12


class StingyBroker:
    """Counts the PUBLISH packets of its one client; `topics` are theirs."""

    def __init__(self, receive_maximum: int) -> None:
        self._receive_maximum = receive_maximum
        self._server = socket.create_server(("127.0.0.1", 0))
        self.host, self.port = self._server.getsockname()
        self.topics: list[str] = []
        self._client: socket.socket | None = None
        self._thread = threading.Thread(target=self._serve, name="stingy-broker", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()
        if self._client is not None:
            self._client.close()

    def _serve(self) -> None:
        try:
            self._client, _ = self._server.accept()
            stream = self._client.makefile("rb")
            while (first := stream.read(1)) and (packet := stream.read(_length(stream))) is not None:
                self._answer(self._client, first[0] >> 4, packet)
        except (OSError, IndexError):
            return  # the test is over

    def _answer(self, client: socket.socket, kind: int, packet: bytes) -> None:
        match kind:
            case _ if kind == CONNECT:
                client.sendall(b"\x20\x06\x00\x00\x03\x21" + struct.pack("!H", self._receive_maximum))
            case _ if kind == SUBSCRIBE:
                filters, place = 0, 2 + 1 + packet[2]
                while place < len(packet):
                    (size,) = struct.unpack_from("!H", packet, place)
                    filters, place = filters + 1, place + 2 + size + 1
                client.sendall(bytes([0x90, 3 + filters]) + packet[:2] + b"\x00" + b"\x01" * filters)
            case _ if kind == PUBLISH:
                (size,) = struct.unpack_from("!H", packet)
                self.topics.append(packet[2 : 2 + size].decode())
            case _ if kind == PINGREQ:
                client.sendall(b"\xd0\x00")


def _length(stream: BinaryIO) -> int:
    """The remaining length: seven bits a byte, the lowest first."""
    value, shift = 0, 0
    while True:
        byte = stream.read(1)[0]
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value
