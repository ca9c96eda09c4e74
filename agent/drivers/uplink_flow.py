"""Which row to send next, how many may be on the way, and when to go back: the pacing of the uplink, with time passed in.

Rows go out in order. At most `window` rows are beyond what the consumer has acknowledged, and no more than the server's Receive Maximum
wait for a PUBACK. A PUBACK only paces; the row counts as delivered when the consumer's cumulative acknowledgement covers it. While the
broker says that nobody is subscribed, one row at a time asks again.
"""

RETRY_S = 2.0  # without progress of the acknowledgement, rows are sent again from there
REPLY_S = 1.0  # an acknowledgement this soon after a row may be the answer to it
RETRY_LIMIT_S = 60.0  # doubled up to this while nobody answers
UNHEARD_LIMIT_S = 5.0  # and up to this while nobody is subscribed: a single row costs little
BROKER_SILENT_S = 30.0  # a broker that has not taken a message for so long is not one


class Flow:
    """Counters of one connection; `acknowledged` starts at what the journal has as delivered."""

    def __init__(self, *, window: int, acknowledged: int, now_s: float) -> None:
        self._window = window
        self._limit = window
        self._floor = 0
        self._acknowledged = acknowledged
        self._retry_s = RETRY_S
        self._deadline_s = now_s + RETRY_S
        self._sent_s = now_s
        self._waiting_since_s: float | None = None
        self._heard = True
        self._in_flight: dict[int, float] = {}  # message number -> when it was sent
        self.sent = acknowledged

    @property
    def acknowledged(self) -> int:
        """The consumer holds all rows up to here, or they are pruned and cannot be sent any more."""
        return max(self._acknowledged, self._floor)

    def keep_to(self, receive_maximum: int) -> None:
        """The server's limit of unacknowledged messages, less one for our presence; paho does not look at it."""
        self._limit = min(self._window, max(1, receive_maximum - 1))

    def pruned_to(self, seq: int) -> None:
        """Rows up to seq are gone."""
        self._floor = seq
        self.sent = max(self.sent, self.acknowledged)

    def room(self) -> int:
        """How many rows may be sent now."""
        window = self._window if self._heard else 1
        return max(0, min(self.acknowledged + window - self.sent, self._limit - len(self._in_flight)))

    def sending(self, seq: int, mid: int, now_s: float) -> None:
        if self.sent <= self.acknowledged:  # the first one on the way: its patience begins
            self._deadline_s = now_s + self._retry_s
            self._waiting_since_s = now_s if self._waiting_since_s is None else self._waiting_since_s
        self.sent = seq
        self._sent_s = now_s
        self._in_flight[mid] = now_s

    def accepted(self, mid: int, *, heard: bool) -> None:
        """The broker took a message, and says whether anybody is subscribed to it."""
        if self._in_flight.pop(mid, None) is not None:
            self._heard = heard

    @property
    def heard(self) -> bool:
        """Whether somebody was subscribed when the newest row was taken."""
        return self._heard

    def acknowledge(self, seq: int, now_s: float) -> None:
        """The consumer's word, whatever it was before: one that was restored from a backup asks for what it lost."""
        before, self._acknowledged = self._acknowledged, seq
        if seq < before:
            self.sent = min(self.sent, self.acknowledged)
        self.sent = max(self.sent, self.acknowledged)
        if seq > before:
            self._retry_s = RETRY_S
            self._deadline_s = now_s + RETRY_S
            self._waiting_since_s = now_s if self.waiting() else None
            self._heard = True
        elif not self._heard or now_s - self._sent_s > REPLY_S:  # said unasked: the consumer has just come back
            self._retry_s = RETRY_S
            self._deadline_s = now_s
            self._heard = True

    def waiting(self) -> bool:
        """Rows were sent that the consumer has not acknowledged."""
        return self.sent > self.acknowledged

    def go_back(self, now_s: float) -> bool:
        """Begin again at the acknowledgement when it has not moved in time; True when that is so. The patience doubles each time."""
        if not self.waiting() or now_s < self._deadline_s:
            return False
        self.sent = self.acknowledged
        self._retry_s = min(2 * self._retry_s, RETRY_LIMIT_S if self._heard else UNHEARD_LIMIT_S)
        self._deadline_s = now_s + self._retry_s
        return True

    def silent_s(self, now_s: float) -> float:
        """How long rows have been waiting without any progress; 0 when none waits."""
        return 0.0 if self._waiting_since_s is None else now_s - self._waiting_since_s

    def broker_is_stuck(self, now_s: float) -> bool:
        return any(now_s - since > BROKER_SILENT_S for since in self._in_flight.values())

    def next_s(self, now_s: float) -> float:
        """Time until `go_back` may do something."""
        return max(0.0, self._deadline_s - now_s) if self.waiting() else RETRY_LIMIT_S
