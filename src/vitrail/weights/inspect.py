"""What is in a weights file, and whether a model really takes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vitrail.config import Preprocessing
from vitrail.errors import VitrailError, WeightsError
from vitrail.heads.registry import is_dense, name_of, task_for, title_of
from vitrail.heads.spec import ModelSpec
from vitrail.weights.checkpoint import open_checkpoint
from vitrail.weights.detect import LAYOUTS, translate
from vitrail.weights.preprocessing import has_fixed_positions
from vitrail.weights.shape import describe_shape
from vitrail.weights.weights_file import WeightsFile, open_weights


@dataclass(frozen=True)
class Inspection:
    """What a weights file holds.

    Attributes:
        file: the file of tensors.
        format: ``safetensors``, ``pytorch``, ``npz`` or ``index``.
        layout: a key of `vitrail.weights.detect.LAYOUTS`.
        kind: what sort of model it is, for people.
        shape: of the model, as `vitrail.weights.shape.shape_of` returns it.
        model: what builds it; None where vitrail has no such model.
        shapes: of all tensors, by the file's own names.
        parameters: how many numbers they hold.
        dtypes: of the tensors.
        preprocessing: what images need.
        preprocessing_reason: how that is known.
        class_names: of a classifier; empty where nobody wrote them.
        unknown: why no model of vitrail's computes what the tensors were trained for; "" where one does.
        assumed: what no tensor shows and nothing beside the file says; "" where nothing is assumed.
        approximations: what the model was trained with that is computed here slightly differently, a sentence each.
        note: a sentence where the file holds averaged (EMA) weights as well; else "".
        origin: the repository it was fetched from, and the commit; "" of a file on the disk.
        licence: of the weights, as their repository or what lies beside them names it; "" where nobody does.
    """

    file: Path
    format: str
    layout: str
    kind: str
    shape: dict[str, Any]
    model: ModelSpec | None
    shapes: dict[str, tuple[int, ...]]
    parameters: int
    dtypes: tuple[str, ...]
    preprocessing: Preprocessing
    preprocessing_reason: str
    class_names: tuple[str, ...] = ()
    unknown: str = ""
    assumed: str = ""
    approximations: tuple[str, ...] = ()
    note: str = ""
    origin: str = ""
    licence: str = ""

    def __str__(self) -> str:
        p = self.preprocessing
        return "\n".join(
            (
                f"{self.file}",
                f"  format         {self.format}, {len(self.shapes)} tensors, {self.parameters:,} numbers "
                f"({', '.join(self.dtypes)})",
                *([f"  origin         {self.origin}"] if self.origin else []),
                f"  licence        {self.licence or 'not stated in what lies beside the file; ask who made it'}",
                f"  layout         {self.layout}: {LAYOUTS[self.layout].title}",
                f"  model          {describe_shape(self.shape)}",
                f"  kind           {self.kind}",
                f"  preprocessing  {p.image_size[0]}x{p.image_size[1]} {p.resize}, mean {_numbers(p.mean)}, "
                f"std {_numbers(p.std)}: {self.preprocessing_reason}",
                *([f"  classes        {_listed(self.class_names)}"] if self.class_names else []),
                *([f"  averaged       {self.note}"] if self.note else []),
                *([f"  assumed        {self.assumed}"] if self.assumed else []),
                *(f"  differs        {sentence}" for sentence in self.approximations),
                *([f"  build it       {_call(self.model, self.file)}"] if self.model else []),
                *([f"  not known      {self.unknown}"] if self.unknown else []),
            )
        )


def inspect(file: str | Path | WeightsFile) -> Inspection:
    """Say what a weights file holds, without building a model.

    Args:
        file: as for `vitrail.load_weights`.

    Raises:
        WeightsError: the file cannot be read, or is of no known layout.
    """
    return _inspection(open_weights(file))


def _inspection(weights: WeightsFile) -> Inspection:
    state, unknown = weights.tensors, ""
    try:
        known = weights.spec
    except WeightsError as error:
        known = None
        unknown = str(error).removeprefix(f"{weights.path} ").replace("belongs to no model known here: ", "")
    return Inspection(
        file=weights.path,
        format=weights.format,
        layout=weights.layout,
        kind=_kind(known, set(state), has_fixed_positions(state)),
        shape=weights.shape | ({"name": None} if unknown else {}),
        model=known,
        shapes={name: tuple(tensor.shape) for name, tensor in weights.named_tensors.items()},
        parameters=sum(tensor.numel() for tensor in state.values()),
        dtypes=tuple(sorted({str(tensor.dtype).removeprefix("torch.") for tensor in state.values()})),
        preprocessing=weights.preprocessing,
        preprocessing_reason=weights.preprocessing_reason,
        class_names=weights.class_names,
        unknown=unknown,
        assumed=weights.assumption if not unknown else "",
        approximations=weights.approximations if not unknown else (),
        note=weights.note,
        origin=f"{weights.origin} at commit {weights.origin.commit}" if weights.origin else "",
        licence=weights.licence,
    )


def _call(model: ModelSpec, file: Path) -> str:
    """Write how the model is built, as a line of Python; a detector or segmenter has a checkpoint of vitrail's."""
    if is_dense(model):
        return f"vitrail.open_checkpoint({str(file.parent)!r})"
    num_classes = {} if model.head else {"num_classes": 0}
    options = {**model.backbone_options, **model.head_options, **num_classes}
    words = "".join(f", {name}={value!r}" for name, value in sorted(options.items()))
    return f'vitrail.create_model("{name_of(model)}"{words})'


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:6]) + (f", ... ({len(names)})" if len(names) > 6 else "")


def _kind(model: ModelSpec | None, names: set[str], fixed_positions: bool) -> str:
    if model and is_dense(model):
        return f"a {'detector' if task_for(model) == 'detect' else 'segmenter'}, {title_of(model)}"
    if "decoder.mask_token" in names:
        return "a masked autoencoder with its decoder: for reconstruction, or going on with pretraining"
    if "predictor.mask_token" in names:
        return "an encoder with what predicts hidden patches above it: for going on with pretraining, or fine-tuning"
    if "head.weight" not in names:
        return "a masked autoencoder's encoder alone" if fixed_positions else "a backbone without a head"
    if "attn_pool.latent" in names:
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


def verify(file: str | Path | WeightsFile) -> Verification:
    """Check a weights file thoroughly: all values are finite, every name has its place, and there and back is exact.

    Args:
        file: as for `vitrail.load_weights`.

    Raises:
        WeightsError: the file cannot be read, or is of no known layout.
    """
    weights = open_weights(file)
    if weights.described_spec and is_dense(weights.described_spec):
        return Verification(_inspection(weights), _problems_of_checkpoint(weights))
    problems = [
        f"{name} holds values that are not finite"
        for name, tensor in weights.tensors.items()
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all())
    ]
    inspection = _inspection(weights)
    problems += [inspection.unknown] if inspection.unknown else []
    problems += _gaps(set(weights.tensors)) + _changes(weights)
    if not weights.shape["width"] or not weights.shape["depth"]:
        problems.append("no width and depth can be read off it")
    return Verification(inspection, tuple(problems))


def _problems_of_checkpoint(weights: WeightsFile) -> tuple[str, ...]:
    """Open a checkpoint of vitrail's whose tensors have no plain names, and say what is wrong with it."""
    try:
        open_checkpoint(weights.path.parent)
    except WeightsError as error:
        return (str(error),)
    return ()


def _changes(weights: WeightsFile) -> list[str]:
    """Name what is not the same after going back to the file's own layout and here again."""
    try:
        foreign = LAYOUTS[weights.layout].from_plain(weights.tensors, weights.num_heads)
        back, *_ = translate(foreign, weights.source)
    except (VitrailError, RuntimeError, IndexError, KeyError, ValueError) as error:
        return [f"it has no way back to its own layout ({error})"]
    return [
        f"{name} does not come back as it was"
        for name, tensor in weights.tensors.items()
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
