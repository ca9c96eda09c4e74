"""`python -m models`: the same as `gate-agent models`."""

import sys

from models.commands import main

sys.exit(main())
