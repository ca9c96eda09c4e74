"""Judges a controller by its outputs and its own log alone: the safety rules as checks that hold after every single step."""

from collections import Counter

from firmware_bridge.emulator.controller import Output
from firmware_bridge.vocabulary import Drive, Inputs
from tests.bridge.world import BOTH, NONE, WAYS, World

LONGEST_OPEN_MS = 10_000
EXIT_WITHIN_MS = 12_000  # a whole entry window, the leaf and the gap, and a second to spare


class Oracle:
    """Attach it to a world whose directions rest secure; it raises AssertionError at the step that breaks a rule."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._ways = Drive(0)
        self._free_since: int | None = None  # open, with nobody in the beams
        self._exit_asked: int | None = None
        self._inputs = NONE
        self._may_release = False
        self.accepted: Counter[int] = Counter()
        self.passed: Counter[int] = Counter()
        world.watch = self.judge

    def judge(self, output: Output) -> None:
        world, ways = self._world, output.drive & WAYS
        body, now = bool(world.inputs & BOTH), world.now_ms
        emergency = bool(world.inputs & Inputs.FIRE) or world.controller.store.emergency
        released = [line.fields for line in output.log if line.kind == "release" and line.fields["result"] == "ACCEPTED"]
        self._judge_grants(output)
        assert not (body and self._ways & ~ways), f"a way was taken back with a body in the beams: {self._ways!r} to {ways!r}"
        assert not emergency or ways == WAYS, f"an emergency leaves {ways!r} open, not both"
        rising = ways & ~self._ways
        if rising & Drive.ENTRY and not body and not emergency:
            assert [f["direction"] for f in released][-1:] == ["ENTRY"], "the entry opened without a grant"
        self._judge_times(ways, body=body, emergency=emergency, now=now)
        self._ways, self._inputs = ways, world.inputs
        self._may_release = world.controller.armed

    def _judge_grants(self, output: Output) -> None:
        for line in output.log:
            grant = line.fields.get("grant_number")
            if line.kind in ("arm", "disarm", "session"):
                self._may_release = line.kind == "arm" and line.fields["refusal"] == "NONE"
            if line.kind == "release" and line.fields["result"] == "ACCEPTED":
                assert self._may_release, f"grant {grant} was released and the controller was not armed"
                self.accepted[int(grant or 0)] += 1
            if line.kind == "passage_completed" and grant:
                self.passed[int(grant)] += 1
        assert not [g for g, n in (self.accepted + Counter()).items() if n > 1], f"a grant opened twice: {self.accepted}"
        assert not [g for g, n in self.passed.items() if n > 1], f"a grant passed twice: {self.passed}"
        assert set(self.passed) <= set(self.accepted), "somebody passed on a grant that was never released"

    def _judge_times(self, ways: Drive, *, body: bool, emergency: bool, now: int) -> None:
        if not ways or body or emergency:
            self._free_since = None
        elif self._free_since is None or not self._ways:
            self._free_since = now
        assert self._free_since is None or now - self._free_since <= LONGEST_OPEN_MS, "a way stood open beyond every bound"
        pressed = self._world.inputs & ~self._inputs & Inputs.REQUEST_TO_EXIT
        if ways & Drive.EXIT:
            self._exit_asked = None
        elif body:
            self._exit_asked = now if self._exit_asked is not None or pressed else None
        elif pressed and self._exit_asked is None:
            self._exit_asked = now
        assert self._exit_asked is None or now - self._exit_asked <= EXIT_WITHIN_MS, "a request to exit was not served"

    def rebooted(self) -> None:
        """A request that was waiting is lost with the power; press again. The button works, which is judged anew."""
        self._exit_asked = None
