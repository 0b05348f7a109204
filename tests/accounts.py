"""Other people's accounts, for tests that root runs: may it, and how others come to see this Python."""

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

# Inside a mount namespace of its own: nobody else may enter the folder of this Python. Not here, where it is
# another's.
OPEN = """
if [ "$CLOSED" ]; then
    mount --make-rprivate / && mount --bind "$BASE" /mnt && mount -t tmpfs -o mode=755 none "$CLOSED"
    mkdir -p "$BASE" && mount --bind /mnt "$BASE"
fi
"""


def base() -> dict[str, str]:
    """What OPEN needs in its environment."""
    folder = Path(sys.base_prefix)
    closed = next((str(one) for one in reversed(folder.parents) if not one.stat().st_mode & 0o001), "")
    return {"BASE": str(folder), "CLOSED": closed}


@functools.cache
def missing() -> str:
    """Why this process cannot act as several users, '' if it can."""
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    tools = all(map(shutil.which, ("unshare", "setpriv", "nsenter")))
    if root and tools and not subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        return ""
    return "Only root, outside of a container that takes its rights away, can act as several users."
