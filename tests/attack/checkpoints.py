"""Checkpoints of a stranger: whole ones, and mutations of each of their files that keep the structure in part."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save, save_file

from vitrail.config import Preprocessing, to_json
from vitrail.heads.names import build_model, parse_model
from vitrail.heads.registry import build, with_dense_head
from vitrail.heads.spec import ModelSpec
from vitrail.settings import Dense

VIT = {"image_size": 32, "patch_size": 8, "width": 32, "depth": 2, "num_heads": 2, "num_classes": 3}
SWIN = {"image_size": 32, "embed_width": 32, "depths": [1, 1], "window": 4}
NAMES = ("vit", "swin_segmenter")
ODD: tuple[Any, ...] = (
    None, True, -1, 0, 1, 3, 10**9, 10**30, -(10**12), 0.5, 1e308, float("inf"), "", "x", "10", "../../x", "\x1b[2J",
    [], [1], [10**9, 10**9], {}, {"a": 1}, [[[[]]]], "x" * 5000,
)  # fmt: skip


class Bomb:
    """Leaves a mark when unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.mark}",)


def whole(name: str, folder: Path) -> Path:
    """Write a run folder with one checkpoint in it, as training leaves it."""
    preprocessing = Preprocessing(image_size=(32, 32))
    names = ("a", "b", "c")
    if name == "vit":
        task, spec = "classify", parse_model("vit_ti16", VIT)
    else:
        task, spec = "segment", with_dense_head(ModelSpec("swin_t", SWIN), "segment", Dense(head="linear"), len(names))
    model = build(spec)
    checkpoint = folder / "checkpoints" / "step_00000001"
    checkpoint.mkdir(parents=True)
    save_file(
        {key: tensor.contiguous() for key, tensor in model.state_dict().items()}, checkpoint / "model.safetensors"
    )
    config = {
        "model": to_json(spec), "preprocessing": to_json(preprocessing), "class_names": names,
        "settings": {"data": "x"}, "task": task,
    }  # fmt: skip
    (checkpoint / "config.json").write_text(json.dumps(config))
    torch.save({"learner": {"step": torch.ones(3)}, "state": {"step": 1}}, checkpoint / "training.pt")
    for pointer in ("last", "best"):
        (folder / "checkpoints" / pointer).write_text("step_00000001\n")
    return folder


def mutate(run: Path, draw: random.Random, mark: Path) -> str:
    """Change something in a run folder, and return what."""
    kind = draw.choice(sorted(MUTATIONS))
    MUTATIONS[kind](run, run / "checkpoints" / "step_00000001", draw, mark)
    return kind


def _config(run: Path, checkpoint: Path, draw: random.Random, mark: Path) -> None:
    config = json.loads((checkpoint / "config.json").read_text())
    for _ in range(draw.randint(1, 3)):
        place: Any = config
        while True:
            keys = list(place) if isinstance(place, dict) else range(len(place))
            key = draw.choice(list(keys)) if keys else None
            if key is None or not isinstance(place[key], (dict, list)) or not place[key] or draw.random() < 0.3:
                break
            place = place[key]
        if key is None:
            continue
        if isinstance(place, dict) and draw.random() < 0.2:
            place[draw.choice(["depth", "width", "embed_width", "image_size", "layers", "num_classes", "z"])] = (
                draw.choice(ODD)
            )
        elif draw.random() < 0.15 and isinstance(place, dict):
            del place[key]
        else:
            place[key] = draw.choice(ODD)
    (checkpoint / "config.json").write_text(json.dumps(config))


def _config_bytes(run: Path, checkpoint: Path, draw: random.Random, mark: Path) -> None:
    deep = 10 ** draw.randint(1, 6)
    content = draw.choice(
        [b"[" * deep, b'{"model":' * deep, b"", b"null", b"\xff\xfe", b"[" + b"1," * 1000, b"9" * 9999]
    )
    (checkpoint / "config.json").write_bytes(content)


def _header(run: Path, checkpoint: Path, draw: random.Random, mark: Path) -> None:
    file = checkpoint / "model.safetensors"
    content = file.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    name = draw.choice(list(header))
    match draw.randint(0, 5):
        case 0:
            header[name]["shape"] = draw.choice([[10**9], [10**6, 10**6], [], [-1], [0], "x", [1] * 100])
        case 1:
            header[name]["data_offsets"] = draw.choice([[0, 10**12], [0, 0], [8, 4], [-4, 4], "x", []])
        case 2:
            header[name]["dtype"] = draw.choice(["F64", "BF16", "I8", "F8_E4M3", "BOOL", "x", 3])
        case 3:
            header[draw.choice(["blocks.99.x", "\x1b[2J", "", "backbone.blocks.1000000.norm1.weight"])] = header.pop(
                name
            )
        case 4:
            del header[name]
        case 5:
            length = draw.choice([0, 1, 2**40, 2**63, length + 8])
    text = json.dumps(header).encode()
    file.write_bytes(
        (length if length > 2**32 else len(text)).to_bytes(8, "little") + text + content[8 + length :][: 10**7]
    )


def _body(run: Path, checkpoint: Path, draw: random.Random, mark: Path) -> None:
    file = checkpoint / draw.choice(["model.safetensors", "training.pt", "config.json"])
    content = bytearray(file.read_bytes())
    for _ in range(draw.randint(1, 8)):
        content[draw.randrange(len(content))] = draw.randrange(256)
    file.write_bytes(content[: draw.choice([len(content), draw.randrange(len(content))])])


def _not_finite(run: Path, checkpoint: Path, draw: random.Random, mark: Path) -> None:
    from safetensors.torch import load_file

    file = checkpoint / "model.safetensors"
    state = load_file(file)
    tensor = state[draw.choice([name for name in state if state[name].is_floating_point()])]
    tensor.view(-1)[draw.randrange(tensor.numel())] = draw.choice([float("nan"), float("inf")])
    file.write_bytes(save(state))


def _training(run: Path, checkpoint: Path, draw: random.Random, mark: Path) -> None:
    file = checkpoint / "training.pt"
    match draw.randint(0, 4):
        case 0:
            torch.save({"learner": Bomb(mark)}, file)
        case 1:
            file.write_bytes(pickle.dumps(Bomb(mark)))
        case 2:
            torch.save({"learner": torch.zeros(2**24 + 1), "state": {}}, file)
            squeeze(file)
        case 3:
            torch.save({"learner": torch.ones(1).expand(10**9), "state": {}}, file)
        case 4:
            torch.save(draw.choice([[], 3, {"learner": 3}, {"state": {"step": "x"}}]), file)


def _list(run: Path, checkpoint: Path, draw: random.Random, mark: Path) -> None:
    """Write a list of images that is damaged, of wrong types, or unfolds to far more than it holds."""
    head = {"format": 1, "classes": ["a", "b"], "chosen_by_seed": draw.choice(ODD), draw.choice(["classes", "z"]): 3}
    line = f'{draw.choice(["train", "x", ""])}\t{draw.choice(["00ff", "-1", "z" * 99, "9" * 5000])}\t0\t"a.png"'
    content = draw.choice([json.dumps(head), "[" * 10**6, "", "null"]) + "\n" + "\n".join([line] * draw.choice([1, 9]))
    packed = bytearray(gzip.compress(content.encode()))
    if draw.random() < 0.3:
        packed = bytearray(gzip.compress(bytes(2**27), compresslevel=1) * draw.choice([1, 20]))
    if draw.random() < 0.3:
        packed[draw.randrange(len(packed))] ^= 1 << draw.randrange(8)
    (checkpoint / "images.tsv.gz").write_bytes(packed)


def _digests(run: Path, checkpoint: Path, draw: random.Random, mark: Path) -> None:
    names = ["model.safetensors", "training.pt", "config.json", "../../../x", "/etc/passwd", "", "\0"]
    values = [*ODD, {"size": 3, "crc32": "0"}, {"directory": "0"}, {"size": "x", "directory": None}]
    known = draw.choice([{draw.choice(names): draw.choice(values)}, draw.choice(ODD)])
    content = draw.choice([json.dumps(known).encode(), b"[" * 10**6, b"\xff", b" " * 2**21])
    (checkpoint / "digests.json").write_bytes(content)


def _pointers(run: Path, checkpoint: Path, draw: random.Random, mark: Path) -> None:
    names = ["", "../../x", "/etc", "step_9", "\0", "x" * 5000, "..", ".", "step_00000001/../../..", "\x1b[2J"]
    for pointer in ("last", "best"):
        (run / "checkpoints" / pointer).write_text(draw.choice(names))


def _links(run: Path, checkpoint: Path, draw: random.Random, mark: Path) -> None:
    file = checkpoint / draw.choice(["model.safetensors", "config.json", "training.pt", "images.tsv.gz"])
    file.unlink(missing_ok=True)
    file.symlink_to(draw.choice(["/etc/passwd", "/dev/zero", str(run), "../../../outside", file.name]))


MUTATIONS: dict[str, Callable[[Path, Path, random.Random, Path], None]] = {
    "config": _config,
    "config bytes": _config_bytes,
    "header": _header,
    "body": _body,
    "not finite": _not_finite,
    "training": _training,
    "list": _list,
    "digests": _digests,
    "pointers": _pointers,
    "links": _links,
}


def deflated(file: Path, name: str, size: int) -> Path:
    """Write an archive of a few kilobytes that unfolds to ``size`` zeros."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(name, "w", force_zip64=True) as out:
        for _ in range(size // 2**20):
            out.write(bytes(2**20))
    return file


def squeeze(file: Path) -> None:
    """Write a PyTorch file again, compressed: zeros shrink to a thousandth."""
    with zipfile.ZipFile(file) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


def foreign(draw: random.Random, folder: Path, mark: Path) -> tuple[Path, str]:
    """Write a weights file of somebody else's, mutated, perhaps with sidecars beside it; return it and what it is."""
    state = {name.removeprefix("backbone."): t for name, t in build_model("vit_ti16", **VIT).state_dict().items()}
    for name in draw.sample(sorted(state), draw.randint(0, 3)):
        match draw.randint(0, 3):
            case 0:
                state[name] = torch.zeros([draw.randrange(6) for _ in range(draw.randrange(5))])
            case 1:
                del state[name]
            case 2:
                state[draw.choice(["x.", "blocks.7.", "\x1b["]) + name] = state.pop(name)
            case 3:
                state[name] = state[name].to(draw.choice([torch.int8, torch.float64, torch.bfloat16, torch.bool]))
    kind = draw.choice(["npz", "pth", "safetensors", "zip"])
    file = folder / f"model.{kind}"
    if kind == "npz":
        np.savez(file, **{name: t.float().numpy() for name, t in state.items()})
    elif kind == "safetensors":
        save_file(state, file)
    elif kind == "pth":
        torch.save({draw.choice(["model", "ema", "x"]): state, "e": draw.choice([3, Bomb(mark), np.float64(1)])}, file)
    else:
        deflated(file, draw.choice(["archive/data/0", "a.npy", "archive/data.pkl", "a.pth"]), 2**26 + 2**20)
    if draw.random() < 0.6 and kind != "zip":
        content = bytearray(file.read_bytes())
        for _ in range(draw.randint(1, 6)):
            content[draw.randrange(len(content))] = draw.randrange(256)
        file.write_bytes(content)
    if draw.random() < 0.5:
        beside = {
            "model": draw.choice(ODD), "num_attention_heads": draw.choice(ODD), "id2label": draw.choice(ODD),
            "class_names": draw.choice(ODD), "pretrained_cfg": draw.choice(ODD), "hidden_act": draw.choice(ODD),
            "layer_norm_eps": draw.choice(ODD), "architecture": draw.choice(ODD), "model_args": draw.choice(ODD),
            "preprocessing": draw.choice(ODD), "input_size": draw.choice([[3, 10**9, 10**9], [3, 0, 0], "x"]),
            "mean": [0.5] * 3, "std": draw.choice([[0.0] * 3, [1.0] * 3]), "size": draw.choice(ODD),
            "image_mean": draw.choice(ODD), "image_std": draw.choice(ODD),
        }  # fmt: skip
        for sidecar in ("config.json", "preprocessor_config.json"):
            (folder / sidecar).write_text(json.dumps(beside))
    return file, f"foreign {kind}"


__all__ = ["MUTATIONS", "NAMES", "Bomb", "deflated", "foreign", "mutate", "squeeze", "whole"]
