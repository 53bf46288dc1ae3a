"""``vitrail embed``: images as vectors in a file, and the images of such a file that are most like one."""

from __future__ import annotations

import os
import shutil
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vitrail.config import Preprocessing, from_json, make
from vitrail.console import quoted
from vitrail.data.feature_files import FeatureTable, check_suffix, read_features, sidecar, write_features
from vitrail.data.features import room_for
from vitrail.data.listed import Listed, listed_images
from vitrail.data.requested import requested_images
from vitrail.data.token_file import TokenFile, check_absent, unfinished_tokens
from vitrail.data.transforms import eval_transform
from vitrail.data.vector_chunks import Chunk, Chunks, begin, clear
from vitrail.errors import ConfigError, DataError, WeightsError, none_readable
from vitrail.meaning import check_meant
from vitrail.output import say, say_table, warn
from vitrail.paths import user_path
from vitrail.runs.embedding import Embedder, compute
from vitrail.runs.nearest import Similar, most_similar, similar_sheet
from vitrail.runs.place import check_place
from vitrail.serialize import dumps, make_durable, whole_file
from vitrail.settings import EmbedSettings
from vitrail.tasks.find_preprocessing import settle_preprocessing
from vitrail.tasks.left_out import left_out
from vitrail.training.distributed import check_alone
from vitrail.training.lock import sole_user
from vitrail.training.runtime import Runtime
from vitrail.weights.open_any import open_any

DECIDING = {
    "digest": "another model",
    "preprocessing": "images prepared otherwise",
    "pool": "another --pool",
    "precision": "another --precision",
    "device": "another --device",
    "images": "other images",
    "patch_tokens": "other patch tokens",
}
"""What decides the vectors of a file, and what to say where it is not the same."""

FILES_FROM = "files_from"
"""Under which a file holds the folder that relative names of images begin in, as seen from the file's own."""


@dataclass(frozen=True)
class Embedded:
    """The vectors of images.

    Attributes:
        table: a row for each image that could be read.
        damaged: the others, each with the reason.
        computed: how many of the rows were computed now, and in how many seconds.
        seconds: likewise.
    """

    table: FeatureTable
    damaged: tuple[str, ...]
    computed: int
    seconds: float


def embed(model: str | Path, images: Any, **settings: Any) -> np.ndarray:
    """Describe images by vectors.

    Args:
        model: a run folder, a checkpoint, or anybody's weights of a known layout.
        images: a data set (a folder, a CSV, ``digits``), or images as `vitrail.predict` takes them.
        **settings: any other field of `vitrail.settings.EmbedSettings`; with ``out`` the vectors are also written to a
            file, and one that cannot be read is left out, with a warning.

    Returns:
        float32 ``(M, D)``, a row for each image in their order; D is twice as large with ``pool="both"``.

    Raises:
        VitrailError: the model or an image cannot be used, or an option does not fit.
    """
    named = (os.fspath(images),) if isinstance(images, (str, os.PathLike)) else ()
    asked = _asked(model=model, data=named, **settings)
    if asked.search is not None:
        raise ConfigError("a search is vitrail.search(image, features)")
    listed = listed_images(images)
    found = _embedded(asked, listed, lambda note: warnings.warn(note, stacklevel=4))
    if found.damaged and asked.out is None:
        raise DataError("; ".join(left_out(found.damaged, len(listed.items))))
    for line in left_out(found.damaged, len(listed.items)):
        warnings.warn(line, stacklevel=2)
    return np.array(found.table.vectors, dtype=np.float32)


def search(image: Any, features: str | Path, model: str | Path = "", **settings: Any) -> list[Similar]:
    """Find the images of a features file that are most like one.

    Args:
        image: one image as `vitrail.predict` takes it.
        features: a file that `embed` wrote.
        model: which computed it; by default the one that the file names.
        **settings: ``top``, ``device``, ``precision``, ``accept_license``.

    Returns:
        The nearest first, each with its cosine similarity.

    Raises:
        VitrailError: the file is of another model, or the image cannot be read.
    """
    asked = _asked(model=model, search="image", features=features, **settings)
    return _searched(asked, image)[0]


def run(settings: EmbedSettings) -> None:
    """Embed, or search, and print what came out."""
    if settings.search is not None:
        _run_search(settings)
        return
    if not settings.model or not settings.data:
        raise ConfigError("vitrail embed needs MODEL and DATA, or --search IMAGE and --features FILE")
    if settings.out is None:
        raise ConfigError("vitrail embed needs --out, a file that ends in .parquet, .npz or .csv")
    listed = listed_images(settings.data)
    for note in listed.notes:
        warn(note)
    found = _embedded(settings, listed, warn)
    for line in left_out(found.damaged, len(listed.items)):
        warn(line)
    _report(settings, found)


def _report(settings: EmbedSettings, found: Embedded) -> None:
    count, width = found.table.vectors.shape
    rate = found.computed / found.seconds if found.computed else None
    if settings.json:
        about = {"images": count, "dimensions": width, "left_out": found.damaged, "images_per_second": rate}
        say(dumps({**about, "out": settings.out, "patch_tokens": settings.patch_tokens}))
        return
    speed = "computed before" if rate is None else f"{rate:,.1f} images/s"
    say(f"{count:,} images, {width:,} dimensions, {speed}, {quoted(settings.out)}")


def _asked(**settings: Any) -> EmbedSettings:
    named = {name: os.fspath(value) if isinstance(value, os.PathLike) else value for name, value in settings.items()}
    asked = make(EmbedSettings, **named)
    check_meant(asked)
    return asked


def _embedded(settings: EmbedSettings, listed: Listed, note: Callable[[str], None]) -> Embedded:
    """Compute the vectors of images, and write the files that are asked for."""
    check_alone("embed")
    out, tokens = _places(settings)
    runtime = Runtime.named(settings.device, "fp32" if settings.precision == "auto" else settings.precision)
    opened = open_any(settings.model, accept_license=settings.accept_license)
    opened = settle_preprocessing(opened, settings, listed.items, runtime.device)
    for sentence in opened.sentences if note is warn else opened.notes:
        note(sentence)
    embedder = Embedder.of(opened, settings.pool, runtime)
    if out is None:
        return _in_memory(embedder, listed, settings.workers)
    kind = settings.token_dtype if tokens is not None else None
    about = {**embedder.about(), "images": listed.digest(), "patch_tokens": kind}
    work = _work_folder(out)
    if out.exists() and (known := _known(out, about)) and not work.exists():
        _check_tokens(out, tokens)
        return known
    if tokens is not None and not work.exists() and not unfinished_tokens(tokens).exists():
        check_absent(tokens)
    return _written(settings, embedder, listed, about, note)


def _places(settings: EmbedSettings) -> tuple[Path | None, Path | None]:
    """Check where files are to be written, before anything is computed."""
    if settings.out is None:
        if settings.patch_tokens is not None:
            raise ConfigError("--patch-tokens goes with --out, the file of the images' vectors; add it")
        return None, None
    out = check_place(settings.out, "", settings.data, file=True)
    check_suffix(out)
    if settings.patch_tokens is None:
        return out, None
    tokens = check_place(settings.patch_tokens, "", settings.data, option="--patch-tokens", file=True)
    if tokens.suffix != ".npy":
        raise ConfigError(f"--patch-tokens {quoted(tokens)} must end in .npy, the format it is written in")
    return out, tokens


def _in_memory(embedder: Embedder, listed: Listed, workers: int) -> Embedded:
    began, chunks = time.monotonic(), Chunks()
    count = compute(embedder, listed, chunks, None, workers)
    whole = chunks.joined()
    return Embedded(_table(whole, listed, embedder.about()), whole.damaged, count, time.monotonic() - began)


def _work_folder(out: Path) -> Path:
    """Return the hidden folder beside a file in which its vectors are gathered."""
    return out.with_name(f".{out.name}.unfinished")


def _known(out: Path, about: dict[str, Any]) -> Embedded:
    """Return what a file holds already, where it was made from the same.

    Raises:
        ConfigError: it was not.
    """
    table = read_features(out)
    for key, what in DECIDING.items():
        if table.about.get(key) != about.get(key):
            raise ConfigError(f"{quoted(out)} holds features of {what}; remove it, or choose another file with --out")
    return Embedded(table, tuple(table.about.get("left_out", ())), 0, 0.0)


def _check_tokens(out: Path, tokens: Path | None) -> None:
    """Refuse a finished file whose patch tokens are gone.

    Raises:
        ConfigError: they are.
    """
    if tokens is not None and not tokens.is_file():
        gone = f"{quoted(out)} is there, and {quoted(tokens)} with its patch tokens is not"
        raise ConfigError(f"{gone}; remove the first, and both are computed anew")


def _written(
    settings: EmbedSettings, embedder: Embedder, listed: Listed, about: dict[str, Any], note: Callable[[str], None]
) -> Embedded:
    """Compute what is not there yet, in a hidden folder beside, and write the files when all of it is."""
    out, tokens = _places(settings)
    assert out is not None
    work = _work_folder(out)
    with sole_user(work, main=True):
        chunks = begin(work, about)
        if chunks.discarded:
            note(f"What was begun for {out} with another model, other images or other options is computed anew.")
        file = _token_file(settings, embedder, tokens, len(listed.items)) if tokens else None
        _match(chunks, file, len(listed.items))
        began = time.monotonic()
        count = compute(embedder, listed, chunks, file, settings.workers)
        seconds, whole = time.monotonic() - began, chunks.joined()
        begun_in = os.path.relpath(Path.cwd(), out.parent)  # found again when files and features move together
        table = _table(whole, listed, {**about, FILES_FROM: begun_in})
        _write(work, out, table)
        if file is not None:
            file.finish(len(whole.index))
        shutil.rmtree(work, ignore_errors=True)
    return Embedded(table, whole.damaged, count, seconds)


def _write(work: Path, out: Path, table: FeatureTable) -> None:
    """Write a file in the hidden folder, where nothing is left of it whatever happens, and rename it into its place."""
    whole = work / out.name
    write_features(whole, table)
    for there, place in ((sidecar(whole), sidecar(out)), (whole, out)):
        if there.exists():
            there.replace(place)
    make_durable(out.parent)


def _token_file(settings: EmbedSettings, embedder: Embedder, path: Path, images: int) -> TokenFile:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = TokenFile(path, embedder.token_shape(), settings.token_dtype)
    needed = images * file.bytes_per_image
    held = file.unfinished.stat().st_size if file.unfinished.is_file() else 0
    if not room_for(path.parent, (needed - held) // 4):
        raise DataError(f"{needed / 1e9:,.1f} GB of patch tokens do not fit on the disk of {quoted(path)}; make room")
    return file


def _match(chunks: Chunks, file: TokenFile | None, images: int) -> None:
    """Let the tokens end where the vectors do; where some of them are lost, all is computed anew."""
    if file is None:
        return
    done = bool(chunks.parts) and sum(len(part.index) + len(part.damaged) for part in chunks.parts) == images
    if done and not file.unfinished.exists() and file.is_whole(chunks.rows):
        return
    if not file.go_on(chunks.rows):
        clear(chunks)


def _table(whole: Chunk, listed: Listed, about: dict[str, Any]) -> FeatureTable:
    """Name the rows.

    Raises:
        DataError: no image could be read.
    """
    if not len(whole.index):
        raise DataError(none_readable(len(listed.items), *whole.damaged[:1]))
    rows, names = whole.index.tolist(), listed.names()
    files, labels = [names[row] for row in rows], [listed.labels[row] for row in rows]
    splits = [listed.splits[row] for row in rows]
    known = {"count": len(rows), "dimensions": whole.values.shape[1], "left_out": list(whole.damaged)}
    return FeatureTable(files, labels, splits, whole.values, {**about, **known})


def _run_search(settings: EmbedSettings) -> None:
    if settings.data:
        raise ConfigError(
            f"a search takes no DATA, and {settings.data[0]!r} is one word too many; give --features FILE"
        )
    place = _drawing_place(settings)
    found, query, table = _searched(settings, settings.search)
    name = Path(settings.search or "").name
    note = f"Cosine similarity, among {len(table.files):,} images; {table.about['model']}, pool {table.about['pool']}."
    begun_in = _features_named(settings).parent / str(table.about.get(FILES_FROM, "."))
    sheet, gone = similar_sheet(query, name, found, note, begun_in)
    if gone:
        warn(f"{gone} of these {len(found)} images are not where they were; a grey square stands for each")
    place.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(place) as file:
        sheet.save(file, format="PNG")
    if settings.json:
        say(dumps({"query": settings.search, "found": found, "figure": str(place)}))
        return
    labelled = any(one.label is not None for one in found)
    columns = ["file", *(["label"] if labelled else []), "similarity"]
    rows = [[one.file, *([one.label or ""] if labelled else []), f"{one.similarity:.4f}"] for one in found]
    say_table(f"most similar to {settings.search}", columns, rows)
    say(str(place))


def _features_named(settings: EmbedSettings) -> Path:
    """Return the file that a search is to look into.

    Raises:
        ConfigError: none is named.
    """
    if not (settings.features or "").strip():
        raise ConfigError("a search needs --features, a file that vitrail embed MODEL DATA --out FILE wrote")
    return user_path(settings.features, ConfigError)


def _drawing_place(settings: EmbedSettings) -> Path:
    """Return where the sheet is drawn: beside the features, by the query's name, where nothing is said."""
    features = _features_named(settings)
    otherwise = features.parent / f"{Path(settings.search or '').stem or 'image'}-similar.png"
    place = check_place(settings.out, otherwise, file=True)
    if place.suffix.lower() != ".png":
        raise ConfigError(f"--out {quoted(place)} must end in .png: a search draws what it found")
    return place


def _searched(settings: EmbedSettings, query: Any) -> tuple[list[Similar], Any, FeatureTable]:
    """Return what is most like an image, the image, and what was searched."""
    features = _features_named(settings)
    requested = requested_images(query)
    if len(requested) != 1:
        raise DataError(f"a search asks about one image, and {query!r} stands for {len(requested):,}")
    table = read_features(features)
    embedder = _embedder_of(settings, table.about)
    image = requested[0].open(embedder.preprocessing.channels)
    pixels = eval_transform(embedder.preprocessing)(image)
    vector = embedder(pixels[None])[0][0]
    return most_similar(table, vector, settings.top), image, table


def _embedder_of(settings: EmbedSettings, about: dict[str, Any]) -> Embedder:
    """Open the model that computed a features file.

    Raises:
        ConfigError: the file does not say how it was computed, or it was another model, or another precision.
    """
    name = quoted(settings.features)
    try:
        preprocessing, pool = from_json(Preprocessing, about["preprocessing"]), about["pool"]
        source, digest, precision = about["model"], about["digest"], about["precision"]
    except (KeyError, TypeError) as error:
        raise ConfigError(f"{name} does not say how it was computed ({error} is missing); compute it again") from None
    if settings.precision not in ("auto", precision):
        raise ConfigError(f"{name} was computed in {precision}, not {settings.precision}; leave --precision out")
    model = settings.model or source
    try:
        opened = open_any(model, accept_license=settings.accept_license)
    except WeightsError as error:
        if settings.model:
            raise
        raise ConfigError(f"{name} was computed by {source}, and {error}; give MODEL, where it is now") from error
    runtime = Runtime.named(settings.device, precision)
    embedder = Embedder.of(opened, pool, runtime)
    embedder.preprocessing = preprocessing
    if embedder.digest() != digest:
        raise ConfigError(f"{name} holds features of another model ({source}) than {model}; give that one")
    return embedder


__all__ = ["Embedded", "embed", "run", "search"]
