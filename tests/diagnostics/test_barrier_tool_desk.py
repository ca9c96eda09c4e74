"""Orders of staff, as the agent's desk judges them: with real keys, a clock that the test moves, and once over the real socket."""

import json
import os
import pwd
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from agent.config import Config, StaffConfig
from agent.core.identity import Direction
from agent.core.inputs import Input
from agent.core.moment import NS_PER_S
from agent.core.orders import StaffDenial, StaffRefused, StaffRelease
from agent.core.text import harmless
from agent.diagnostics import checks
from agent.diagnostics.barrier_tool import keys
from agent.drivers.control_socket import ControlSocket, TooSoonError, ask
from agent.drivers.staff_desk import MOST_REASON, NONCES, ORDER_LIFE_NS, PAUSE_NS, Order, StaffDesk, StaffKeyError, TooSoon

USER = pwd.getpwuid(os.getuid()).pw_name
WRONG_WAY: Any = {"site": "s", "gate": "g", "staff": "li", "nonce": "n", "direction": "both", "reason": "r", "expires_ns": 1}


@dataclass
class Desk:
    """A desk at which Li's key is installed, and what it tells the core."""

    folder: Path
    now_ns: int = 1000 * NS_PER_S
    posted: list[Input] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.keys_dir = self.folder / "staff"
        self.keys_dir.mkdir(mode=0o755)
        self.private, public, self.fingerprint = keys.make("li", self.folder)
        public.rename(self.keys_dir / "li.pub")
        self.desk = StaffDesk(site="site", gate="gate-1", keys_dir=self.keys_dir, now_ns=lambda: self.now_ns)

    def order(self, **other: object) -> Order:
        """A right order, but for `other`."""
        order = Order(staff="li", direction="entry", reason="a wheelchair", **self.desk.begin())
        return replace(order, **other)  # type: ignore[arg-type]

    def send(self, request: dict[str, str]) -> object:
        """The denial, None where there is none, or a sentence; the pause between two orders is over."""
        self.now_ns += PAUSE_NS
        judged = self.desk.judge(request["order"], request["signature"], user=USER)
        if isinstance(judged, str | TooSoon):
            return judged
        self.posted.append(judged)
        return judged.denial if isinstance(judged, StaffRefused) else None

    def signed(self, order: Order) -> dict[str, str]:
        return keys.sign(order, keys.read_private(self.private))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_right_order_reaches_the_core_with_who_and_why(desk: Desk) -> None:
    order = desk.order()
    assert desk.send(desk.signed(order)) is None
    assert desk.posted == [
        StaffRelease(
            staff="li",
            key=desk.fingerprint,
            user=USER,
            direction=Direction.ENTRY,
            reason="a wheelchair",
            request=order.nonce,
            expires_at_ns=order.expires_ns,
        )
    ]


def refusal(order: Order, denial: StaffDenial) -> StaffRefused:
    direction, reason = Direction(order.direction), harmless(order.reason)
    return StaffRefused(staff=harmless(order.staff), user=USER, direction=direction, reason=reason, request=order.nonce, denial=denial)


def test_an_order_counts_once(desk: Desk) -> None:
    order = desk.order()
    desk.send(desk.signed(order))
    assert desk.send(desk.signed(order)) == "not_fresh"
    assert desk.posted[1:] == [refusal(order, StaffDenial.NOT_FRESH)]


def test_two_technicians_at_once_are_both_believed(desk: Desk) -> None:
    first, second = desk.order(), desk.order(direction="exit")
    assert (desk.send(desk.signed(first)), desk.send(desk.signed(second))) == (None, None)
    assert (desk.send(desk.signed(first)), desk.send(desk.signed(second))) == ("not_fresh", "not_fresh"), "each counts once"


def test_only_so_many_wait_for_their_order_and_the_oldest_goes_first(desk: Desk) -> None:
    orders = [desk.order() for _ in range(NONCES + 1)]
    assert [desk.send(desk.signed(order)) for order in (orders[0], orders[1], orders[-1])] == ["not_fresh", None, None]


def test_what_was_given_later_does_not_lengthen_an_order_of_before(desk: Desk) -> None:
    first = desk.order()
    desk.now_ns += NS_PER_S
    later = desk.order()
    assert desk.send(desk.signed(replace(first, expires_ns=later.expires_ns))) == "expired"


def test_an_order_of_an_earlier_run_of_the_agent_is_worthless(desk: Desk) -> None:
    assert desk.send(desk.signed(desk.order(nonce="00" * 16))) == "not_fresh"


def test_a_wrong_try_uses_up_what_the_agent_gave(desk: Desk) -> None:
    order = desk.order()
    assert desk.send(desk.signed(order) | {"signature": "00" * 64}) == "wrong_signature"
    assert desk.send(desk.signed(order)) == "not_fresh"


@pytest.mark.parametrize(
    ("other", "denial"),
    [
        ({"staff": "wong"}, StaffDenial.UNKNOWN_KEY),
        ({"staff": "../staff/li"}, StaffDenial.UNKNOWN_KEY),
        ({"staff": "li\x1b[2J\n", "reason": "\u202eno"}, StaffDenial.UNKNOWN_KEY),
        ({"gate": "gate-2"}, StaffDenial.OTHER_GATE),
        ({"site": "elsewhere"}, StaffDenial.OTHER_GATE),
        ({"reason": ""}, StaffDenial.NO_REASON),
        ({"reason": "  "}, StaffDenial.NO_REASON),
        ({"reason": "a drill\nstaff.granted grant=7"}, StaffDenial.NO_REASON),
        ({"reason": "\ud800"}, StaffDenial.NO_REASON),
        ({"reason": "x" * (MOST_REASON + 1)}, StaffDenial.NO_REASON),
        ({"expires_ns": 1000 * NS_PER_S}, StaffDenial.EXPIRED),
        ({"expires_ns": 1000 * NS_PER_S + ORDER_LIFE_NS + 1}, StaffDenial.EXPIRED),
    ],
)
def test_an_order_that_is_not_right_is_denied_and_said_to_the_core(desk: Desk, other: dict[str, object], denial: StaffDenial) -> None:
    order = desk.order(**other)
    assert desk.send(desk.signed(order)) == denial
    assert desk.posted == [refusal(replace(order, reason=order.reason[:MOST_REASON]), denial)]
    (posted,) = desk.posted
    assert isinstance(posted, StaffRefused)
    assert (posted.staff + posted.reason).isprintable(), "no log and no terminal obeys it"


def test_an_order_ends_half_a_minute_after_the_agent_gave_it(desk: Desk) -> None:
    order = desk.order()
    desk.now_ns += ORDER_LIFE_NS - PAUSE_NS
    assert desk.send(desk.signed(order)) == "expired"


def test_another_key_of_the_same_name_is_denied(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    desk.private, _, _ = keys.make("li", tmp_path / "elsewhere")
    assert desk.send(desk.signed(desk.order())) == "wrong_signature"


def test_an_order_that_was_changed_on_its_way_is_denied(desk: Desk) -> None:
    request = desk.signed(desk.order(direction="exit"))
    assert desk.send(request | {"order": request["order"].replace('"exit"', '"entry"')}) == "wrong_signature"


@pytest.mark.parametrize("path", ["staff", "staff/li.pub"])
def test_a_key_that_others_may_change_is_denied(desk: Desk, path: str) -> None:
    (desk.folder / path).chmod(0o777)
    assert desk.send(desk.signed(desk.order())) == "unknown_key"


def test_a_key_that_was_taken_away_is_denied_at_once(desk: Desk) -> None:
    order = desk.order()
    (desk.keys_dir / "li.pub").unlink()
    assert desk.send(desk.signed(order)) == "unknown_key"


def test_orders_come_with_a_pause_between_them(desk: Desk) -> None:
    desk.send(desk.signed(desk.order()))
    order = desk.order()
    desk.now_ns -= 1
    assert desk.send(desk.signed(order)) == TooSoon("orders are taken 250 ms apart; try again")
    desk.now_ns -= PAUSE_NS - 1
    assert desk.send(desk.signed(order)) is None, "the pause is over, and the order was not used up"


def test_an_order_comes_over_the_socket(desk: Desk) -> None:
    path = desk.folder / "control.sock"
    served = ControlSocket(path, snapshot=dict, staff=desk.desk, post=desk.posted.append)
    served.start()
    order = Order(staff="li", direction="entry", reason="a wheelchair", **ask(path, {"ask": "order"})["order"])
    desk.now_ns += PAUSE_NS
    assert ask(path, desk.signed(order)) == {"ok": True, "denial": None}
    desk.now_ns += PAUSE_NS
    assert ask(path, desk.signed(order)) == {"ok": True, "denial": "not_fresh"}
    with pytest.raises(TooSoonError, match="orders are taken 250 ms apart"):
        ask(path, desk.signed(order))
    assert [type(each) for each in desk.posted] == [StaffRelease, StaffRefused]
    served.stop()
    assert served.join(5)


@pytest.mark.parametrize("text", ["", "[]", "{}", "1", "[" * 2000, json.dumps({"staff": "li"}), Order(**WRONG_WAY).text()])
def test_what_is_no_order_is_refused_with_a_sentence(desk: Desk, text: str) -> None:
    sentence = desk.send({"order": text, "signature": ""})
    assert "the order is not one of this version" in str(sentence)
    assert desk.posted == []


def test_the_doctor_lists_whose_orders_count_and_which_do_not(desk: Desk) -> None:
    keys.make("wong", desk.keys_dir)
    (desk.keys_dir / "wong.pub").chmod(0o666)
    gate = checks.Gate(replace(Config(), staff=StaffConfig(keys_dir=desk.keys_dir)), simulation=False, snapshot=None)
    li, wong = checks._staff(gate)
    assert (li.health, li.found) == ("ok", f"li may order a release at the cabinet, key {desk.fingerprint}")
    assert wong.health == "look"
    assert "others than root may change it" in wong.found


def test_a_private_key_is_only_its_owners(tmp_path: Path) -> None:
    private, public, _ = keys.make("li", tmp_path)
    assert (private.stat().st_mode & 0o777, public.stat().st_mode & 0o777) == (0o600, 0o644)
    private.chmod(0o640)
    with pytest.raises(StaffKeyError, match=r"others may use this key .*chmod 0600"):
        keys.read_private(private)


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    keys.make("li", tmp_path)
    with pytest.raises(StaffKeyError, match="is there already"):
        keys.make("li", tmp_path)


@pytest.mark.parametrize("name", ["", "../li", "li/wong", "x" * 65, ".", "..", ".li", "li.key", "li.pub", "li.key.pub"])
def test_a_key_has_a_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(StaffKeyError, match="must be 1 to 64"):
        keys.make(name, tmp_path)
    assert list(tmp_path.iterdir()) == []
