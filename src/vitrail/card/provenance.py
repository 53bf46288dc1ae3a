"""What exactly was measured: hashes of weights and data, the licence of the weights, versions, and how to repeat it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vitrail.card.sections import CardTable, Section
from vitrail.data.hashes import DataHash


@dataclass(frozen=True)
class WeightsFacts:
    """What is known of a model's weights.

    Attributes:
        architecture: the backbone's name.
        parameters: how many numbers are learned.
        files: each file of weights, by its name without folders, with its SHA-256.
        tensors: one SHA-256 for all tensors, whatever file they lie in.
        licence: of the weights, or who is to be asked.
        trained: how they were made, a sentence; "" where nobody says it.
    """

    architecture: str
    parameters: int
    files: tuple[tuple[str, str], ...]
    tensors: str
    licence: str
    trained: str = ""


def weights_section(weights: WeightsFacts) -> Section:
    """Return the section of a model's weights."""
    files = [
        (f"SHA-256 of {name}" if len(weights.files) > 1 else "SHA-256 of the file", digest)
        for name, digest in weights.files
    ]
    facts = (
        ("architecture", weights.architecture),
        ("parameters", f"{weights.parameters:,}"),
        *files,
        ("SHA-256 of the tensors", weights.tensors),
        ("licence", weights.licence),
    )
    sentences = (
        *([weights.trained] if weights.trained else []),
        "The hash of the tensors stays the same when the weights are written into another file: "
        "vitrail.weights.hashes.tensors_sha256 says what it is of.",
    )
    values = {
        "files": dict(weights.files),
        "tensors": weights.tensors,
        "licence": weights.licence,
        "parameters": weights.parameters,
    }
    return Section("weights", "The weights", facts, sentences, values=values)


def data_section(measured: DataHash, everything: DataHash, splits: Sequence[tuple[str, int]], command: str) -> Section:
    """Return the section of the data.

    Args:
        measured: the images that the figures are of.
        everything: all images of the data set.
        splits: how many images each split of the data has.
        command: what lists and checks them.
    """
    facts = (
        ("images measured", f"{measured.images:,}"),
        ("SHA-256 of these", measured.sha256),
        (
            "images in the data set",
            f"{everything.images:,} ({', '.join(f'{name} {count:,}' for name, count in splits)})",
        ),
        ("SHA-256 of all", everything.sha256),
        *([("unreadable files", f"{everything.unreadable:,}")] if everything.unreadable else []),
    )
    sentences = (
        "The hash is of the content, split, class and name of every image, in any order and wherever the folder lies: "
        "vitrail.data.hashes.data_sha256 says how it is made.",
    )
    values = {"measured": vars(measured), "all": vars(everything), "splits": dict(splits)}
    return Section("data", "The data", facts, sentences, values=values, command=command)


def repeat_section(
    environment: Sequence[tuple[str, str]], commands: Sequence[tuple[str, str]], command: str
) -> Section:
    """Return the section that says how to repeat the whole card.

    Args:
        environment: versions, device and precision.
        commands: for each section its title and the command that measures it.
        command: what makes the card again.
    """
    table = CardTable("Each part on its own", ("part", "command"), tuple(commands))
    sentences = ("The same command on the same weights, data and versions gives the same figures.",)
    return Section(
        "repeat",
        "How to repeat it",
        tuple(environment),
        sentences,
        (table,),
        {"environment": dict(environment)},
        command,
    )


__all__ = ["WeightsFacts", "data_section", "repeat_section", "weights_section"]
