"""The pacing of the uplink, with time passed in: in order, within the window, back when nobody answers."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agent.drivers.uplink_flow import BROKER_SILENT_S, RETRY_LIMIT_S, RETRY_S, UNHEARD_LIMIT_S, Flow


def flow_of(window: int = 5, acknowledged: int = 0) -> Flow:
    return Flow(window=window, acknowledged=acknowledged, now_s=0.0)


def send(flow: Flow, count: int, now_s: float = 0.0) -> None:
    for _ in range(count):
        flow.sending(flow.sent + 1, flow.sent + 1, now_s)


def test_a_window_that_is_full_waits_for_the_consumer_not_for_the_broker() -> None:
    flow = flow_of(window=5)
    send(flow, 5)
    for mid in range(1, 6):
        flow.accepted(mid, heard=True)
    assert flow.room() == 0
    flow.acknowledge(3, 0.1)
    assert flow.room() == 3


def test_the_servers_limit_counts_when_it_is_lower_and_leaves_one_for_our_presence() -> None:
    flow = flow_of(window=50)
    flow.keep_to(4)
    assert flow.room() == 3
    flow.keep_to(1)
    assert flow.room() == 1


def test_without_progress_everything_beyond_the_acknowledgement_is_sent_again() -> None:
    flow = flow_of()
    send(flow, 4)
    flow.acknowledge(2, 1.0)
    assert not flow.go_back(1.0 + RETRY_S - 0.01)
    assert flow.go_back(1.0 + RETRY_S)
    assert flow.sent == 2


def test_the_patience_doubles_up_to_a_limit_while_nobody_answers() -> None:
    flow, now_s, waits = flow_of(), 0.0, []
    for _ in range(8):
        send(flow, 1, now_s)
        flow.accepted(flow.sent, heard=True)
        waits.append(flow.next_s(now_s))
        now_s += waits[-1]
        assert flow.go_back(now_s)
    assert waits == [RETRY_S, 4.0, 8.0, 16.0, 32.0, RETRY_LIMIT_S, RETRY_LIMIT_S, RETRY_LIMIT_S]


def test_while_nobody_is_subscribed_one_row_asks_again_and_soon() -> None:
    flow = flow_of(window=50)
    send(flow, 1)
    flow.accepted(1, heard=False)
    assert flow.room() == 0
    now_s = 0.0
    for _ in range(5):
        now_s += flow.next_s(now_s)
        assert flow.go_back(now_s)
        assert flow.room() == 1
        send(flow, 1, now_s)
        flow.accepted(1, heard=False)
    assert flow.next_s(now_s) == UNHEARD_LIMIT_S


def test_a_word_that_nobody_asked_for_says_that_the_consumer_is_back() -> None:
    flow = flow_of()
    send(flow, 3)
    flow.acknowledge(0, 1.5)
    assert flow.go_back(1.5)
    assert flow.sent == 0


def test_an_answer_without_progress_does_not_hurry_a_consumer_that_refuses_a_row() -> None:
    flow = flow_of()
    send(flow, 3)
    flow.acknowledge(0, 0.01)
    assert not flow.go_back(RETRY_S - 0.01)


def test_a_consumer_that_lost_rows_gets_them_again() -> None:
    flow = flow_of(acknowledged=100)
    flow.acknowledge(40, 0.0)
    assert (flow.sent, flow.acknowledged) == (40, 40)


def test_a_consumer_that_has_more_than_we_thought_skips_ahead() -> None:
    flow = flow_of(acknowledged=10)
    flow.acknowledge(60, 0.0)
    assert (flow.sent, flow.room()) == (60, 5)


def test_rows_that_are_pruned_are_not_asked_for() -> None:
    flow = flow_of(acknowledged=100)
    flow.pruned_to(90)
    flow.acknowledge(0, 0.0)
    assert (flow.sent, flow.acknowledged, flow.room()) == (90, 90, 5)


def test_silence_is_measured_from_the_first_row_that_waits_through_every_repetition() -> None:
    flow = flow_of()
    assert flow.silent_s(50.0) == 0.0
    send(flow, 1, 100.0)
    assert flow.go_back(102.0)
    send(flow, 1, 102.0)
    assert flow.silent_s(107.0) == 7.0
    flow.acknowledge(1, 108.0)
    assert flow.silent_s(200.0) == 0.0


def test_a_broker_that_takes_nothing_for_long_is_stuck() -> None:
    flow = flow_of()
    send(flow, 1)
    assert not flow.broker_is_stuck(BROKER_SILENT_S)
    assert flow.broker_is_stuck(BROKER_SILENT_S + 0.1)
    flow.accepted(1, heard=True)
    assert not flow.broker_is_stuck(BROKER_SILENT_S + 0.1)


class AnyOrder(RuleBasedStateMachine):
    """Whatever broker, consumer and time do."""

    def __init__(self) -> None:
        super().__init__()
        self.window = 4
        self.flow = flow_of(window=self.window)
        self.now_s = 0.0
        self.mid = 0
        self.out: list[int] = []

    @precondition(lambda self: self.flow.room() > 0)
    @rule()
    def send_the_next(self) -> None:
        self.mid += 1
        self.flow.sending(self.flow.sent + 1, self.mid, self.now_s)
        self.out.append(self.mid)

    @precondition(lambda self: self.out)
    @rule(heard=st.booleans())
    def broker_accepts(self, heard: bool) -> None:
        self.flow.accepted(self.out.pop(0), heard=heard)

    @rule(seq=st.integers(0, 60))
    def consumer_says(self, seq: int) -> None:
        self.flow.acknowledge(seq, self.now_s)

    @rule(seconds=st.floats(0.0, 100.0))
    def time_goes_by(self, seconds: float) -> None:
        self.now_s += seconds
        self.flow.go_back(self.now_s)

    @rule(more=st.integers(0, 5))
    def rows_are_pruned(self, more: int) -> None:
        self.flow.pruned_to(min(self.flow.acknowledged, self.flow._floor + more))

    @invariant()
    def never_more_on_the_way_than_allowed(self) -> None:
        assert self.flow.acknowledged <= self.flow.sent <= self.flow.acknowledged + self.window
        assert len(self.out) <= self.window
        assert self.flow.next_s(self.now_s) <= RETRY_LIMIT_S

    def teardown(self) -> None:
        """Once broker and consumer answer, every row goes out, whatever was before."""
        for mid in self.out:
            self.flow.accepted(mid, heard=True)
        for _ in range(200):
            self.now_s += 1.0
            self.flow.go_back(self.now_s)
            if self.flow.room():
                self.mid += 1
                self.flow.sending(self.flow.sent + 1, self.mid, self.now_s)
                self.flow.accepted(self.mid, heard=True)
                self.flow.acknowledge(self.flow.sent, self.now_s)
        assert self.flow.acknowledged > 60


TestAnyOrder = AnyOrder.TestCase


@given(st.integers(1, 100), st.integers(1, 70_000))
def test_there_is_always_room_for_the_first_row(window: int, receive_maximum: int) -> None:
    flow = flow_of(window=window)
    flow.keep_to(receive_maximum)
    assert 1 <= flow.room() <= window
