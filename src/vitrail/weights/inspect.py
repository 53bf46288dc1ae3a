"""What is in a weights file, and whether a model really takes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from vitrail.config import Preprocessing
from vitrail.errors import VitrailError
from vitrail.weights.detect import LAYOUTS, Plain, to_plain
from vitrail.weights.files import State, file_format, find_file, read_state
from vitrail.weights.load import weights_file
from vitrail.weights.plain import Shape, shape_of
from vitrail.weights.preprocessing import by_layout, has_fixed_positions, said


@dataclass(frozen=True)
class Inspection:
    """What a weights file holds.

    Attributes:
        file: the file of tensors.
        format: ``safetensors``, ``pytorch``, ``npz`` or ``index``.
        layout: a key of `vitrail.weights.detect.LAYOUTS`.
        kind: what sort of model it is, for people.
        shape: of the model.
        tensors: how many there are.
        parameters: how many numbers they hold.
        dtypes: of the tensors.
        preprocessing: what pictures need.
        preprocessing_reason: how that is known.
    """

    file: Path
    format: str
    layout: str
    kind: str
    shape: Shape
    tensors: int
    parameters: int
    dtypes: tuple[str, ...]
    preprocessing: Preprocessing
    preprocessing_reason: str

    def __str__(self) -> str:
        p = self.preprocessing
        return "\n".join(
            (
                f"{self.file}",
                f"  format         {self.format}, {self.tensors} tensors, {self.parameters:,} numbers "
                f"({', '.join(self.dtypes)})",
                f"  layout         {self.layout}: {LAYOUTS[self.layout].title}",
                f"  model          {self.shape}",
                f"  kind           {self.kind}",
                f"  preprocessing  {p.image_size[0]}x{p.image_size[1]} {p.resize}, mean {_numbers(p.mean)}, "
                f"std {_numbers(p.std)}: {self.preprocessing_reason}",
            )
        )


def inspect(file: str | Path) -> Inspection:
    """Say what a weights file holds, without building a model.

    Args:
        file: as for `vitrail.load_weights`.

    Raises:
        WeightsError: the file cannot be read, or is of no known layout.
    """
    return _inspection(*_read(file))


def _read(file: str | Path) -> tuple[Path, State, Plain]:
    path = find_file(weights_file(file))
    state = read_state(path)
    return path, state, to_plain(state, str(path))


def _inspection(path: Path, state: State, plain: Plain) -> Inspection:
    origin = said(path) or by_layout(plain)
    return Inspection(
        file=path,
        format=file_format(path),
        layout=plain.layout,
        kind=_kind(set(plain.state), has_fixed_positions(plain.state)),
        shape=shape_of(plain.state),
        tensors=len(state),
        parameters=sum(tensor.numel() for tensor in state.values()),
        dtypes=tuple(sorted({str(tensor.dtype).removeprefix("torch.") for tensor in state.values()})),
        preprocessing=origin.preprocessing,
        preprocessing_reason=origin.reason,
    )


def _kind(names: set[str], fixed_positions: bool) -> str:
    if "decoder.mask_token" in names:
        return "a masked autoencoder with its decoder: for reconstruction, or going on with pretraining"
    if "head.weight" not in names:
        return "a masked autoencoder's encoder alone" if fixed_positions else "a backbone without a head"
    if "attn_pool.q.weight" in names:
        return "a classifier with attention pooling"
    return "a classifier with mean pooling" if "fc_norm.weight" in names else "a classifier"


@dataclass(frozen=True)
class Verification:
    """What `verify` found.

    Attributes:
        inspection: what the file holds.
        problems: a sentence each; empty when all is well.
    """

    inspection: Inspection
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def __str__(self) -> str:
        verdict = (
            "\n".join(f"  problem        {p}" for p in self.problems) or "  verified       every tensor has its place"
        )
        return f"{self.inspection}\n{verdict}"


def verify(file: str | Path) -> Verification:
    """Check a weights file thoroughly: all values are finite, every name has its place, and there and back is exact.

    Args:
        file: as for `vitrail.load_weights`.

    Raises:
        WeightsError: the file cannot be read, or is of no known layout.
    """
    path, state, plain = _read(file)
    problems = [
        f"{name} holds values that are not finite"
        for name, tensor in state.items()
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all())
    ]
    problems += _gaps(set(plain.state)) + _changes(plain, str(path))
    shape = shape_of(plain.state)
    if not shape.width or not shape.depth:
        problems.append("no width and depth can be read off it")
    return Verification(_inspection(path, state, plain), tuple(problems))


def _changes(plain: Plain, origin: str) -> list[str]:
    """Name what is not the same after going back to the file's own layout and here again."""
    try:
        foreign = LAYOUTS[plain.layout].from_plain(plain.state, plain.num_heads or 1)
        back = to_plain(foreign, origin).state
    except (VitrailError, RuntimeError, IndexError, KeyError, ValueError) as error:
        return [f"it has no way back to its own layout ({error})"]
    return [
        f"{name} does not come back as it was"
        for name, tensor in plain.state.items()
        if name not in back or not torch.equal(back[name].nan_to_num(), tensor.nan_to_num())
    ][:3]


def _gaps(names: set[str]) -> list[str]:
    """Name what a block has and another lacks: a file cut short, or put together wrongly."""
    blocks: dict[tuple[str, str], set[str]] = {}
    for name in names:
        front, separator, rest = name.partition("blocks.")
        number, _, part = rest.partition(".")
        if separator and front in ("", "decoder.") and number.isdecimal():
            blocks.setdefault((front, number), set()).add(part)
    problems = []
    for front in ("", "decoder."):
        own = {number: parts for (f, number), parts in blocks.items() if f == front}
        whole = {part for parts in own.values() for part in parts}
        problems += [
            f"{front}blocks.{number} lacks {', '.join(sorted(whole - parts)[:3])}"
            for number, parts in own.items()
            if parts != whole
        ]
        problems += [f"{front}blocks.{i} is missing" for i in range(len(own)) if str(i) not in own]
    return problems


def _numbers(values: tuple[float, ...]) -> str:
    return "/".join(f"{value:g}" for value in values)
