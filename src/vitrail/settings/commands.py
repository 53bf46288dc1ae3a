"""The settings of each command: one frozen dataclass a command, the same on the command line and in Python.

Nothing here imports torch; `vitrail.cli` parses into these. Those of runs that train are in `vitrail.settings.training`
and, of each task, in its own folder.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

import tyro

from vitrail.meaning import Rule
from vitrail.settings.inputs import InputOptions, NormalizationOption
from vitrail.settings.models import Architecture, Size


@dataclass(frozen=True)
class EvaluateSettings(NormalizationOption):
    """Measure a trained model on labelled images; each task adds its own options (`Spec.answers`)."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(("out",), lambda s: not s.page, "is where the page goes, and --no-page writes none; leave one out"),
    )

    checkpoint: tyro.conf.Positional[str]
    """A run folder (of a run, the best checkpoint), a checkpoint, or anybody's weights of a known layout."""
    data: tyro.conf.Positional[str]
    """The images: a folder, a CSV, or "digits"."""
    split: Literal["auto", "train", "validation", "test", "all"] = "auto"
    """auto: test where there is one, else all images that the run did not learn from."""
    workers: int = -1
    """Processes that load images; -1 chooses by the machine."""
    accept_license: bool = False
    """Accept the licence of a model that is fetched by name, where it asks for that; remembered."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    """auto: bf16 where the hardware computes in it; for weights of others fp32, as their figures are published."""
    out: str | None = None
    """The folder for the page evaluate.html, its images and data; RUN/evaluate by default."""
    page: bool = True
    """Write the page; in Python only where out is given."""
    all_classes: bool = False
    """Show every class; by default of more than 30 the ten worst and the ten best."""
    json: bool = False
    """Print one JSON object instead of a table."""


@dataclass(frozen=True)
class PredictSettings(NormalizationOption):
    """Say what is in images; each task adds its own options (`Spec.answers`)."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(("json",), lambda s: s.json and s.format == "csv", "and --format csv contradict each other; give one"),
    )

    checkpoint: tyro.conf.Positional[str]
    """A run folder (of a run, the best checkpoint), a checkpoint, or anybody's weights of a known layout."""
    images: tyro.conf.Positional[tuple[str, ...]]
    """Files, folders or globs."""
    format: Literal["table", "json"] = "table"
    """json: one object a line."""
    json: bool = False
    """The same as --format json."""
    out: str | None = None
    """The folder for what is drawn and found; RUN/predictions by default."""
    accept_license: bool = False
    """Accept the licence of a model that is fetched by name, where it asks for that; remembered."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    """auto: bf16 where the hardware computes in it; for weights of others fp32, as their figures are published."""


@dataclass(frozen=True)
class ProbeSettings(InputOptions):
    """Measure what an encoder is worth: nearest neighbours, linear classifiers, and its last blocks tuned alone."""

    weights: tyro.conf.Positional[str]
    """A run folder, a checkpoint, a weights file or hf:OWNER/NAME, of any backbone."""
    data: tyro.conf.Positional[str]
    """Labelled images with held-out ones: a folder, a CSV, or "digits" (embedded)."""
    out: str | None = None
    """Where features are kept; by default beside the run, or in runs/probe-NAME for a weights file."""
    model: str = "auto"
    """A name from `vitrail models`; auto: the one the weights belong to."""
    image_size: Size | None = None
    """Side of the input in pixels, or height and width; by default that of the run, or of the images."""
    channels: Literal[1, 3] | None = None
    """3 for colour, 1 for grey; by default those of the run, else 3."""
    labels: float = 1.0
    """Labelled images learned from (above 1) or their share (at most 1)."""
    pool: Literal["auto", "class", "mean"] = "auto"
    """Features of a ViT: class token, or mean of the patches; auto: as it was trained."""
    neighbours: int = 20
    """How many nearest images vote."""
    temperature: float = 0.07
    """Of their votes: a smaller one lets the nearest count for more."""
    rates: tuple[float, ...] = (0.1, 0.3, 1, 3, 10, 30, 100, 300)
    """Learning rates of the linear probe, each x batch / 256; the first one is MAE's. None: no linear probe."""
    epochs: int = 90
    """Of the linear probe."""
    batch_size: int = 256
    """Of the linear probe; MAE's is 16384."""
    tune_blocks: tuple[float, ...] = (0.5, 1)
    """Tune so many last blocks of a ViT, as `vitrail train --tune-blocks` does; 0.5 is the MLP of the last one."""
    tune_epochs: float = 30
    """Of tuning the last blocks."""
    accept_license: bool = False
    """Accept the licence of a model that is fetched by name, where it asks for that; remembered."""
    seed: int = 0
    workers: int = -1
    """Processes that load images; -1 chooses by the machine."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    json: bool = False
    """Print one JSON object instead of a table."""


@dataclass(frozen=True)
class PlanSettings:
    """Measure this machine, and say how to train on it in the hours there are: batch, rate, epochs, disk, command."""

    data: tyro.conf.Positional[str]
    """A folder of images, a CSV, or "digits" (embedded)."""
    objective: Literal["mae", "mpp", "classify"] = "mae"
    """What is to be learned: two ways without labels, or to tell classes apart."""
    hours: float = 8
    """How long training may take."""
    model: str = "auto"
    """A name from `vitrail models`; auto: the one the weights belong to, else vit_ti16."""
    weights: str | None = None
    """Start from a run, a checkpoint, a weights file, or a model on the hub (hf:OWNER/NAME)."""
    accept_license: bool = False
    """Accept the licence of a model that is fetched by name, where it asks for that; remembered."""
    recipe: str = "auto"
    """A name from `vitrail models --recipes`."""
    image_size: Size | None = None
    """Side of the input in pixels, or height and width; by default that of the images, at most 224."""
    channels: Literal[1, 3] = 3
    """3 for colour, 1 for grey."""
    batch_size: int | None = None
    """Images per step; by default the recipe's, or more where there are many images."""
    architecture: Architecture = field(default_factory=Architecture)
    seconds: float = 30
    """About how long to measure."""
    workers: int = -1
    """Processes that load images; 0 loads in the main process, -1 chooses by the machine."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    json: bool = False
    """Print one JSON object instead of sentences."""


ExplainMethod = Literal[
    "leave-one-out", "shapley", "chefer", "grad-cam", "integrated-gradients", "rollout", "attention"
]
"""The keys of `vitrail.explain.methods.METHODS`, which cannot be imported here."""


@dataclass(frozen=True)
class LookSettings(InputOptions):
    """Draw what a model sees: reconstructions, attention, curves, and a report of it all."""

    checkpoint: tyro.conf.Positional[str]
    """A run folder (of a run, the best checkpoint), a checkpoint, or anybody's weights of a known layout."""
    images: tyro.conf.Positional[tuple[str, ...]] = ()
    """Files, folders or globs; by default some of the run's own held-out images."""
    accept_license: bool = False
    """Accept the licence of a model that is fetched by name, where it asks for that; remembered."""
    out: str | None = None
    """Where the images go; RUN/look by default."""
    count: int = 6
    """How many images at most."""
    mask_ratio: tuple[float, ...] = ()
    """Mask ratios to draw (masked autoencoders); by default the one it was trained with."""
    masking: tuple[Literal["random", "block", "grid"], ...] = ()
    """Kinds of masks to draw; by default the one it was trained with, and one panel of all."""
    mask: str | None = None
    """Hide these patches instead; an image, bright where hidden, or numbers such as "0-9,14"."""
    seeds: tuple[int, ...] = (0,)
    """A mask is drawn for each seed."""
    pixel: tuple[int, int] | None = None
    """Row and column in the model's input of the pixel whose attention in a Swin is drawn; by default where the answer
    comes from most."""
    layers: tuple[int, ...] = ()
    """Blocks whose heads are drawn, from 0, or negative from the end: of a ViT, their attention (by default of the last
    one); of a Swin, their biases (of the last one of each stage)."""
    compare: tuple[str, ...] = ()
    """Other models, drawn in the same charts: attention distance, similarity of blocks, k-NN accuracy by block."""
    explain: str | None = None
    """Explain why a classifier gives this class, a name or a number; or "predicted": the class it gives each image."""
    against: str | None = None
    """Explain why it is that class and not this one."""
    method: tuple[ExplainMethod, ...] = ()
    """How to explain, one or several; by default leave-one-out. Each map is tested by deletion and insertion."""
    fill: str | None = None
    """What stands in the place of removed patches: mean, blur, or the run of a masked autoencoder, which fills them in.
    By default a ViT's patches are taken out of the sequence to explain it, and other models are shown the mean."""
    cell: int | None = None
    """Side in pixels of the squares that are removed where they are filled; by default that of a patch, for a model
    without patches 16, in small images less; of regions a sixteenth of the shorter side."""
    permutations: int = 8
    """Orders of patches that Shapley values are averaged over; more make their standard errors smaller."""
    drop_outliers: bool = False
    """Leave patch tokens of far larger norm than the others out of explanations."""
    counterfactual: tuple[str, ...] = ()
    """Fill in these regions of each image and ask the classifier again: background, foreground, middle, border, top,
    bottom, left, right, top-left and the other quadrants, or an image of a mask, bright where something is hidden."""
    fillings: int = 5
    """How many times a masked autoencoder fills a region in, each time from other visible patches."""
    shortcuts: bool = False
    """Search all the images for regions that the answers of a class hang on: by what they look like, and by place."""
    shortcut_images: int = 30
    """Images of each class, as the model names them, that are searched at most."""
    sanity: bool = False
    """Check that explanations change as the weights are randomised, layer by layer from the head down."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps; figures are computed in fp32."""
    live: bool = False
    """Draw nothing; serve a page on this machine instead, on which patches of images are painted away (needs the extra
    serve)."""
    port: int | None = None
    """Of the live window; by default 8711 or the next one that is free."""
    host: str = "127.0.0.1"
    """The address at which the live window listens; by default only this machine reaches it."""
    browser: bool = True
    """Open the live window in the default browser."""


@dataclass(frozen=True)
class TourSettings:
    """The whole line in minutes: pretrain, fine-tune with few labels, compare with scratch, look."""

    data: str = "digits"
    """Images with labels: a folder per class, a CSV, or "digits" (embedded)."""
    task: Literal["classify", "detect", "segment"] = "classify"
    """To detect and segment, two small backbones are trained and compared, on drawn scenes by default."""
    out: str | None = None
    """Where the runs and the report go; runs/tour-NAME by default."""
    labels: float | None = None
    """Labelled images used (above 1) or their share (at most 1); by default 10 for each class."""
    pretrain_epochs: float | None = None
    """Passes over all images without their labels; by default some 80,000 images are seen."""
    train_epochs: float | None = None
    """Passes over the labelled images; by default some 10,000 images are seen."""
    seed: int = 0
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""


@dataclass(frozen=True)
class PaperSettings:
    """Run a table of the papers for several seeds, and set the papers' own figures beside."""

    name: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="[TABLE]")]] = ""
    """The table; without one, all tables are listed."""
    data: str = "digits"
    """Images with labels: a folder per class, a CSV, or "digits" (embedded)."""
    seeds: int = 3
    """Every setting is run for the seeds 0 up to this."""
    out: str | None = None
    """The folder of the table; runs/paper-TABLE by default. A table that is there goes on where it was."""
    epochs: float | None = None
    """Passes over the training images of each run; by default the table's own choice."""
    model: str | None = None
    """The model; by default a narrow one that one processor core can train."""
    image_size: Size | None = None
    """Side of the input in pixels, or height and width; 64 for the narrow model, else as for `vitrail train`."""
    workers: int = -1
    """Processes that load images; 0 loads in the main process, -1 chooses by the machine."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""


@dataclass(frozen=True)
class ModelsSettings:
    """List the models: how large they are, what an image costs them, and how good they are known to be."""

    pattern: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="[PATTERN]")]] = ""
    """Only names that contain this; by default all backbones."""
    image_sizes: tuple[int, ...] = (224, 384)
    """Sides of the images that tokens and multiply-accumulates are counted for, in pixels."""
    pretrained: bool = False
    """List encoders that others have published instead: each can be named wherever a command takes a model."""
    recipes: bool = False
    """List the recipes instead."""
    flops: bool = False
    """Instead, how attention by the Swin paper's formulas and as counted, and whole models, grow from 224 to 1024
    pixels; by default of swin_t and vit_s16."""
    figure: str | None = None
    """With flops: draw it into this PNG file."""
    json: bool = False
    """Print JSON instead of a table, with every published figure."""


@dataclass(frozen=True)
class WeightsSettings:
    """Say what a weights file holds, write it for another library, check it, or push it to a model hub."""

    action: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="inspect|convert|verify|push")]]
    """inspect: layout, model, normalisation; convert: to another library's layout, with the files it keeps beside;
    verify: every tensor is there, finite and has a way back, and the same as in --source; push: to a model hub."""
    file: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="FILE")]]
    """A weights file of anybody's, a folder of a model hub, a checkpoint, a run folder, or hf:OWNER/NAME."""
    accept_license: bool = False
    """Accept the licence of a model that is fetched by name, where it asks for that; remembered."""
    to: str | None = None
    """convert: vitrail, timm, huggingface, torchvision, google, big_vision, mae or swin. push: OWNER/NAME."""
    out: str | None = None
    """convert: the folder, or the file, to write."""
    source: str | None = None
    """verify: the file it was made from; tensors and outputs of both are compared."""
    image: str | None = None
    """verify: what both are shown; noise by default."""
    num_heads: int | None = None
    """convert: number of heads, where neither the file nor its size says it."""
    encoder_only: bool = False
    """convert: leave out a masked autoencoder's decoder."""
    private: bool = False
    """push: only for you to see."""
    json: bool = False
    """Print one JSON object instead of sentences."""
