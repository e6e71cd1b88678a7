"""Control over the flushes of a company's database: die at one, stall, or fail."""

import os
import subprocess
from pathlib import Path

_SOURCE = Path(__file__).with_name("disk_shim.c")


def build_shim(folder):
    """Compiles the preloaded library, unless that has been done."""
    library = Path(folder) / "disk_shim.so"
    if not library.exists() or library.stat().st_mtime < _SOURCE.stat().st_mtime:
        command = ["cc", "-shared", "-fPIC", "-O1", "-o", library, _SOURCE, "-ldl", "-lpthread"]
        subprocess.run(command, check=True)
    return library


class Disk:
    """The orders to one company's preloaded library."""

    def __init__(self, library, orders):
        self._orders = Path(orders)
        self.environment = {"LD_PRELOAD": str(library), "BLACKBOX_DISK": str(orders)}

    def kill_before(self, flush=1):
        """The process dies instead of the Nth flush from now on."""
        self._order(f"kill-before {flush}")

    def kill_after(self, flush=1):
        """The process dies right after the Nth flush from now on."""
        self._order(f"kill-after {flush}")

    def stall(self):
        """Flushes wait until further notice."""
        self._order("stall")

    def fail(self):
        """Flushes fail with an input/output error."""
        self._order("eio")

    def fill(self, write=1):
        """There is no room for the Nth write from now on, nor for any after it."""
        self._order(f"enospc {write}")

    def behave(self):
        """Nothing special any longer."""
        self._orders.unlink(missing_ok=True)

    def _order(self, text):
        # Renamed into place, so that nobody reads half an order.
        fresh = self._orders.with_suffix(".new")
        fresh.write_text(text, encoding="ascii")
        os.replace(fresh, self._orders)
