"""The end of `gate-agent run` while a library's call holds a thread that nobody can stop."""

import subprocess
import sys

PROGRAM = """
import sys, threading, time
import cv2, numpy as np
from agent.run_command import leave

def work():
    picture = np.zeros((3000, 3000), np.float32)
    while True:
        cv2.GaussianBlur(picture, (51, 51), 9)

threading.Thread(target=work, daemon=True).start()
time.sleep(0.3)
print("all is closed", end="")
leave(7)
"""


def test_a_thread_that_is_left_in_a_library_aborts_no_orderly_end() -> None:
    """Without `leave` this ends with SIGABRT in Python 3.11 to 3.13."""
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stdout) == (7, "all is closed"), ended.stderr


def test_with_no_thread_left_the_end_is_the_interpreters() -> None:
    program = "from agent.run_command import leave; leave(7); print('went on')"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60).stdout == "went on\n"
