"""Settings of the whole suite; they must stand before torch is imported."""

import os
import sys

# Two test processes on two cores must not keep each other waiting (see vitrail.cli.THREAD_PATIENCE).
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
if "PYTEST_XDIST_WORKER" in os.environ:
    # Each of them has a core: two threads each would wait for one another.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# Processes that tests start import torch anew: without kept bytecode each compiles its sources for three seconds.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
