"""Mask R-CNN over a Swin-T beside torchvision's own over a ResNet-50: memory and time of an image of 800 pixels.

python benchmarks/detection.py [--side 800] [--rounds 3] [--device cpu]

Both have random weights, 91 outputs and the same number of proposals. Each model runs in a process of its own, so that
the largest memory it ever had is its own; the models take turns.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

MODELS = ("vitrail swin_t", "torchvision resnet50")
CLASSES = 90


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--side", type=int, default=800)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="bf16", choices=["bf16", "fp32"])
    parser.add_argument("--one", choices=MODELS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options)))
        return
    seen: dict[str, list[dict[str, float]]] = {name: [] for name in MODELS}
    for _ in range(options.rounds):
        for name in MODELS:
            words = [f"--{key}={getattr(options, key)}" for key in ("side", "rounds", "device", "precision")]
            done = subprocess.run(
                [sys.executable, __file__, *words, f"--one={name}"], capture_output=True, text=True, check=True
            )
            seen[name].append(json.loads(done.stdout.splitlines()[-1]))
    for name, results in seen.items():
        middle = {key: statistics.median(result[key] for result in results) for key in results[0]}
        print(
            f"{name:22} parameters {middle['parameters'] / 1e6:.1f} M  inference {middle['inference']:.2f} s  "
            f"training step {middle['training']:.2f} s  largest memory {middle['memory'] / 2**30:.2f} GiB"
        )


def measure(options: argparse.Namespace) -> dict[str, float]:
    import torch

    torch.manual_seed(0)
    device = torch.device(options.device)
    model = (new_swin() if options.one == MODELS[0] else new_resnet(options.side)).to(device)
    image = torch.rand(3, options.side, options.side, device=device)
    target = {
        "boxes": torch.tensor([[50.0, 60, 300, 280], [400, 100, 700, 500]], device=device),
        "labels": torch.tensor([1, 2], device=device),
        "masks": torch.ones(2, options.side, options.side, dtype=torch.uint8, device=device),
    }
    times: dict[str, list[float]] = {"inference": [], "training": []}
    sizes = [(options.side, options.side)]
    swin = options.one == MODELS[0]
    for _ in range(3):
        for kind, seconds in times.items():
            model.train(kind == "training")
            began = time.perf_counter()
            half = torch.autocast(device.type, torch.bfloat16, enabled=options.precision == "bf16")
            with half, torch.set_grad_enabled(kind == "training"):
                if swin:
                    out = model(image[None], sizes, [target] if kind == "training" else None)
                else:
                    out = model([image], [dict(target)] if kind == "training" else None)
            if kind == "training":
                sum(out.values()).backward()
                model.zero_grad()
            if device.type == "cuda":
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    memory = torch.cuda.max_memory_allocated() if device.type == "cuda" else peak
    best = {kind: statistics.median(seconds[1:]) for kind, seconds in times.items()}
    return {**best, "memory": memory, "parameters": sum(parameter.numel() for parameter in model.parameters())}


def new_swin():
    from vitrail.heads.dense import dense_options
    from vitrail.heads.names import build_model
    from vitrail.heads.registry import put_head
    from vitrail.settings import Dense

    return put_head(build_model("swin_t", num_classes=0), "mask_rcnn", dense_options(Dense(), CLASSES))


def new_resnet(side: int):
    from torchvision.models.detection import maskrcnn_resnet50_fpn

    return maskrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=CLASSES + 1, trainable_backbone_layers=5, min_size=side
    )


if __name__ == "__main__":
    main()
