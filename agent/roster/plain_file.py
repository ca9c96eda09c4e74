"""Files that others may have laid there: read only where they are plain files, and never further than a limit.

A pipe would hold the reading thread for ever, a device or a sparse file would fill the memory.
"""

import errno
import os
import stat
from pathlib import Path


def open_plain(file: Path, *, follow_links: bool) -> int:
    """A descriptor for reading. Raises OSError: it is not there, may not be read, or is no regular file."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow_links else os.O_NOFOLLOW)
    descriptor = os.open(file, flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file", str(file))
    return descriptor


def read_plain(file: Path, *, bytes_max: int) -> bytes:
    """All that an installed file holds; links are followed. Raises OSError, also where it is longer than `bytes_max`."""
    with os.fdopen(open_plain(file, follow_links=True), "rb") as source:
        content = source.read(bytes_max + 1)
    if len(content) > bytes_max:
        raise OSError(errno.EFBIG, f"it is longer than {bytes_max} bytes", str(file))
    return content
