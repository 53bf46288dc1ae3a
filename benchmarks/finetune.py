"""Fine-tune the real DeiT-Ti on ten classes of clothes: a plain script with timm's model, and vitrail's defaults.

Both start from the same file and end with the accuracy on the same test images; each runs by itself, one after the
other, in a fresh process. The plain script: 160 pixels, batch 64, 5 epochs, AdamW 3e-4 one-cycle, weight decay 0.05,
smoothing 0.1, drop path 0.1, crops of 0.35 to 1, flip, bf16, one data worker.

    python benchmarks/finetune.py DATA        # DATA has clothing/ and weights/
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def plain_script(data: Path) -> float:
    """Train timm's model as a practitioner would write it down; return the accuracy on the test images."""
    import timm
    import torch
    from safetensors.torch import load_file
    from timm.layers import resample_abs_pos_embed
    from torch import nn
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    torch.manual_seed(0)
    end = [
        v2.PILToTensor(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ]
    bicubic = v2.InterpolationMode.BICUBIC
    crop = v2.RandomResizedCrop(160, scale=(0.35, 1.0), interpolation=bicubic)
    train = ImageFolder(data / "clothing" / "train", v2.Compose([crop, v2.RandomHorizontalFlip(), *end]))
    centre = [v2.Resize(183, interpolation=bicubic), v2.CenterCrop(160)]
    test = ImageFolder(data / "clothing" / "test", v2.Compose([*centre, *end]))
    model = timm.create_model("vit_tiny_patch16_224", img_size=160, num_classes=10, drop_path_rate=0.1)
    state = load_file(data / "weights" / "deit_tiny_patch16_224.safetensors")
    state = {name: tensor for name, tensor in state.items() if not name.startswith("head.")}
    state["pos_embed"] = resample_abs_pos_embed(state["pos_embed"], (10, 10))
    model.load_state_dict(state, strict=False)
    batches = DataLoader(train, 64, shuffle=True, drop_last=True, num_workers=1, persistent_workers=True)
    epochs = 5
    optimizer = torch.optim.AdamW(model.parameters(), 3e-4, weight_decay=0.05, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-4, total_steps=epochs * len(batches))
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    for _ in range(epochs):
        for images, labels in batches:
            with torch.autocast("cpu", torch.bfloat16):
                loss = criterion(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    model.eval()
    right = 0
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for images, labels in DataLoader(test, 128):
            right += int((model(images).argmax(dim=1) == labels).sum())
    return right / len(test)


def vitrails_defaults(data: Path, out: str) -> float:
    """Run the two commands a user would, and return the accuracy the second one prints."""
    vitrail = [sys.executable, "-m", "vitrail"]
    clothing, weights = str(data / "clothing"), str(data / "weights" / "deit_tiny_patch16_224.safetensors")
    subprocess.run([*vitrail, "train", clothing, "--weights", weights, "--out", out], check=True, stdout=sys.stderr)
    printed = subprocess.run([*vitrail, "evaluate", out, clothing, "--json"], check=True, capture_output=True)
    return json.loads(printed.stdout)["top1"]


def main(data: Path) -> None:
    """Run one after the other and print accuracy and seconds, everything from the start of the process included."""
    began = time.perf_counter()
    printed = subprocess.run([sys.executable, __file__, str(data), "plain"], check=True, capture_output=True, text=True)
    plain = time.perf_counter() - began
    print(f"plain script with timm   test {float(printed.stdout):.4f}  {plain:.0f} s", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        accuracy = vitrails_defaults(data, f"{folder}/run")
        ours = time.perf_counter() - began
    print(f"vitrail's defaults       test {accuracy:.4f}  {ours:.0f} s  ({plain / ours:.2f} times as fast)")


if __name__ == "__main__":
    root = Path(sys.argv[1])
    if sys.argv[2:] == ["plain"]:
        print(plain_script(root))
    else:
        main(root)
