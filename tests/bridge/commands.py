"""Random commands, inputs and times straight at a controller, without a host's good manners: the strange ones that no right host sends."""

import random
from dataclasses import dataclass, field, replace
from typing import Any

from firmware_bridge.codec import TABLE, encode, type_byte
from firmware_bridge.emulator.controller import Machine, Output, PowerOn
from firmware_bridge.emulator.settings import ControllerSettings
from firmware_bridge.emulator.store import Store
from firmware_bridge.framing import Frame, encode_frame
from firmware_bridge.mac import KEYLESS, derived_nonce, session_key, tag
from firmware_bridge.messages import (
    Arm,
    Cancel,
    Disarm,
    EventAck,
    Heartbeat,
    Hello,
    HostMessage,
    Indicate,
    Release,
    StateRequest,
)
from firmware_bridge.session import seal_open
from firmware_bridge.ticks import wrap
from firmware_bridge.vocabulary import Belief, Direction, FailMode, Inputs, Lamp, LinkMode, Mechanics, Sender, Tone
from tests.bridge.world import KEY

BEAMS = (Inputs(0), Inputs.BEAM_ENTRY, Inputs.BEAM_ENTRY | Inputs.BEAM_EXIT, Inputs.BEAM_EXIT)
BUTTONS = (Inputs.REQUEST_TO_EXIT, Inputs.FIRE, Inputs.RESET_KEY, Inputs.TAMPER)
SPANS_MS = (0, 1, 3, 50, 199, 200, 250, 399, 400, 500, 1_000, 1_999, 2_000, 2_001, 5_000, 11_000)


def any_settings(draw: random.Random) -> ControllerSettings:
    return ControllerSettings(
        key=KEY if draw.random() < 0.8 else None,
        controller_id="any",
        firmware_digest=draw.randbytes(32),
        mechanics=draw.choice([Mechanics.ROTOR, Mechanics.ONE_LEAF]),
        fail_entry=FailMode(draw.random() < 0.2),
        fail_exit=FailMode(draw.random() < 0.3),
        exit_window_ms=draw.choice([500, 5_000, 10_000]),
        leaf_travel_ms=draw.choice([0, 1, 400, 3_000]),
        minimum_gap_ms=draw.choice([0, 200, 1_000]),
        releases_per_minute=draw.choice([1, 3, 40, 120]),
        held_open_ms=draw.choice([1_000, 3_000, 15_000]),
        beam_stuck_ms=draw.choice([1_000, 6_000]),
    )


def any_store(draw: random.Random) -> Store | None:
    roll = draw.random()
    if roll < 0.05:
        return None
    if roll < 0.5:
        return Store()
    return Store(
        boot_count=draw.choice([1, 7, 2**32 - 1]),
        last_grant=draw.choice([0, 5, 2**40]),
        emergency=draw.random() < 0.1,
        open_ways=draw.randrange(4),
        passages_entry=draw.choice([0, 2**32 - 2]),
        passages_exit=draw.choice([3, 2**32 - 1]),
    )


@dataclass
class Commands:
    """One random sequence: `run` makes the steps. What is sent is right about as often as it takes to get anywhere."""

    seed: int
    machine: PowerOn
    outputs: list[Output] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.draw = draw = random.Random(self.seed)
        self.settings = any_settings(draw)
        self.store = any_store(draw)
        # Half of them cross the wrap of the 32-bit clock.
        self.now_ms = 2**32 - draw.randint(1, 40_000) if draw.random() < 0.5 else draw.randrange(2**32)
        self.inputs = Inputs(0)
        self.grant = self.store.last_grant if self.store is not None else 0
        self.power_on()

    def power_on(self) -> None:
        self.controller: Machine = self.machine(self.settings, self.store, inputs=self.inputs, now_ms=self.now_ms)
        self.hellos = self.sequence = 0
        self.session: bytes | None = None
        self.old: list[bytes] = []
        self.take(self.controller.tick(self.now_ms))

    def take(self, output: Output) -> None:
        self.outputs.append(output)
        if output.store is not None:
            self.store = output.store

    def run(self, steps: int) -> "Commands":
        acts: dict[Any, int] = {
            self.speak: 30,
            self.wait: 14,
            self.walk: 16,
            self.press: 4,
            self.settle_down: 4,
            self.greet: 2,
            self.noise: 2,
            self.reboot: 1,
        }
        for _ in range(steps):
            self.draw.choices([*acts], [*acts.values()])[0]()
        return self

    # --- time and inputs ------------------------------------------------------------------------------------------------------------

    def wait(self) -> None:
        roll = self.draw.random()
        due = self.controller.next_deadline_ms()
        self.now_ms += max(0, due + self.draw.choice([-1, 0, 1])) if roll < 0.5 else self.draw.choice(SPANS_MS)
        self.take(self.controller.tick(self.now_ms))

    def sense(self, inputs: Inputs) -> None:
        self.inputs = inputs
        self.take(self.controller.sense(inputs, self.now_ms))

    def walk(self) -> None:
        at = BEAMS.index(self.inputs & BEAMS[2])
        beams = BEAMS[(at + self.draw.choice([-1, 1, 1])) % 4] if self.draw.random() < 0.8 else self.draw.choice(BEAMS)
        self.sense((self.inputs & ~BEAMS[2]) | beams)

    def press(self) -> None:
        self.sense(self.inputs ^ self.draw.choice([*BUTTONS, Inputs.REQUEST_TO_EXIT]))

    def settle_down(self) -> None:
        """Quiet inputs and a right host, so that releases are accepted now and then."""
        self.sense(Inputs(0))
        self.sense(Inputs.RESET_KEY)
        self.sense(Inputs(0))
        self.now_ms += 5_000
        self.greet(right=True)
        self.take(self.controller.tick(self.now_ms))
        self.say(Heartbeat(1, Belief.SECURED, 0))
        self.say(StateRequest())
        for revision in range(1, 40):
            if self.controller.armed:
                break
            self.say(Arm(revision))
        self.grant += 1
        self.say(Release(self.grant, self.draw.choice(list(Direction)), 3_000, 500, wrap(self.now_ms + 900)))
        if self.draw.random() < 0.3:
            self.say(Cancel(self.grant))

    def reboot(self) -> None:
        self.now_ms += self.draw.choice(SPANS_MS)
        self.inputs = self.draw.choice([self.inputs, Inputs(0)])
        self.power_on()

    # --- bytes ----------------------------------------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        self.take(self.controller.receive(data, self.now_ms))

    def greet(self, *, right: bool = False) -> None:
        draw = self.draw
        hello = Hello(1, 1, LinkMode.KEYED if self.settings.key else LinkMode.KEYLESS, b"gate-001", draw.randbytes(16))
        if not right and draw.random() < 0.5:
            hello = replace(
                hello, **draw.choice([{"min_version": 2}, {"link_mode": LinkMode(draw.randrange(2))}, {"host_id": b"gate-002"}])
            )
        wire = seal_open(hello)
        before = len(self.controller.receive(wire, self.now_ms).data)
        if before > 100:  # a HELLO_REPLY: not refused
            self.hellos += 1
            key = self.settings.key or KEYLESS
            nonce = derived_nonce(key, boot_count=self.controller.store.boot_count, hello_count=self.hellos)
            self.session, self.sequence = session_key(key, hello_payload=encode(hello), controller_nonce=nonce), 0
        if draw.random() < 0.3:
            self.receive(wire * draw.randint(1, 3))

    def sealed(self, message: HostMessage, *, sequence: int | None = None, payload: bytes | None = None) -> bytes:
        if sequence is None:
            self.sequence += 1
            sequence = self.sequence
        code, payload = type_byte(message), encode(message) if payload is None else payload
        made = tag(self.session or bytes(32), sender=Sender.HOST, code=code, sequence=sequence, payload=payload)
        return encode_frame(Frame(code, sequence, payload + made))

    def say(self, message: HostMessage) -> None:
        self.receive(self.sealed(message))

    def speak(self) -> None:
        """One read with one to four frames, some of them wrong in one thing."""
        self.receive(b"".join(self.one_frame() for _ in range(self.draw.choice([1, 1, 1, 2, 4]))))

    def one_frame(self) -> bytes:
        draw = self.draw
        wire = self.sealed(self.any_message())
        match draw.randrange(24):
            case 0:
                wire = self.sealed(
                    self.any_message(), sequence=draw.choice([0, 1, self.sequence, 2**32 - 1 if draw.random() < 0.02 else 2])
                )
            case 1:
                wire = self.sealed(self.any_message(), payload=draw.randbytes(draw.randint(0, 20)))
            case 2:
                code, size = draw.choice([*TABLE, 0, 0x0A, 0x7F, 0x8F, 0xFF]), draw.randint(0, 40)
                wire = encode_frame(Frame(code, draw.choice([0, 1, self.sequence + 1]), draw.randbytes(size)))
            case 3:
                at = draw.randrange(len(wire))
                wire = wire[:at] + draw.randbytes(1) + wire[at + 1 :]
            case 4 if self.old:
                wire = draw.choice(self.old)
            case 5:
                wire = wire[: draw.randrange(len(wire))]
            case _:
                pass
        self.old = [*self.old[-30:], wire]
        return wire

    def noise(self) -> None:
        self.receive(self.draw.randbytes(self.draw.choice([1, 9, 200, 201, 202, 203, 500])))

    def any_message(self) -> HostMessage:
        draw = self.draw
        if draw.random() < 0.5:
            return Heartbeat(draw.randrange(2**32), draw.choice(list(Belief)), draw.choice([0, self.grant, self.grant, self.grant + 1]))
        newest = draw.randint(0, 70)
        ahead = draw.choice([-1, 0, 900, 900, 900, 10_000, 10_001, -(2**31), 2**31 - 1])
        self.grant += draw.choice([0, 0, 1, 1, 3])
        return draw.choice(
            [
                StateRequest(),
                Arm(draw.randrange(30)),
                Disarm() if draw.random() < 0.2 else StateRequest(),
                EventAck(newest),
                Cancel(draw.choice([0, self.grant, self.grant + 1, max(0, self.grant - 1)])),
                Indicate(draw.choice(list(Lamp)), draw.choice(list(Tone)), draw.choice([0, 1, 500, 65_535])),
                *[
                    Release(
                        draw.choice([0, self.grant, self.grant, max(0, self.grant - 1)]),
                        draw.choice(list(Direction)),
                        draw.choice([0, 499, 500, 3_000, 10_000, 10_001, 65_535]),
                        draw.choice([0, 1, 99, 100, 500, 1_000, 1_001, 65_535]),
                        wrap(self.now_ms + ahead),
                    )
                    for _ in range(3)
                ],
            ]
        )
