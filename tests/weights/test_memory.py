"""What a hostile file can cost: opened in a process of its own, whose largest memory is read off afterwards."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from .test_reader import npy_header, zip_of

LIMIT = 200 * 2**20

CHILD = """
import resource, sys
from vitrail.errors import WeightsError
from vitrail.weights.inspect import inspect
from vitrail.weights.reader import read_state
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
import safetensors.torch, numpy, torch
torch.save({"a": torch.ones(2)}, sys.argv[1] + "/warm.pth"); read_state(sys.argv[1] + "/warm.pth")
before = peak()
for file in sys.argv[2:]:
    try:
        inspect(file)
    except WeightsError as error:
        print(error)
        continue
    sys.exit(f"{file} was accepted")
print(peak() - before, file=sys.stderr)
"""


def hostile_files(folder: Path) -> list[Path]:
    """Write one file of each kind that promises, or unfolds to, far more than it holds."""
    size = 2**30
    files = [
        zip_of(folder / "bomb.npz", "embedding/kernel.npy", size, npy_header((size // 4,))),
        zip_of(folder / "bomb.pth", "archive/data/0", size),
        folder / "long_header.safetensors",
        folder / "wide.safetensors",
        folder / "million.pth",
        folder / "deep.index.json",
    ]
    files[2].write_bytes((90 * 2**20).to_bytes(8, "little") + b"{" + b" " * 2**10)
    header = json.dumps({"a": {"dtype": "F32", "shape": [10**9], "data_offsets": [0, 4 * 10**9]}}).encode()
    files[3].write_bytes(len(header).to_bytes(8, "little") + header + bytes(64))
    torch.save({"a": torch.ones(1).expand(10**9)}, files[4])
    files[5].write_text("[" * 10**6)
    return files


@pytest.mark.skipif(sys.platform == "win32", reason="reads the process's largest memory off the kernel")
def test_no_hostile_file_costs_200_megabytes(tmp_path: Path) -> None:
    files = hostile_files(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path), *map(str, files)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(files), "one sentence a file"
    unit = 1 if sys.platform == "darwin" else 2**10
    assert int(done.stderr.split()[-1]) * unit < LIMIT
