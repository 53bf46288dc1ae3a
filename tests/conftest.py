"""Settings of the whole suite; they must stand before torch is imported."""

import os

# Two test processes on two cores must not keep each other waiting (see vitrail.cli.THREAD_PATIENCE).
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
