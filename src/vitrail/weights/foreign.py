"""Files that are no weights, or not in a form that is read here: said by name, with the way out."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

FETCH = "fetch the file itself"

HEAD = 512
"""Bytes of a file's beginning by which it is told what it is."""

# What a file begins with, and what it then is.
BEGINNINGS: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "a Git LFS pointer, not the weights it stands for; run `git lfs pull` in its folder"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras), which is not read here; look for the model's PyTorch weights"),
    (b"GGUF", "a GGUF file, whose values are quantised; look for the model's PyTorch weights"),
    (b"\x1f\x8b", "compressed with gzip; unpack it first"),
    (b"BZh", "compressed with bzip2; unpack it first"),
    (b"\xfd7zXZ", "compressed with xz; unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it first"),
    (b"Rar!", "a RAR archive; unpack it first"),
    (b"\xff\xd8\xff", "an image, not a weights file"),
    (b"\x89PNG", "an image, not a weights file"),
    (b"%PDF", "a PDF, not a weights file"),
)
WEB_PAGE = f"a web page (an error, or a login), saved in the place of the weights; {FETCH} by its direct address"
ONNX = "an ONNX program; look for the PyTorch weights that it was exported from"
TENSORFLOW = "part of a TensorFlow checkpoint, which is not read here; look for the model's PyTorch or .npz weights"
FLAX = "a Flax msgpack file, which is not read here; look for the model's safetensors or .npz weights"
TFLITE = "a TensorFlow Lite program; look for the model's PyTorch weights"

FOREIGN_SUFFIXES = (".h5", ".onnx", ".msgpack", ".gguf", ".tflite", ".index", ".safetensors", ".bin", ".pth")

SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.(safetensors|bin|pth|pt)$")
REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
ADDRESS = re.compile(r"(?!hf:)[a-z][a-z0-9+]+:/", re.IGNORECASE)  # a path has one slash of two


def what_else(path: Path, head: bytes) -> str:
    """Say what a file that is neither safetensors nor PyTorch nor .npz is instead; "" where it is not known.

    Args:
        path: the file.
        head: its first `HEAD` bytes.
    """
    for beginning, meaning in BEGINNINGS:
        if head.startswith(beginning):
            return meaning
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return WEB_PAGE
    if head[4:8] == b"TFL3" or path.suffix == ".tflite":
        return TFLITE
    if head[257:262] == b"ustar":
        return "a tar archive; unpack it first"
    if text.startswith(b"model_checkpoint_path") or path.suffix == ".pb":
        return TENSORFLOW
    if path.suffix in (".index", ".meta") or ".data-" in path.name or path.with_name(f"{path.name}.index").exists():
        return TENSORFLOW
    if path.suffix == ".msgpack":
        return FLAX
    if path.suffix == ".onnx" or _begins_onnx(head):
        return ONNX
    return _text(head)


def _text(head: bytes) -> str:
    """Say that a file holds text, where it does: most often what a server said instead of sending the weights."""
    try:
        written = head.decode("utf-8")
    except UnicodeDecodeError:
        return ""
    shown = " ".join(written.split())[:60]
    if not shown or not all(letter.isprintable() or letter in "\n\r\t" for letter in written):
        return ""
    return f"a text file that begins {shown!r}, not weights; {FETCH}"


def what_folder(files: Sequence[Path]) -> str:
    """Say which file of a folder holds weights in a form that is not read here; "" where none is known.

    Args:
        files: those of the folder.
    """
    if any(file.name == "saved_model.pb" for file in files):
        return f" but {TENSORFLOW.replace('checkpoint', 'SavedModel')}"
    for file in files:
        if file.suffix in FOREIGN_SUFFIXES:
            with file.open("rb") as stream:
                reason = what_else(file, stream.read(HEAD))
            if reason:
                return f" but {file.name}, {reason.partition(';')[0]}"
    return ""


def _begins_onnx(head: bytes) -> bool:
    """Whether a file begins as an ONNX program: field 1, its version, then the name of what wrote it or its graph."""
    return len(head) > 3 and head[0] == 0x08 and 0 < head[1] < 0x20 and head[2] in (0x12, 0x1A, 0x22, 0x3A)


def what_archive(path: Path) -> str:
    """Say what a zip archive that holds neither arrays nor a pickle of torch's is; "" for torch's own."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except Exception:  # a damaged one: the reader of the format says what is wrong
        return ""
    if any("/code/" in name or name.endswith("constants.pkl") for name in names):
        return (
            "a TorchScript program, which would run code; save the state_dict of the model it was made from, best as "
            "safetensors"
        )
    if any(name.endswith((".weights.h5", "keras_metadata.pb")) for name in names):
        return "a Keras model, which is not read here; look for the model's PyTorch weights"
    if any(name.endswith("archive_format") for name in names):
        return "a program of torch.export's; save the state_dict of the model it was made from, best as safetensors"
    inside = next((name for name in names if name.endswith((".pth", ".pt", ".bin", ".safetensors", ".npz"))), "")
    return f"a zip archive of other files ({inside[:80]}); unpack it first" if inside else ""


def shard_of(path: Path) -> str:
    """Say that a file is one shard of several, and what to give in its place; "" where it is whole."""
    found = SHARD.search(path.name)
    if found is None or int(found[2]) < 2:
        return ""
    indices = sorted(path.parent.glob("*.index.json"))
    way = (
        f"give {indices[0]}, or the folder"
        if indices
        else "fetch all shards and their .index.json, and give the folder"
    )
    return f"{path} is shard {int(found[1])} of {int(found[2])} and lacks the rest of the model; {way}"


def what_address(source: str) -> str:
    """Say that a name is an address or a repository's and not a file's; "" where it looks like a file's."""
    if scheme := ADDRESS.match(source):
        address = f"{scheme[0]}/{source[scheme.end() :].lstrip('/')}"  # a path has lost one of two slashes
        return f"{address} is an address, not a file; download it first, and give the file"
    if REPOSITORY.fullmatch(source) and not Path(source).suffix and not Path(source).parent.exists():
        return (
            f"there is no file or folder {source}; if a repository on the Hugging Face hub is meant, its name is "
            f"hf:{source}"
        )
    return ""
