"""Files of vectors of images: Parquet, NumPy's archives, or CSV, each with what its vectors were made by."""

from __future__ import annotations

import csv
import io
import json
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vitrail.console import quoted
from vitrail.errors import ConfigError, DataError, MissingExtra, VitrailError
from vitrail.paths import user_path
from vitrail.serialize import dumps, read_regular, whole_file, write_whole

KEY = "vitrail"
"""Under which a file holds, as JSON, what its vectors were made by."""

ROWS_AT_ONCE = 8192


@dataclass(frozen=True)
class FeatureTable:
    """Vectors of images.

    Attributes:
        files: what each image is called; of a file, its path.
        labels: the name of its class, or None.
        splits: train, validation or test, or None.
        vectors: ``(M, D)`` float32.
        about: JSON values: the model and its digest, preprocessing, pooling, and so on.
    """

    files: Sequence[str]
    labels: Sequence[str | None]
    splits: Sequence[str | None]
    vectors: np.ndarray
    about: dict[str, Any]

    def columns(self) -> dict[str, Sequence[str | None]]:
        """Return the columns of text, those of which nothing is known left out."""
        named = {"file": self.files, "label": self.labels, "split": self.splits}
        return {name: values for name, values in named.items() if name == "file" or any(v is not None for v in values)}


def check_suffix(path: Path) -> None:
    """Refuse the name of a file of no known kind, or of one that nothing here can write.

    Raises:
        ConfigError: of no known kind.
        MissingExtra: Parquet, and pyarrow is not installed.
    """
    if path.suffix.lower() not in WRITERS:
        raise ConfigError(f"{quoted(path)} ends in none of {', '.join(WRITERS)}, which say how features are written")
    if path.suffix.lower() == ".parquet":
        _pyarrow()


def write_features(path: Path, table: FeatureTable) -> None:
    """Write vectors by the kind of the file's name, from one moment to the next.

    Raises:
        DataError: the disk is full, or the file cannot be written.
    """
    check_suffix(path)
    try:
        WRITERS[path.suffix.lower()](path, table)
    except OSError as error:
        raise DataError(f"features cannot be written to {quoted(path)} ({error.strerror or error})") from error


def read_features(name: str | Path) -> FeatureTable:
    """Read a file of vectors.

    Raises:
        DataError: it is not there, damaged, or none that `write_features` wrote.
        MissingExtra: Parquet, and pyarrow is not installed.
    """
    path = user_path(name)
    if not path.is_file():
        raise DataError(f"there is no features file {quoted(path)}; vitrail embed MODEL DATA --out FILE writes one")
    check_suffix(path)
    try:
        table = READERS[path.suffix.lower()](path)
        whole = table.vectors.ndim == 2 and len({len(table.files), *map(len, (table.labels, table.splits))}) == 1
        if not (whole and len(table.files) == len(table.vectors) and isinstance(table.about, dict)):
            raise ValueError("its columns do not fit together")
    except VitrailError:
        raise
    except Exception as error:  # every reader raises what it likes of bytes that are none of its kind
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(f"{quoted(path)} is no features file of vitrail embed ({reason[:120]})") from error
    return table


def sidecar(path: Path) -> Path:
    """Return the file beside a CSV that says what its vectors were made by."""
    return path.with_name(f"{path.name}.json")


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtra("pyarrow", "embed", "a Parquet file") from None
    return pyarrow


def _write_parquet(path: Path, table: FeatureTable) -> None:
    arrow, columns, width = _pyarrow(), table.columns(), table.vectors.shape[1]
    fields = [(name, arrow.string()) for name in columns] + [("vector", arrow.list_(arrow.float32(), width))]
    schema = arrow.schema(fields, metadata={KEY: dumps(table.about)})
    with whole_file(path) as file, arrow.parquet.ParquetWriter(file, schema) as writer:
        for start in range(0, len(table.files), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            values = arrow.array(np.ascontiguousarray(table.vectors[part]).reshape(-1))
            texts = [arrow.array(list(column[part]), arrow.string()) for column in columns.values()]
            vectors = arrow.FixedSizeListArray.from_arrays(values, width)
            writer.write_table(arrow.Table.from_arrays([*texts, vectors], schema=schema))


def _read_parquet(path: Path) -> FeatureTable:
    table = _pyarrow().parquet.read_table(path)
    about = json.loads((table.schema.metadata or {})[KEY.encode()])
    vectors = table.column("vector").combine_chunks()
    values = vectors.flatten().to_numpy().reshape(len(vectors), vectors.type.list_size)
    texts = {name: table.column(name).to_pylist() for name in table.column_names if name != "vector"}
    return _table(texts, values.astype(np.float32, copy=False), about)


def _write_npz(path: Path, table: FeatureTable) -> None:
    texts = {name: np.array([value or "" for value in column]) for name, column in table.columns().items()}
    arrays: dict[str, Any] = {**texts, "vector": table.vectors, KEY: np.array(dumps(table.about))}
    # Not numpy.savez, to which "file" is the name of its own argument.
    with whole_file(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as part:
                np.lib.format.write_array(part, np.asarray(array), allow_pickle=False)


def _read_npz(path: Path) -> FeatureTable:
    with np.load(path, allow_pickle=False) as found:
        about = json.loads(str(found[KEY]))
        texts = {name: found[name].tolist() for name in found.files if name not in ("vector", KEY)}
        return _table(texts, found["vector"], about)


def _write_csv(path: Path, table: FeatureTable) -> None:
    """Write a line for each image, floats with as many digits as tell them from all others; beside it what made them.

    The file beside is written first, with the checksum of this one, so that neither is ever taken for another's.
    """
    columns, lines = table.columns(), io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow([*columns, *(f"vector_{place}" for place in range(table.vectors.shape[1]))])
    for texts, vector in zip(zip(*columns.values(), strict=True), table.vectors, strict=True):
        writer.writerow([*("" if text is None else text for text in texts), *map(str, vector)])
    content = lines.getvalue().encode()
    write_whole(sidecar(path), (dumps({**table.about, "crc32": zlib.crc32(content)}, indent=2) + "\n").encode())
    write_whole(path, content)


def _read_csv(path: Path) -> FeatureTable:
    content, beside = read_regular(path), sidecar(path)
    if not beside.is_file():
        raise DataError(f"{quoted(beside)} is missing, which says what the vectors of {quoted(path)} were made by")
    about = json.loads(beside.read_text())
    if about.pop("crc32", None) != zlib.crc32(content):
        raise DataError(f"{quoted(path)} is not what {quoted(beside)} was written with; compute the features again")
    heading, *rows = csv.reader(io.StringIO(content.decode(), newline=""))
    count = sum(not name.startswith("vector_") for name in heading)
    texts = {name: [row[place] for row in rows] for place, name in enumerate(heading[:count])}
    vectors = np.array([row[count:] for row in rows], dtype=np.float32).reshape(len(rows), len(heading) - count)
    return _table(texts, vectors, about)


def _table(texts: dict[str, list[Any]], vectors: np.ndarray, about: dict[str, Any]) -> FeatureTable:
    nothing: list[None] = [None] * len(vectors)
    labels, splits = ([value or None for value in texts.get(name, nothing)] for name in ("label", "split"))
    return FeatureTable(texts["file"], labels, splits, vectors, about)


WRITERS: dict[str, Callable[[Path, FeatureTable], None]] = {
    ".parquet": _write_parquet,
    ".npz": _write_npz,
    ".csv": _write_csv,
}
READERS: dict[str, Callable[[Path], FeatureTable]] = {
    ".parquet": _read_parquet,
    ".npz": _read_npz,
    ".csv": _read_csv,
}

__all__ = ["FeatureTable", "check_suffix", "read_features", "sidecar", "write_features"]
