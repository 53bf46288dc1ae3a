"""MAE's official ``.pth`` files: the encoder has plain names, the decoder's parts stand beside it."""

from __future__ import annotations

from vitrail.weights.formats.rename import Row, from_plain_names, to_plain_names
from vitrail.weights.reader import State

TABLE = (
    Row("mask_token", "decoder.mask_token"),
    Row("decoder_embed.*", "decoder.embed.*"),
    Row("decoder_pos_embed", "decoder.pos_embed"),
    Row("decoder_blocks.*", "decoder.blocks.*"),
    Row("decoder_norm.*", "decoder.norm.*"),
    Row("decoder_pred.*", "decoder.predict.*"),
    Row("*", "*"),  # The encoder and the head have plain names.
)


def to_plain(state: State) -> State:
    """Translate an official file, whole or encoder only or fine-tuned, into plain names."""
    return to_plain_names(state, TABLE)


def from_plain(state: State, num_heads: int) -> State:
    """Translate plain names into the official ones; the inverse of `to_plain`."""
    return from_plain_names(state, TABLE, "mae")
