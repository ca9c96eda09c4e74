"""What the composition root says in the agent's log."""

from agent import app
from agent.core.events import Event, EventType
from tests.sim.clock import StandingClock


def test_words_of_others_do_not_act_on_the_log() -> None:
    words = {"on": True, "by": "li", "reason": "fire\nlane.lock_down on=False\x1b[2J\u202e"}
    said = app._brief(Event(EventType.LOCK_DOWN, StandingClock().now(), words))
    assert said == r"on=True by=li reason=fire\nlane.lock_down on=False\x1b[2J\u202e"
