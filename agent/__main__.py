"""`python -m agent` is `gate-agent`."""

import sys

from agent.cli import main

sys.exit(main())
