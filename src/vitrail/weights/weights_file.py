"""A weights file: opened, recognised and translated once, with all that it and the files beside it say."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cached_property
from pathlib import Path
from typing import Any

from vitrail.coerce import coerce
from vitrail.config import Preprocessing, from_json
from vitrail.errors import ConfigError, VitrailError, WeightsError
from vitrail.heads.registry import build, name_of
from vitrail.heads.spec import ModelSpec
from vitrail.layers.block import NORM_EPS
from vitrail.layers.shapes_only import shapes_only
from vitrail.models.backbone import BackboneConfig, backbone_of
from vitrail.models.swin import NORM_EPS as SWIN_NORM_EPS
from vitrail.training.checkpoint import MODEL, is_checkpoint, resolve
from vitrail.weights.checks import describe_unknown, parts_of, why_not_exact
from vitrail.weights.contradictions import approximations, contradiction
from vitrail.weights.description import Description, migrated, read_description
from vitrail.weights.detect import translate
from vitrail.weights.formats import google
from vitrail.weights.infer_spec import UNKNOWN, heads_of_family, known_heads, spec_of
from vitrail.weights.licences import licence_beside
from vitrail.weights.named import Origin, find_model
from vitrail.weights.paths import path_of
from vitrail.weights.preprocessing import alternatives, default_preprocessing
from vitrail.weights.reader import State, file_format, find_file, read_notes, read_weights
from vitrail.weights.shape import shape_of
from vitrail.weights.sidecars import CONFIG, class_names_of, heads_of, inside, read_stated
from vitrail.weights.stated import unshown
from vitrail.weights.stated_preprocessing import stated_preprocessing


def open_weights(source: str | Path | WeightsFile) -> WeightsFile:
    """Open a weights file, or pass on one that is open.

    Raises:
        WeightsError: there is no such file.
    """
    return source if isinstance(source, WeightsFile) else WeightsFile(source)


class WeightsFile:
    """Named tensors, and what is known of them: each is found out when it is first asked for, and once.

    Tensors are read by the first question that needs them; what stands beside the file is known without.

    Args:
        source: the name of a model, as `vitrail.weights.named.find_model` takes it.
        num_heads: number of heads, where the user knows better.
        accept_license: the licence of what is fetched is accepted, where it asks for that.

    Attributes:
        source: what the user named, for messages.
        path: the file of tensors.
        origin: where a fetched one came from; None of what lay on the disk.

    Raises:
        WeightsError: there is no such file. Questions raise it as well, where the answer needs a file that can be
            read and is of a known layout.
    """

    def __init__(self, source: str | Path, num_heads: int | None = None, *, accept_license: bool = False) -> None:
        self.source = str(source)
        found = find_model(source, accept_license=accept_license)
        self.origin: Origin | None = found.origin
        self.path = find_file(tensors_path(found.path))
        self._given_heads = None if num_heads is None else coerce("num_heads", int, num_heads)
        self._is_checkpoint = is_checkpoint(found.path)
        self._is_part = False

    # What the file holds.

    @cached_property
    def format(self) -> str:
        """``safetensors``, ``pytorch``, ``npz`` or ``index`` (of shards)."""
        return file_format(self.path)

    @cached_property
    def _content(self) -> tuple[State, str]:
        return read_weights(self.path)

    @property
    def named_tensors(self) -> State:
        """The tensors by the file's own names."""
        return self._content[0]

    @property
    def note(self) -> str:
        """A sentence where the file holds averaged (EMA) weights as well; else ""."""
        return self._content[1]

    @cached_property
    def _translation(self) -> tuple[State, str, tuple[str, ...]]:
        return translate(self.named_tensors, self.source)

    @property
    def tensors(self) -> State:
        """The tensors of the model under plain names."""
        return self._translation[0]

    @property
    def layout(self) -> str:
        """Whose names the file uses, a key of `vitrail.weights.detect.LAYOUTS`."""
        return self._translation[1]

    @property
    def ignored(self) -> tuple[str, ...]:
        """Names in the file of what is no part of the model, as a criterion."""
        return self._translation[2]

    def forget(self) -> None:
        """Let the tensors go; they are read again if they are asked for. A part of a file keeps its own."""
        if not self._is_part:
            for name in ("_content", "_translation"):
                vars(self).pop(name, None)

    # What is said in it and beside it.

    @cached_property
    def notes(self) -> dict[str, Any]:
        """What vitrail wrote about the weights into their own file."""
        return read_notes(self.path)

    @cached_property
    def config(self) -> dict[str, Any]:
        """What ``config.json`` beside the file holds, whoever wrote it; empty where there is none."""
        return read_stated(self.path.parent / CONFIG)

    @cached_property
    def described_spec(self) -> ModelSpec | None:
        """The model that vitrail's ``config.json`` beside the file describes; None where there is none.

        Raises:
            WeightsError: it describes what cannot be.
        """
        said = self.config.get("model") if self.path.name == MODEL else None
        if not isinstance(said, dict) or said.keys().isdisjoint(("backbone", "name")):
            return None
        try:
            return from_json(ModelSpec, migrated(self.config)["model"])
        except ConfigError as error:
            raise WeightsError(f"{self.path.parent / CONFIG} is damaged ({error}); take another checkpoint") from None

    @property
    def is_own(self) -> bool:
        """Whether this is a run or checkpoint of vitrail's, which says itself what model it holds."""
        return self._is_checkpoint and self.described_spec is not None

    @cached_property
    def description(self) -> Description:
        """What a checkpoint of vitrail's says about itself; of other files, what is known in the same form."""
        if self.is_own:
            return read_description(inside(self.path.parent, CONFIG))
        classes = self.spec.head_options.get("num_classes", 0)
        names = self.class_names if len(self.class_names) == classes else tuple(map(str, range(classes)))
        return Description(self.spec, self.preprocessing, names)

    @cached_property
    def licence(self) -> str:
        """Of the weights, as their repository or what lies beside them names it; "" where nobody does."""
        fetched = self.origin.licence if self.origin else ""
        return fetched or licence_beside(self.path.parent, self.config)

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes of a classifier; empty where nobody wrote them."""
        return class_names_of(self.notes, self.config)

    @cached_property
    def _preprocessing(self) -> tuple[Preprocessing, str]:
        stated = stated_preprocessing(self.notes, self.config, self.path.parent)
        if stated and self.is_own:
            return stated[0], "the checkpoint says so"
        return stated or default_preprocessing(self.layout, self.tensors)

    @property
    def preprocessing(self) -> Preprocessing:
        """How images were prepared when the weights were trained.

        In this order: a file or checkpoint of vitrail's says it; timm's ``config.json`` or Hugging Face's
        ``preprocessor_config.json`` beside the file says it; else the default of whoever's layout it is: mean and
        standard deviation 0.5 and no crop for Google's, ImageNet's and a centre crop for Meta's (MAE, DeiT),
        torchvision's and Microsoft's.
        """
        return self._preprocessing[0]

    def assume(self, preprocessing: Preprocessing, reason: str) -> None:
        """Take it from now on as known how images are prepared: the user says so, or it was found out with images."""
        vars(self)["_preprocessing"] = preprocessing, reason
        vars(self).pop("description", None)

    @property
    def alternatives(self) -> tuple[Preprocessing, ...]:
        """How images may have to be prepared instead, where nobody wrote it and its layout leaves it open."""
        return alternatives(self._preprocessing)

    @property
    def preprocessing_reason(self) -> str:
        """How the preprocessing is known: half a sentence for people."""
        return self._preprocessing[1]

    # Which model it is.

    @cached_property
    def shape(self) -> dict[str, Any]:
        """What the tensors say of the model, as `vitrail.weights.shape.shape_of` returns it."""
        return shape_of(self.tensors)

    @cached_property
    def heads_in_tensors(self) -> int | None:
        """The number of heads that the shapes of Google's files say; None for others, which keep them together."""
        return google.heads_of(self.named_tensors)

    @cached_property
    def stated_heads(self) -> int | None:
        """The number of heads that is given, or that the file or a config beside it says; None where nothing does."""
        described = backbone_config(self.described_spec) if self.described_spec else None
        own = getattr(described, "num_heads", None)
        return self._given_heads or self.heads_in_tensors or own or heads_of(self.notes, self.config)

    @property
    def num_heads(self) -> int:
        """Number of heads: given, said by the file or beside it, or as in published models of this width."""
        width, depth = self.shape["width"], self.shape["depth"]
        return self.stated_heads or heads_of_family(self.tensors, width, depth) or known_heads(width, depth)

    @cached_property
    def assumption(self) -> str:
        """What no tensor shows and nothing beside the file says, but decides what a model computes; "" if nothing."""
        width, depth = self.shape["width"], self.shape["depth"]
        known = self.stated_heads or heads_of_family(self.tensors, width, depth) or not _has_free_heads(self.tensors)
        said = [] if self.is_own else [unshown(self.tensors, self.config)]
        if width and not known:
            said.append(
                f"{self.num_heads} heads of {width // self.num_heads} channels, as nothing says how many; give "
                "num_heads if it has others"
            )
        return "; ".join(filter(None, said))

    @cached_property
    def spec(self) -> ModelSpec:
        """The model that the tensors belong to: one that computes with all of them.

        Raises:
            WeightsError: they belong to no model known here.
        """
        try:
            spec = self.described_spec or self._likely_spec()
        except WeightsError as error:
            reason = unknown_parts(self.tensors) or str(error).removeprefix(UNKNOWN).strip("()")
            raise WeightsError(f"{self.path} belongs to no model known here: {reason}") from None
        if reason := contradiction(self.config, self.tensors.keys()) or why_not_exact(spec, self.tensors):
            raise WeightsError(f"{self.path} belongs to no model known here: {reason}; nearest is {name_of(spec)}")
        return spec

    def _likely_spec(self) -> ModelSpec:
        try:
            return spec_of(self.tensors, self.num_heads, self.preprocessing.image_size, self.config)
        except WeightsError:  # the preprocessing may be for another size than the positions
            return spec_of(self.tensors, self.num_heads, stated=self.config)

    @cached_property
    def approximations(self) -> tuple[str, ...]:
        """What the model was trained with that is computed here in a slightly different way, a sentence each."""
        config = self.backbone_config
        if config is not None and config.family == "modern_vit":
            return ()  # it has a field for each of these
        eps = SWIN_NORM_EPS if config is not None and config.family in ("swin", "swin_v2") else NORM_EPS
        return approximations(self.config, self.layout, eps)

    @cached_property
    def backbone_config(self) -> BackboneConfig | None:
        """The config of the model's backbone; None where no model here has these tensors."""
        try:
            return backbone_config(self.spec)
        except WeightsError:
            return None

    def without(self, prefixes: tuple[str, ...]) -> WeightsFile:
        """Return the same file without the tensors whose plain names begin so; itself where it has none of them."""
        kept = {name: tensor for name, tensor in self.tensors.items() if not name.startswith(prefixes)}
        if len(kept) == len(self.tensors):
            return self
        part = WeightsFile.__new__(WeightsFile)
        vars(part).update({name: value for name, value in vars(self).items() if name not in DERIVED})
        vars(part).update(_translation=(kept, self.layout, self.ignored), described_spec=None, _is_part=True)
        # Said of the whole, and true of the part.
        vars(part).update(_preprocessing=self._preprocessing, stated_heads=self.stated_heads)
        return part


DERIVED = ("shape", "assumption", "approximations", "spec", "backbone_config", "description")
"""What is found out from the tensors, and not the same for a part of them."""


def tensors_path(source: str | Path) -> Path:
    """Return the file or folder of tensors a path means: itself, or the model inside a checkpoint or run folder.

    Raises:
        WeightsError: the folder holds no checkpoint, or a link in it leads elsewhere.
    """
    path = path_of(source)
    return inside(resolve(path), MODEL) if is_checkpoint(path) else path


def backbone_config(model: ModelSpec) -> BackboneConfig | None:
    """Return the config of a model's backbone with all that follows from its options; None if it cannot be built."""
    try:
        with shapes_only():
            return backbone_of(build(model)).config
    except (VitrailError, TypeError, ValueError):
        return None


def _has_free_heads(names: Collection[str]) -> bool:
    """Whether tensors of these names fit models of any number of heads: neither a Swin's nor a ResNet's do."""
    return "blocks.0.norm1.weight" in names and not any(name.endswith(".keys") for name in names)


OWN_PARTS = re.compile(
    r"attn_pool\.|relative\.|reg_token$|dist_token$|head_dist\.|norm_pre\.|"
    r"blocks\.\d+\.(ls[12]\.gamma|attn\.([qk]_norm\.\w+|[qv]_bias))$|"
    r"layers\..*(relative_position_bias_table|relative_coords_table|logit_scale|cpb_mlp\.\d\.\w+)$"
)
"""Plain names of parts that some models of vitrail's have."""


def unknown_parts(names: Collection[str]) -> str:
    """Say which parts of other families tensors are; "" where none is known."""
    foreign = [name for name in names if parts_of([name]) and not OWN_PARTS.match(name)]
    return describe_unknown(foreign) if foreign else ""
