"""Random lives of host, controller and lane, judged after every step by an oracle that reads only outputs and the controller's log."""

import random

import pytest

from firmware_bridge.emulator.controller import PowerOn
from firmware_bridge.emulator.faults import WireFault
from firmware_bridge.emulator.settings import ControllerSettings
from firmware_bridge.messages import PassageCompleted
from firmware_bridge.vocabulary import Belief, Direction, Inputs
from tests.bridge.oracle import Oracle
from tests.bridge.world import KEY, MS, World

FAST_SEEDS = range(12)
SLOW_SEEDS = range(100, 200)
STEPS = 120


class Life:
    """One random sequence. The seed is in the test's name; the same seed gives the same life."""

    def __init__(self, seed: int, fault: WireFault, *, machine: PowerOn | None = None) -> None:
        self.draw = random.Random(seed)
        # Half of the lives run over the wrap of the controller's 32-bit clock.
        offset = 2**32 - self.draw.randint(1_000, 60_000) if self.draw.random() < 0.5 else self.draw.randint(0, 2**31)
        settings = ControllerSettings(key=KEY, held_open_ms=3_000, beam_stuck_ms=6_000, releases_per_minute=20)
        self.world = World(fault=fault, seed=seed, settings=settings, controller_offset_ms=offset, machine=machine)
        self.oracle = Oracle(self.world)
        self.grant = 0
        self.actions = [
            (self.run, 10),
            (self.release, 8),
            (self.release_again, 3),
            (self.beam, 12),
            (self.walk, 3),
            (self.cancel, 2),
            (self.exit_button, 2),
            (self.fire, 1),
            (self.reset_key, 2),
            (self.reboot, 1),
            (self.restart_host, 1),
            (self.host_hangs, 1),
            (self.lie, 1),
            (self.replay, 4),
            (self.noise, 2),
            (self.serve, 8),
            (self.pass_one, 12),
        ]

    def live(self, steps: int) -> None:
        acts, weights = zip(*self.actions, strict=True)
        for _ in range(steps):
            self.draw.choices(acts, weights)[0]()
        self.calm_down()

    def calm_down(self) -> None:
        """Whatever happened, the link comes back, the lane comes to rest, and one more person can pass."""
        world = self.world
        world.host_alive, world.belief = True, None
        world.sense(world.inputs & Inputs.RESET_KEY & ~world.inputs)
        world.press(Inputs.RESET_KEY)
        world.run(80_000)
        world.arm(limit_ms=60_000)

    def run(self) -> None:
        self.world.run(self.draw.choice([1, 5, 40, 300, 1_000, 2_500, 11_000]))

    def release(self) -> None:
        self.grant += self.draw.choice([1, 1, 1, 2, 1_000])
        self._release(self.grant)

    def release_again(self) -> None:
        self._release(max(1, self.grant - self.draw.choice([0, 0, 1, 5])))

    def _release(self, grant: int) -> None:
        direction = self.draw.choice(list(Direction))
        window_ms = self.draw.choice([0, 500, 3_000, 60_000])
        self.world.release(grant, direction, window_ms=window_ms, within_ms=self.draw.choice([-5, 0, 3, 200, 1_000, 9_000]))

    def cancel(self) -> None:
        self.world.cancel(max(0, self.grant + self.draw.choice([-1, 0, 0, 1])))

    def beam(self) -> None:
        self.world.beams(
            self.draw.choice([Inputs(0), Inputs(0), Inputs.BEAM_ENTRY, Inputs.BEAM_EXIT, Inputs.BEAM_ENTRY | Inputs.BEAM_EXIT])
        )

    def walk(self) -> None:
        self.world.walk(self.draw.choice(list(Direction)), step_ms=self.draw.choice([1, 50, 200]))

    def exit_button(self) -> None:
        self.world.press(Inputs.REQUEST_TO_EXIT)

    def fire(self) -> None:
        self.world.sense(self.world.inputs ^ Inputs.FIRE)

    def reset_key(self) -> None:
        self.world.sense(self.world.inputs & ~Inputs.FIRE)
        self.world.press(Inputs.RESET_KEY)

    def reboot(self) -> None:
        self.oracle.rebooted()
        self.world.start_controller()

    def restart_host(self) -> None:
        self.world.restart_host()
        self.world.connect()

    def host_hangs(self) -> None:
        self.world.host_alive = not self.world.host_alive

    def lie(self) -> None:
        self.world.belief = self.draw.choice([None, None, *Belief])

    def replay(self) -> None:
        """Anything that any host ever wrote, in this session or another, of this boot or another."""
        for wire in self.draw.sample(self.world.written, min(3, len(self.world.written))):
            self.world.inject(wire)

    def noise(self) -> None:
        self.world.inject(self.draw.randbytes(self.draw.randint(1, 300)))

    def serve(self) -> None:
        """What a right host does when there is nothing else: keep the link up and armed."""
        world = self.world
        world.host_alive, world.belief = True, None
        if world.controller.store.emergency and self.draw.random() < 0.5:
            self.reset_key()
        if not world.link.up and world.link.next_deadline_ns() is None:
            world.connect()
        world.run(20)
        if world.link.caught_up and not world.controller.armed:
            world.link.arm(world.now_ns)
            world.pump()

    def pass_one(self) -> None:
        """A right release and somebody near it, so that most other acts fall into the middle of something."""
        self.world.beams(Inputs(0))
        self.world.run(1_000)
        self.serve()
        self.grant += 1
        direction = self.draw.choice(list(Direction))
        self.world.release(self.grant, direction, window_ms=self.draw.choice([1_000, 5_000]))
        if self.draw.random() < 0.5:
            self.world.walk(direction, step_ms=50)


@pytest.mark.parametrize("seed", FAST_SEEDS)
def test_no_random_life_breaks_a_safety_rule(seed: int) -> None:
    Life(seed, list(WireFault)[seed % len(WireFault)]).live(STEPS)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SLOW_SEEDS)
def test_no_random_life_breaks_a_safety_rule_however_many_there_are(seed: int) -> None:
    Life(seed, list(WireFault)[seed % len(WireFault)]).live(3 * STEPS)


def test_a_life_releases_people_at_all() -> None:
    """Guards the check above: a world in which nothing ever opens would pass it."""
    lives = [Life(seed, WireFault.NONE) for seed in range(4)]
    for life in lives:
        life.live(STEPS)
    assert sum(sum(life.oracle.accepted.values()) for life in lives) > 20
    assert sum(sum(life.oracle.passed.values()) for life in lives) > 2


@pytest.mark.parametrize("fault", list(WireFault))
def test_a_wire_fault_never_wedges_the_link_or_opens_twice(fault: WireFault) -> None:
    world = World(fault=fault, seed=5)
    oracle = Oracle(world)
    world.arm(limit_ms=60_000)
    for grant in range(1, 6):
        world.release(grant)
        world.run(1_200)
        world.walk(step_ms=60)
        world.run(2_000)
        world.arm(limit_ms=60_000)
    told = [e.grant_number for e in world.happened(PassageCompleted) if e.grant_number]
    assert told == world.passed()
    assert max(oracle.accepted.values()) == 1
    assert world.now_ns < 600_000 * MS
