"""What each verb can be told: one frozen dataclass a verb, the same on the command line and in Python.

Nothing here imports torch. `vitrail.tasks.recipes` holds values of these; `vitrail.cli` parses into them.
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
    class_token: bool | None = None
    """Whether a ViT has a class token; without one it pools by mean or attention."""
    positions: str | None = None
    """ViT: learned, learned_2d, sincos_2d, relative, relative_bias, none. Swin: relative, absolute, both, none,
    relative_alone."""
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
    shift: bool | None = None
    """Whether every second block of a Swin shifts its windows."""
    head_width: int | None = None
    """Width of a Swin's attention heads."""
    small_maps: Literal["mask", "shrink"] | None = None
    """A Swin's map smaller than its window: pad and mask it, or shrink the window to it as Microsoft's code does."""
    representation: int | None = None
    """Length of a hidden layer with tanh before the head, as ViT is pretrained with; 0 for none."""
    head_init: Literal["small", "zero"] | None = None
    """How the head starts out; zero: with exactly even scores, as ViT is fine-tuned."""
    dropout: float | None = None
    attention_dropout: float | None = None
    drop_path: float | None = None
    """Stochastic depth of the last block; it rises linearly from 0 at the first."""


Head = Literal[
    "auto",
    "mask_rcnn",
    "faster_rcnn",
    "cascade_mask_rcnn",
    "detr",
    "upernet",
    "setr_naive",
    "setr_pup",
    "setr_mla",
    "linear",
]


@dataclass(frozen=True)
class Dense:
    """What finds or outlines things in a picture, above the backbone; of no use to a classifier."""

    head: Head = "auto"
    """To detect: mask_rcnn (auto), faster_rcnn, cascade_mask_rcnn, detr. To segment: upernet (auto), setr_*, linear."""
    pyramid: Literal["auto", "fpn", "simple", "blocks"] = "auto"
    """fpn: over a backbone's stages; of a ViT, simple (ViTDet): from its last map; blocks (MAE): from four blocks."""
    width: int = 256
    """Channels of every map above the backbone."""
    hidden: int = 1024
    """Width of the hidden layers that judge a region, or of the MLPs in a DETR."""
    norm: Literal["none", "group", "batch"] = "none"
    """Group norm after the convolutions of pyramid and heads; batch: of a segmenter, as published."""
    box_head: Literal["mlp", "conv"] = "mlp"
    """What judges a region: two hidden layers; or four convolutions and one hidden layer, as in ViTDet."""
    anchor_size: float = 8.0
    """Side of an anchor in strides of its map: 8 makes 32 pixels of the finest."""
    proposals: int = 1000
    """Most regions that are looked at closely; twice as many while training."""
    regions: int = 512
    """Regions of a picture from which its classes and boxes are learned."""
    samples: int = 2
    """Points a side at which each cell of a region is read off the map; 1 is the fastest."""
    queries: int = 100
    """Most objects that a DETR finds."""
    layers: int = 6
    """Of a DETR's encoder, and of its decoder."""
    windows: int = 0
    """Attention of a ViT within windows of so many tokens, but for four blocks; 0 is global everywhere."""
    jitter: Literal["none", "multiscale", "large", "crop"] = "multiscale"
    """none: one size; multiscale: sizes by jitter_scale; large: cut or padded to a square; crop: cut to image_size."""
    jitter_scale: tuple[float, float] = (0.8, 1.25)
    """Smallest and largest factor of the size of a training picture."""
    longest: float = 5 / 3
    """The longer side is at most so many times image_size; the shorter one then is smaller than that."""
    short_side: int | None = None
    """To segment: what a picture's shorter side is scaled to before all else; None leaves pictures as they are."""
    ignore: int = 255
    """To segment: the value in the masks that means void; 255 always does."""
    classes: str | None = None
    """To segment: a text file with the name of one class a line; by default classes.txt in the data's folder."""
    auxiliary: float = 0.4
    """To segment: weight of the loss of each auxiliary head; 0 for none."""
    dropout: float = 0.1
    """To segment: probability that a channel is left out before the last, linear layer."""


@dataclass(frozen=True)
class Scoring:
    """How a segmenter scores a picture: more passes, better figures."""

    part: Size | None = None
    """Score pictures part by part, each of this height and width in pixels; None scores them whole."""
    overlap: float = 1 / 3
    """Share of a part that its neighbour covers too; their scores are averaged."""
    scales: tuple[float, ...] = (1.0,)
    """Factors by which pictures are scaled; the mean over all is taken."""
    flip: bool = False
    """Score mirrored pictures as well."""


@dataclass(frozen=True)
class TrainSettings:
    """Train a classifier, a detector or a segmenter, from scratch or from given weights."""

    data: tyro.conf.Positional[str]
    """A folder of pictures, a CSV of file and label, or embedded: "digits", and "scenes" to detect and segment."""
    task: Literal["classify", "detect", "segment"] = "classify"
    """Name the class of a picture, find each object in it, or name the class of every pixel."""
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
    lr_for_batch: int = 0
    """lr is meant for so many pictures a step and grows with batch_size, as papers state it; 0 takes lr as it is."""
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
    tune_blocks: float | None = None
    """Only the last so many blocks of a ViT and the head learn: 0.5 is the MLP of the last one, 0 the head alone."""
    cache_features: Literal["auto", "on", "off"] = "auto"
    """With tune_blocks: compute what the other blocks make of each picture once, and keep it on disk."""
    architecture: Architecture = field(default_factory=Architecture)
    dense: Dense = field(default_factory=Dense)
    augment: Augment = field(default_factory=Augment)
    loader: Loader = field(default_factory=Loader)
    optim: Optim = field(default_factory=Optim)
    schedule: Schedule = field(default_factory=Schedule)
    run: Run = field(default_factory=Run)


@dataclass(frozen=True)
class PretrainSettings:
    """Pretrain an encoder on pictures without labels: a masked autoencoder, or masked patch prediction."""

    data: tyro.conf.Positional[str]
    """A folder of pictures (labels are ignored), a CSV, or "digits" (embedded)."""
    model: str = "vit_ti16"
    """The encoder: a ViT from `vitrail models`."""
    objective: Literal["mae", "mpp", "simmim"] = "mae"
    """What is learned: mae, filling in hidden patches; mpp, ViT's masked patch prediction; simmim, the pixels of hidden
    squares, also with a Swin."""
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
    lr_for_batch: int = 0
    """lr is meant for so many pictures a step and grows with batch_size, as papers state it; 0 takes lr as it is."""
    image_size: Size | None = None
    """Side of the input in pixels, or height and width; by default that of the pictures, at most 224."""
    channels: Literal[1, 3] = 3
    """3 for colour, 1 for grey."""
    validation_share: float = 0.1
    """Share of the training pictures held out when the data has no split of its own."""
    mask_ratio: float = 0.75
    """Share of the patches that is hidden; of mpp, that is corrupted."""
    mask_unit: int = 32
    """Of simmim: side of the squares that are hidden as one, in pixels."""
    masking: Literal["random", "block", "grid"] = "random"
    """Of mae: hide patches at random, in large rectangles as BEiT does, or three of every four on a grid."""
    mask: str | None = None
    """Of mae: hide the same patches of every picture; a picture, bright where hidden, or numbers such as "0-9,14"."""
    mask_tokens_in: Literal["decoder", "encoder"] = "decoder"
    """Of mae: the encoder sees visible patches only, or hidden places too, each with the mask token."""
    decoder_width: int = 512
    """Of mae."""
    decoder_depth: int = 8
    """Of mae."""
    normalize_target: bool = True
    """Of mae: the target auto is normalized; with --no-normalize-target it is pixels."""
    target: Literal["auto", "normalized", "pixels", "pca", "tokens", "color", "downsized", "full"] = "auto"
    """Of mae: pixels normalised by each patch's own mean and deviation (auto), pixels as they are, coefficients in
    principal components, or tokens. Of mpp: the patch's mean colour of 3 bits a channel (auto), the colours of a 4x4
    copy of it, or all its pixels."""
    components: int = 96
    """Of mae's target pca: how many coefficients."""
    vocabulary: int = 512
    """Of mae's target tokens: how many tokens."""
    tokenizer: str = "kmeans"
    """Of mae's target tokens: kmeans, fitted on the training pictures, or MODULE:NAME of a class of yours."""
    target_from: str | None = None
    """Of mae's targets pca and tokens: take what another run has fitted, of its folder or its target.safetensors."""
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
    """auto: test where there is one, else all images that the run did not learn from."""
    batch_size: int = 128
    scoring: Scoring = field(default_factory=Scoring)
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
    """A run folder or a checkpoint of a trained model; of a run, the best one."""
    pictures: tyro.conf.Positional[tuple[str, ...]]
    """Files, folders or globs."""
    top: int = 3
    """How many classes to name for each picture."""
    format: Literal["table", "json", "csv"] = "table"
    """json: one object a line."""
    json: bool = False
    """The same as --format json."""
    out: str | None = None
    """Where a detector or segmenter leaves what it drew and found; RUN/predictions by default."""
    threshold: float = 0.5
    """Score below which a detected object is left out."""
    scoring: Scoring = field(default_factory=Scoring)
    batch_size: int = 32
    device: str = "auto"
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"


@dataclass(frozen=True)
class ProbeSettings:
    """Measure what an encoder is worth: nearest neighbours, linear classifiers, and its last blocks tuned alone."""

    weights: tyro.conf.Positional[str]
    """A run folder, a checkpoint or a weights file, of any backbone."""
    data: tyro.conf.Positional[str]
    """Labelled pictures with held-out ones: a folder, a CSV, or "digits" (embedded)."""
    out: str | None = None
    """Where features are kept; by default beside the run, or in runs/probe-NAME for a weights file."""
    model: str = "auto"
    """A name from `vitrail models`; auto: the one the weights belong to."""
    image_size: Size | None = None
    """Side of the input in pixels, or height and width; by default that of the run, or of the pictures."""
    channels: Literal[1, 3] | None = None
    """3 for colour, 1 for grey; by default those of the run, else 3."""
    labels: float = 1.0
    """Labelled pictures learned from (above 1) or their share (at most 1)."""
    pool: Literal["auto", "class", "mean"] = "auto"
    """Features of a ViT: class token, or mean of the patches; auto: as it was trained."""
    neighbours: int = 20
    """How many nearest pictures vote."""
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
    seed: int = 0
    workers: int = -1
    """Processes that load pictures; -1 chooses by the machine."""
    device: str = "auto"
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    json: bool = False
    """Print one JSON object instead of a table."""


@dataclass(frozen=True)
class PlanSettings:
    """Measure this machine, and say how to train on it in the hours there are: batch, rate, epochs, disk, command."""

    data: tyro.conf.Positional[str]
    """A folder of pictures, a CSV, or "digits" (embedded)."""
    objective: Literal["mae", "mpp", "classify"] = "mae"
    """What is to be learned: two ways without labels, or to tell classes apart."""
    hours: float = 8
    """How long training may take."""
    model: str = "auto"
    """A name from `vitrail models`; auto: the one the weights belong to, else vit_ti16."""
    weights: str | None = None
    """Start from a weights file, a checkpoint or a run folder."""
    recipe: str = "auto"
    """A name from `vitrail models --recipes`."""
    image_size: Size | None = None
    """Side of the input in pixels, or height and width; by default that of the pictures, at most 224."""
    channels: Literal[1, 3] = 3
    """3 for colour, 1 for grey."""
    batch_size: int | None = None
    """Pictures per step; by default the recipe's, or more where there are many pictures."""
    architecture: Architecture = field(default_factory=Architecture)
    seconds: float = 30
    """About how long to measure."""
    workers: int = -1
    """Processes that load pictures; 0 loads in the main process, -1 chooses by the machine."""
    device: str = "auto"
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    json: bool = False
    """Print one JSON object instead of sentences."""


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
    masking: tuple[Literal["random", "block", "grid"], ...] = ()
    """Kinds of masks to draw; by default the one it was trained with, and one panel of all."""
    mask: str | None = None
    """Hide these patches instead; a picture, bright where hidden, or numbers such as "0-9,14"."""
    seeds: tuple[int, ...] = (0,)
    """A mask is drawn for each seed."""
    pixel: tuple[int, int] | None = None
    """Row and column in the model's input of the pixel whose attention in a Swin is drawn; by default where the answer
    comes from most."""
    layers: tuple[int, ...] = ()
    """Blocks whose heads are drawn, from 0, or negative from the end: of a ViT, their attention (by default of the last
    one); of a Swin, their biases (of the last one of each stage)."""


@dataclass(frozen=True)
class TourSettings:
    """The whole line in minutes: pretrain, fine-tune with few labels, compare with scratch, look."""

    data: str = "digits"
    """Pictures with labels: a folder per class, a CSV, or "digits" (embedded)."""
    task: Literal["classify", "detect", "segment"] = "classify"
    """To detect and segment, two small backbones are trained and compared, on drawn scenes by default."""
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
    """List the models: how large they are, what a picture costs them, and how good they are known to be."""

    pattern: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="[PATTERN]")]] = ""
    """Only names that contain this; by default all backbones."""
    image_sizes: tuple[int, ...] = (224, 384)
    """Sides of the pictures that tokens and multiply-accumulates are counted for, in pixels."""
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
    """A weights file of anybody's, a folder of a model hub, a checkpoint or a run folder."""
    to: str | None = None
    """convert: vitrail, timm, huggingface, torchvision, google, big_vision, mae or swin. push: OWNER/NAME."""
    out: str | None = None
    """convert: the folder, or the file, to write."""
    source: str | None = None
    """verify: the file it was made from; tensors and outputs of both are compared."""
    picture: str | None = None
    """verify: what both are shown; noise by default."""
    num_heads: int | None = None
    """convert: number of heads, where neither the file nor its size says it."""
    encoder_only: bool = False
    """convert: leave out a masked autoencoder's decoder."""
    private: bool = False
    """push: only for you to see."""
    json: bool = False
    """Print one JSON object instead of sentences."""


@dataclass(frozen=True)
class DoctorSettings:
    """Say what is installed and used here, and check a data set before anyone waits for it."""

    data: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="[DATA]")]] = ""
    """A data set to check: a folder, a CSV, or "digits"."""
    ignore: int = 255
    """The value in masks that means void; 255 always does."""
    json: bool = False
    """Print one JSON object instead of tables."""


def peak_lr(settings: TrainSettings | PretrainSettings) -> float:
    """Return the largest learning rate of a run: lr, or lr x batch_size / lr_for_batch (MAE, appendix A.1)."""
    return settings.lr * (settings.batch_size / settings.lr_for_batch if settings.lr_for_batch else 1.0)
