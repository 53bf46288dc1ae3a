"""Vectors of images by a model, computed in batches of a fixed composition, so that a run cut short goes on bit by bit.

Batch b holds images 32 b to 32 b + 31 of the list, whatever was interrupted where, and however many processes load.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import numpy as np
import torch
from torch import Tensor

from vitrail.config import Preprocessing, to_json
from vitrail.data.batches import EvalBatches, Loading
from vitrail.data.features import digest_of
from vitrail.data.listed import Listed
from vitrail.data.normalise import Normalise
from vitrail.data.samples import Samples
from vitrail.data.token_file import TokenFile
from vitrail.data.transforms import eval_transform
from vitrail.data.vector_chunks import Chunk, Chunks
from vitrail.errors import DataError, Interrupted
from vitrail.models.backbone import Backbone, backbone_of
from vitrail.models.pooled import Pool, check_pool, pooled
from vitrail.output import Progress
from vitrail.settings.inputs import normalization_name
from vitrail.tasks.open_model import EMBEDDED_AT_ONCE
from vitrail.training.runtime import Runtime
from vitrail.weights.open_any import OpenedModel

SAVED_EVERY = 10.0
"""Seconds of computing that an interruption costs at most."""

SAVED_BYTES = 2**26
"""Of vectors and patch tokens in memory that are not on the disk yet."""

FORMAT = 1
"""Raised when what a file of vectors holds changes its meaning."""


class Describer(Protocol):
    """What turns images into rows of numbers."""

    def __call__(self, images: Tensor, keep_tokens: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
        """Return rows ``(B, D)`` float32 of uint8 images ``(B, C, H, W)``, and where kept their tokens."""
        ...

    def samples(self, listed: Listed, start: int) -> Samples:
        """Return images from one on as it takes them."""
        ...


@dataclass
class Embedder:
    """A model as a function of images: a vector each, and its patch tokens.

    Attributes:
        source: what the user named.
        backbone: in evaluation mode, on the runtime's device.
        preprocessing: how an image becomes the input.
        pool: which vector; see `vitrail.models.pooled.pooled`.
        runtime: where and in what precision it is computed; vectors are float32 in any case.
    """

    source: str
    backbone: Backbone
    preprocessing: Preprocessing
    pool: Pool
    runtime: Runtime

    @classmethod
    def of(cls, opened: OpenedModel, pool: Pool, runtime: Runtime) -> Self:
        """Make one of an opened model whose preprocessing is settled.

        Raises:
            ConfigError: the model has no class token, and one is asked for.
        """
        backbone = backbone_of(opened.model)
        check_pool(backbone, pool)
        backbone.to(runtime.device).eval()
        return cls(opened.source, backbone, opened.description.preprocessing, pool, runtime)

    def __call__(self, images: Tensor, keep_tokens: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the vectors ``(B, D)`` of uint8 images ``(B, C, H, W)``, and where kept their tokens ``(B, N, D)``.

        Both are float32.
        """
        normalise = Normalise(self.preprocessing.mean, self.preprocessing.std).to(self.runtime.device)
        with torch.inference_mode(), self.runtime.autocast():
            vectors, tokens = pooled(self.backbone, normalise(images.to(self.runtime.device)), self.pool)
        return vectors.float().cpu().numpy(), tokens.float().cpu().numpy() if keep_tokens else None

    def token_shape(self) -> tuple[int, int]:
        """Return how many patch tokens an image has, and their width."""
        black = torch.zeros(1, self.preprocessing.channels, *self.preprocessing.image_size, dtype=torch.uint8)
        tokens = self(black, keep_tokens=True)[1]
        assert tokens is not None
        return tokens.shape[1], tokens.shape[2]

    def about(self) -> dict[str, Any]:
        """Return all that decides the vectors of an image, as JSON values."""
        return {
            "format": FORMAT,
            "model": self.source,
            "digest": self.digest(),
            "preprocessing": to_json(self.preprocessing),
            "normalization": normalization_name(self.preprocessing),
            "pool": self.pool,
            "precision": self.runtime.precision.name,
            "device": self.runtime.device.type,
        }

    def digest(self) -> str:
        """Digest the backbone: its kind, its shape and its weights."""
        shape = repr((type(self.backbone).__name__, self.backbone.config))
        weights = digest_of(self.backbone.state_dict())
        return hashlib.blake2b(f"{shape} {weights}".encode(), digest_size=16).hexdigest()

    def samples(self, listed: Listed, start: int) -> Samples:
        """Return images from one on as the model takes them."""
        transform = eval_transform(self.preprocessing)
        return Samples(listed.images(start), transform, 0, self.preprocessing.channels, cache="off")


@dataclass
class _Part:
    """What was computed since the last save."""

    start: int
    began: float = field(default_factory=time.monotonic)
    index: list[np.ndarray] = field(default_factory=list)
    vectors: list[np.ndarray] = field(default_factory=list)
    tokens: list[np.ndarray] = field(default_factory=list)

    @property
    def is_due(self) -> bool:
        """Whether it is time to save."""
        held = sum(part.nbytes for part in (*self.vectors, *self.tokens))
        return time.monotonic() - self.began >= SAVED_EVERY or held >= SAVED_BYTES

    def chunk(self, end: int, damaged: list[str]) -> Chunk:
        """Return it as a part that ends before batch ``end``."""
        index = np.concatenate(self.index) if self.index else np.zeros(0, np.int64)
        values = np.concatenate(self.vectors) if self.vectors else np.zeros((0, 0), np.float32)
        return Chunk(self.start, end, index, values, tuple(damaged))


def compute(embedder: Describer, listed: Listed, chunks: Chunks, tokens: TokenFile | None, workers: int) -> int:
    """Compute the vectors that are not among the chunks yet, and add them; return how many images that were.

    Raises:
        DataError: a value is not finite, or a data worker hangs or dies.
        Interrupted: by Ctrl-C; what was saved is kept.
    """
    total = -(-len(listed.items) // EMBEDDED_AT_ONCE)
    if chunks.next >= total:
        return 0
    before, first = chunks.rows, chunks.next * EMBEDDED_AT_ONCE
    work = _Work(chunks, tokens, EvalBatches(embedder.samples(listed, first), EMBEDDED_AT_ONCE, Loading(workers)))
    progress = Progress("images")
    try:
        for batch in work.batches:
            index = batch["index"].numpy() + first
            work.add(index, *embedder(batch["image"], tokens is not None), listed)
            progress.reached(int(index[-1]) + 1, len(listed.items))
        work.save(total)
    except KeyboardInterrupt:
        if chunks.folder is None:
            raise
        done = f"{chunks.rows:,} of {len(listed.items):,} images are kept"
        raise Interrupted(f"interrupted; {done}, and the same command goes on", 130) from None
    return chunks.rows - before


class _Work:
    """Batches as they come, and what is kept of them."""

    def __init__(self, chunks: Chunks, tokens: TokenFile | None, batches: EvalBatches) -> None:
        self.chunks, self.tokens, self.batches = chunks, tokens, batches
        self.part, self.told = _Part(chunks.next), 0

    def add(self, index: np.ndarray, vectors: np.ndarray, patches: np.ndarray | None, listed: Listed) -> None:
        """Take in a batch, and save where it is time to."""
        wrong = ~np.isfinite(vectors).all(axis=1)
        if wrong.any():
            name = listed.items[int(index[wrong.argmax()])].name
            raise DataError(
                f"the model's vector of {name} holds values that are no finite numbers; try --precision fp32"
            )
        self.part.index.append(index)
        self.part.vectors.append(vectors)
        if patches is not None:
            self.part.tokens.append(patches)
        if self.part.is_due:
            self.save(int(index[-1]) // EMBEDDED_AT_ONCE + 1)

    def save(self, end: int) -> None:
        """Keep what was computed up to batch ``end``: patch tokens first, as the vectors say how many of them count."""
        if end <= self.part.start:
            return
        if self.tokens is not None and self.part.tokens:
            self.tokens.add(np.concatenate(self.part.tokens))
        damaged = self.batches.damaged[self.told :]
        self.chunks.add(self.part.chunk(end, damaged))
        self.told, self.part = len(self.batches.damaged), _Part(end)


__all__ = ["Describer", "Embedder", "compute"]
