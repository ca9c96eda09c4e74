"""gate-agent, but the process kills itself at the moment at which it would hand a release to the barrier: its record is durable by then.

Run as `python -m tests.sim.agent_killed_at_release run --config ...`. Nothing else of the program is touched.
"""

import os
import signal
import sys

from agent.cli import main
from agent.core.effects import BarrierCommand, ReleaseBarrier
from agent.drivers.barrier import SerialBarrier

_submit = SerialBarrier.submit


def _submit_or_die(self: SerialBarrier, command: BarrierCommand) -> None:
    if isinstance(command, ReleaseBarrier):
        os.kill(os.getpid(), signal.SIGKILL)
    _submit(self, command)


if __name__ == "__main__":
    SerialBarrier.submit = _submit_or_die  # type: ignore[method-assign]
    sys.exit(main())
