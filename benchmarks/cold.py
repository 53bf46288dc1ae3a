"""How long a user waits for a first answer: one image in a fresh process, vitrail's command and a script with timm.

Both load the published DeiT-Ti from a file and name the five most probable classes of the same image; the processes
take turns. Printed: median seconds, and the ratio within a round.

    python benchmarks/cold.py DATA [--rounds 7]        # DATA has imagenet_like/ and weights/
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from timing import middle

TIMM = """
import sys, timm, torch
from PIL import Image
from safetensors.torch import load_file
file, image = sys.argv[1:]
model = timm.create_model("deit_tiny_patch16_224").eval()
model.load_state_dict(load_file(file))
transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
with torch.inference_mode():
    shares = model(transform(Image.open(image).convert("RGB"))[None]).softmax(-1)[0]
for share, number in zip(*shares.topk(5)):
    print(f"{number.item()} {share.item():.1%}")
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    file = arguments.data / "weights" / "deit_tiny_patch16_224.safetensors"
    image = next(path for path in sorted((arguments.data / "imagenet_like").rglob("*.jpg")))
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "deit"
        run(["-m", "vitrail", "weights", "convert", file, "--to", "vitrail", "--out", checkpoint])
        commands = {
            "vitrail": ["-m", "vitrail", "predict", checkpoint, image, "--top", "5"],
            "timm": ["-c", TIMM, file, image],
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for number in range(arguments.rounds + 1):
            for name, command in commands.items():
                taken = run(command)
                if number:  # the first round fills the caches of the file system
                    times[name].append(taken)
    for name, taken in times.items():
        print(f"{name:10} {statistics.median(taken):6.2f} s")
    print(f"vitrail / timm {middle([a / b for a, b in zip(times['vitrail'], times['timm'], strict=True)])}")


def run(arguments: list[str | Path]) -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


if __name__ == "__main__":
    main()
