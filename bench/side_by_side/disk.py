"""What the disk can do by itself: the yardstick for everything that waits for it."""

import os
import statistics
import time

_BLOCK = 4096
_BLOCKS = 256
_SECONDS = 1.0


def measure(folder):
    """`fdatasync` of a preallocated 4 KiB block, one after the other: how many a second, and the median in ms."""
    path = folder / "fdatasync.probe"
    took = []
    with open(path, "wb+", buffering=0) as file:
        file.write(bytes([1]) * _BLOCK * _BLOCKS)
        os.fsync(file)
        begun = time.perf_counter()
        while time.perf_counter() - begun < _SECONDS:
            start = time.perf_counter()
            os.pwrite(file.fileno(), len(took).to_bytes(8) * (_BLOCK // 8), len(took) % _BLOCKS * _BLOCK)
            os.fdatasync(file)
            took.append(time.perf_counter() - start)
    path.unlink()
    return {"per_second": len(took) / sum(took), "p50_ms": statistics.median(took) * 1e3}
