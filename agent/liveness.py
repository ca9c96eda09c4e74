"""Which thread has stopped turning, and what that takes out of service. A fresh thread is trusted; a silent one is said so, once.

systemd's watchdog covers control and barrier only (HOUSE section 5): a dead camera, recogniser or broker takes its service out of use,
never the process.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from agent.core.inputs import Input
from agent.ports import Post, Stoppable

JOIN_S = 3.0  # for each thread at the stop; a slower one is left behind, the process ends anyway


@dataclass(frozen=True, slots=True)
class Watched:
    """One thread of ours.

    Attributes:
        limit_ns: longest time between two of its turns while all is well, with room for a slow machine.
        silent: the input that says that it is gone; None where its service has its own word for it.
    """

    thread: Stoppable
    limit_ns: int
    silent: Callable[[str], Input] | None = None


@dataclass(slots=True)
class Liveness:
    """Looks at the threads once a turn of the control loop; used by the control thread alone."""

    watched: Sequence[Watched]
    post: Post
    warn: Callable[[str], None]
    _silent: set[str] = field(default_factory=set)

    def look(self, now_ns: int) -> None:
        """Report each thread that has fallen silent since the last look."""
        for watched in self.watched:
            name = watched.thread.name
            if is_fresh(watched.thread, now_ns, watched.limit_ns):
                self._silent.discard(name)
            elif name not in self._silent:
                self._silent.add(name)
                sentence = f"thread {name} has not turned for {watched.limit_ns / 1e9:g} s"
                self.warn(sentence)
                if watched.silent is not None:
                    self.post(watched.silent(sentence))


def is_fresh(thread: Stoppable, now_ns: int, limit_ns: int) -> bool:
    return now_ns - thread.fresh_ns() < limit_ns


def stop(threads: Sequence[Stoppable]) -> list[str]:
    """Stop the last started first; the names of those that did not end in time."""
    for thread in reversed(threads):
        thread.stop()
    return [thread.name for thread in reversed(threads) if not thread.join(JOIN_S)]
