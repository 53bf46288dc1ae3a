"""A weights file opened with all that is known of it: tensors, model, heads, preprocessing, class names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitrail.coerce import coerce
from vitrail.config import Preprocessing
from vitrail.errors import VitrailError, WeightsError
from vitrail.layers.shapes_only import shapes_only
from vitrail.models.registry import ModelSpec, backbone_of, build_model
from vitrail.training.checkpoint import MODEL, is_checkpoint, resolve
from vitrail.weights.beside import CONFIG, class_names_of, heads_of, read_json
from vitrail.weights.contradictions import contradiction
from vitrail.weights.detect import Plain, to_plain
from vitrail.weights.exact import describe_unknown, why_not_exact
from vitrail.weights.files import State, find_file, read_weights
from vitrail.weights.load import weights_file
from vitrail.weights.parts import parts_of
from vitrail.weights.preprocessing import by_layout, said
from vitrail.weights.shape import Shape, shape_of
from vitrail.weights.sidecars import Known
from vitrail.weights.spec import UNKNOWN, known_heads, published_heads, spec_of


@dataclass(frozen=True)
class Opened:
    """A weights file under plain names.

    Attributes:
        file: the file of tensors.
        plain: its tensors.
        shapes: those of the tensors, by the file's own names.
        shape: what they say of the model, for people.
        num_heads: number of heads: given, said by the file or beside it, or as in published models of this width.
        preprocessing: what pictures need.
        preprocessing_reason: how that is known.
        class_names: of a classifier; empty where nobody wrote them.
        described: the model that vitrail's config beside it says; None where there is no such config.
        heads_known: whether the number of heads is said, or follows from a published model; else it is assumed.
        note: a sentence where the file holds averaged (EMA) weights as well; else "".
        contradiction: what a config beside it says that is no model's here; else "".
    """

    file: Path
    plain: Plain
    shapes: dict[str, tuple[int, ...]]
    shape: Shape
    num_heads: int
    preprocessing: Preprocessing
    preprocessing_reason: str
    class_names: tuple[str, ...]
    described: ModelSpec | None
    heads_known: bool = True
    note: str = ""
    contradiction: str = ""

    def spec(self, state: State | None = None) -> ModelSpec:
        """Return the model that the tensors, or others made of them, belong to: one that computes with all of them.

        Raises:
            WeightsError: they belong to no model known here.
        """
        own = self.plain.state if state is None else state
        try:
            spec = self._likely_spec(state)
        except WeightsError as error:
            reason = _parts_of(own) or str(error).removeprefix(UNKNOWN).strip("()")
            raise WeightsError(f"{self.file} belongs to no model known here: {reason}") from None
        if reason := self.contradiction or why_not_exact(spec, own):
            raise WeightsError(f"{self.file} belongs to no model known here: {reason}")
        return spec

    @property
    def assumption(self) -> str:
        """What no tensor shows and nothing beside the file says, but decides what a model computes; "" if nothing."""
        if self.heads_known or not self.shape.width:
            return ""
        width = self.shape.width // self.num_heads
        return f"{self.num_heads} heads of {width} channels, as nothing says how many; give num_heads if it has others"

    def _likely_spec(self, state: State | None) -> ModelSpec:
        state = self.plain.state if state is None else state
        if self.described is not None and state.keys() == self.plain.state.keys():
            return self.described
        try:
            return spec_of(state, self.num_heads, self.preprocessing.image_size)
        except WeightsError:  # the preprocessing may be for another size than the positions
            return spec_of(state, self.num_heads)

    def known(self, state: State) -> Known | None:
        """Return what is known of the model for a library's config; None where no model here has these tensors."""
        try:
            spec = self.spec(state)
        except WeightsError:
            return None
        backbone = _backbone_config(spec)
        return Known(spec, backbone, self.preprocessing, self.class_names) if backbone else None


def open_weights(file: str | Path, num_heads: int | None = None) -> Opened:
    """Read a weights file, recognise its layout, and gather what it and the files beside it say.

    Args:
        file: as for `vitrail.load_weights`.
        num_heads: number of heads, where the user knows better.

    Raises:
        WeightsError: the file cannot be read, or is of no known layout.
    """
    path = find_file(weights_file(file))
    state, note = read_weights(path)
    plain = to_plain(state, str(path))
    names = frozenset(plain.state)
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    shape, origin = shape_of(plain.state), said(path) or by_layout(plain)
    described = _described(path)
    num_heads = None if num_heads is None else coerce("num_heads", int, num_heads)
    heads = num_heads or plain.num_heads or _heads_of(described) or heads_of(path)
    sure = bool(heads or published_heads(shape.width, shape.depth) or not _has_free_heads(names))
    return Opened(
        path,
        plain,
        shapes,
        shape,
        heads or known_heads(shape.width, shape.depth),
        origin.preprocessing,
        origin.reason,
        class_names_of(path),
        described,
        sure,
        note,
        contradiction(read_json(path.parent / CONFIG), names),
    )


def _has_free_heads(names: frozenset[str]) -> bool:
    """Whether tensors of these names fit models of any number of heads: neither a Swin's nor a ResNet's do."""
    return "blocks.0.norm1.weight" in names and not any(name.endswith(".keys") for name in names)


def _parts_of(state: State) -> str:
    """Say which parts of other families tensors are; "" where none is known."""
    own = re.compile(r"attn_pool\.|relative\.|layers\..*relative_position_bias_table$")
    foreign = [name for name in state if parts_of([name]) and not own.match(name)]
    return describe_unknown(foreign) if foreign else ""


def is_own(source: str | Path) -> bool:
    """Whether a path means a run or checkpoint of vitrail's, which says itself what model it holds."""
    path = Path(source).expanduser()
    return is_checkpoint(path) and _described(resolve(path) / MODEL) is not None


def _heads_of(model: ModelSpec | None) -> int | None:
    """Return the number of heads of a described model; None for one that cannot be built here, or without heads."""
    backbone = _backbone_config(model) if model else None
    return getattr(backbone, "num_heads", None)


def _backbone_config(model: ModelSpec) -> Any:
    """Return the config of a model's backbone with all that follows from its options; None if it cannot be built."""
    try:
        with shapes_only():
            return backbone_of(build_model(model.name, **model.options)).config
    except (VitrailError, TypeError, ValueError):
        return None


def _described(file: Path) -> ModelSpec | None:
    """Return the model that vitrail's config beside a file says; None where there is none."""
    said = read_json(file.parent / CONFIG).get("model") if file.name == MODEL else None
    if not isinstance(said, dict) or not isinstance(said.get("name"), str) or not isinstance(said.get("options"), dict):
        return None
    return ModelSpec(said["name"], said["options"])
