"""What each verb can be told: one frozen dataclass a verb, the same on the command line and in Python.

Nothing here imports torch. `vitrail.recipes` holds values of these; `vitrail.cli` parses into them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

import tyro

from vitrail.config import Augment, Loader, Optim, Run, Schedule

Size = int | tuple[int, int]
"""One number for a square, or height and width."""


@dataclass(frozen=True)
class Architecture:
    """Changes to the named model; None leaves what the name (or the weights' own model) says.

    Each belongs to some kinds of models; one that the named model does not know is refused.
    """

    patch_size: int | None = None
    """P, in pixels."""
    width: int | None = None
    """D of a ViT; a new width keeps 64 channels a head unless num_heads is given."""
    depth: int | None = None
    """Number of blocks of a ViT."""
    num_heads: int | None = None
    mlp_ratio: float | None = None
    pool: Literal["class", "mean", "attention"] | None = None
    """class token, mean of the patch tokens, or a learned query over them."""
    positions: str | None = None
    """ViT: learned, learned_2d, sincos_2d, relative, relative_bias, none. Swin: relative, absolute, both, none."""
    positions_at: Literal["stem", "layers", "layers_shared"] | None = None
    """Where a ViT's positions come in: before the first block; before every block, each with its own; or the same."""
    position_resize: Literal["bicubic", "bilinear"] | None = None
    """How positions are fitted to another size: bicubic as timm does, or corner-aligned bilinear as Google does."""
    depths: tuple[int, ...] | None = None
    """Blocks of each stage of a BiT or Swin."""
    widen: int | None = None
    """Factor of all channel numbers of a BiT."""
    stem_depths: tuple[int, ...] | None = None
    """Blocks of each stage of a hybrid's ResNet."""
    embed_width: int | None = None
    """Width of a Swin's first stage."""
    window: Size | None = None
    """A Swin's window, in tokens."""
    representation: int | None = None
    """Length of a hidden layer with tanh before the head, as ViT is pretrained with; 0 for none."""
    head_init: Literal["small", "zero"] | None = None
    """How the head starts out; zero: with exactly even scores, as ViT is fine-tuned."""
    dropout: float | None = None
    attention_dropout: float | None = None
    drop_path: float | None = None
    """Stochastic depth of the last block; it rises linearly from 0 at the first."""


@dataclass(frozen=True)
class TrainSettings:
    """Train a classifier on labelled pictures, from scratch or from given weights."""

    data: tyro.conf.Positional[str]
    """A folder of pictures, a CSV of file and label, or "digits" (embedded)."""
    model: str = "auto"
    """A name from `vitrail models`; auto: the one the weights belong to, else vit_ti16."""
    weights: str | None = None
    """Start from a weights file, a checkpoint or a run folder."""
    out: str | None = None
    """The run folder; runs/train-NAME by default. A run that is there goes on where it was."""
    recipe: str = "auto"
    """A name from `vitrail models --recipes`; auto: finetune with weights, scratch without."""
    epochs: float = 20
    """Passes over the training pictures."""
    batch_size: int = 64
    """Pictures per step over all processes."""
    lr: float = 1e-3
    """Peak learning rate."""
    image_size: Size | None = None
    """Side of the input in pixels, or height and width; by default that of the pictures, at most 224."""
    channels: Literal[1, 3] = 3
    """3 for colour, 1 for grey."""
    labels: float = 1.0
    """Use this share of the training labels (at most 1), or this many pictures (above 1)."""
    validation_share: float = 0.2
    """Share of the training pictures held out when the data has no split of its own."""
    smoothing: float = 0.1
    """Label smoothing."""
    freeze: int = 0
    """Layers from below that do not learn: 1 is the embeddings, each further one a block; 0 freezes nothing."""
    architecture: Architecture = field(default_factory=Architecture)
    augment: Augment = field(default_factory=Augment)
    loader: Loader = field(default_factory=Loader)
    optim: Optim = field(default_factory=Optim)
    schedule: Schedule = field(default_factory=Schedule)
    run: Run = field(default_factory=Run)


@dataclass(frozen=True)
class PretrainSettings:
    """Pretrain a masked autoencoder on pictures without labels."""

    data: tyro.conf.Positional[str]
    """A folder of pictures (labels are ignored), a CSV, or "digits" (embedded)."""
    model: str = "vit_ti16"
    """The encoder: a ViT from `vitrail models`."""
    objective: Literal["mae"] = "mae"
    """What is learned: mae, masked autoencoding."""
    weights: str | None = None
    """Start from a weights file, a checkpoint or a run folder."""
    out: str | None = None
    """The run folder; runs/pretrain-NAME by default. A run that is there goes on where it was."""
    recipe: str = "auto"
    """A name from `vitrail models --recipes`."""
    epochs: float = 100
    """Passes over the training pictures."""
    batch_size: int = 128
    """Pictures per step over all processes."""
    lr: float = 1e-3
    """Peak learning rate."""
    image_size: Size | None = None
    """Side of the input in pixels, or height and width; by default that of the pictures, at most 224."""
    channels: Literal[1, 3] = 3
    """3 for colour, 1 for grey."""
    validation_share: float = 0.1
    """Share of the training pictures held out when the data has no split of its own."""
    mask_ratio: float = 0.75
    """Share of the patches that is hidden."""
    decoder_width: int = 512
    decoder_depth: int = 8
    normalize_target: bool = True
    """Predict patches normalised by their own mean and deviation."""
    architecture: Architecture = field(default_factory=Architecture)
    augment: Augment = field(default_factory=Augment)
    loader: Loader = field(default_factory=Loader)
    optim: Optim = field(default_factory=Optim)
    schedule: Schedule = field(default_factory=Schedule)
    run: Run = field(default_factory=Run)


@dataclass(frozen=True)
class EvaluateSettings:
    """Measure a trained model on labelled pictures."""

    checkpoint: tyro.conf.Positional[str]
    """A run folder or a checkpoint; of a run, the best one."""
    data: tyro.conf.Positional[str]
    """The pictures: a folder, a CSV, or "digits"."""
    split: Literal["auto", "train", "validation", "test", "all"] = "auto"
    """auto: test where there is one, else validation, else everything."""
    batch_size: int = 128
    workers: int = -1
    """Processes that load pictures; -1 chooses by the machine."""
    device: str = "auto"
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    json: bool = False
    """Print one JSON object instead of a table."""


@dataclass(frozen=True)
class PredictSettings:
    """Say what is in pictures."""

    checkpoint: tyro.conf.Positional[str]
    """A run folder or a checkpoint of a classifier; of a run, the best one."""
    pictures: tyro.conf.Positional[tuple[str, ...]]
    """Files, folders or globs."""
    top: int = 3
    """How many classes to name for each picture."""
    format: Literal["table", "json", "csv"] = "table"
    """json: one object a line."""
    json: bool = False
    """The same as --format json."""
    batch_size: int = 32
    device: str = "auto"
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"


@dataclass(frozen=True)
class LookSettings:
    """Draw what a model sees: reconstructions, attention, curves, and a report of it all."""

    checkpoint: tyro.conf.Positional[str]
    """A run folder or a checkpoint; of a run, the best one."""
    pictures: tyro.conf.Positional[tuple[str, ...]] = ()
    """Files, folders or globs; by default some of the run's own held-out pictures."""
    out: str | None = None
    """Where the pictures go; RUN/look by default."""
    count: int = 6
    """How many pictures at most."""
    mask_ratio: tuple[float, ...] = ()
    """Mask ratios to draw (masked autoencoders); by default the one it was trained with."""
    seeds: tuple[int, ...] = (0,)
    """A mask is drawn for each seed."""


@dataclass(frozen=True)
class TourSettings:
    """The whole line in minutes: pretrain, fine-tune with few labels, compare with scratch, look."""

    data: str = "digits"
    """Pictures with labels: a folder per class, a CSV, or "digits" (embedded)."""
    out: str | None = None
    """Where the runs and the report go; runs/tour-NAME by default."""
    labels: float | None = None
    """Labelled pictures used (above 1) or their share (at most 1); by default 10 for each class."""
    pretrain_epochs: float | None = None
    """Passes over all pictures without their labels; by default some 80,000 pictures are seen."""
    train_epochs: float | None = None
    """Passes over the labelled pictures; by default some 10,000 pictures are seen."""
    seed: int = 0


@dataclass(frozen=True)
class PaperSettings:
    """Run a table of the papers for several seeds, and set the papers' own figures beside."""

    name: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="[TABLE]")]] = ""
    """The table; without one, all tables are listed."""
    data: str = "digits"
    """Pictures with labels: a folder per class, a CSV, or "digits" (embedded)."""
    seeds: int = 3
    """Every setting is run for the seeds 0 up to this."""
    out: str | None = None
    """The folder of the table; runs/paper-TABLE by default. A table that is there goes on where it was."""
    epochs: float | None = None
    """Passes over the training pictures of each run; by default the table's own choice."""
    model: str | None = None
    """The model; by default a narrow one that one processor core can train."""
    image_size: Size | None = None
    """Side of the input in pixels, or height and width; 64 for the narrow model, else as for `vitrail train`."""
    workers: int = -1
    """Processes that load pictures; 0 loads in the main process, -1 chooses by the machine."""
    device: str = "auto"


@dataclass(frozen=True)
class ModelsSettings:
    """List the models, with parameters and sequence lengths."""

    pattern: tyro.conf.Positional[str] = ""
    """Only names that contain this."""
    recipes: bool = False
    """List the recipes instead."""
    json: bool = False
    """Print JSON instead of a table."""


@dataclass(frozen=True)
class DoctorSettings:
    """Say what is installed and used here, and check a data set before anyone waits for it."""

    data: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="[DATA]")]] = ""
    """A data set to check: a folder, a CSV, or "digits"."""
    json: bool = False
    """Print one JSON object instead of tables."""
