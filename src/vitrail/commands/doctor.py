"""``vitrail doctor``: what is installed and used here, whether a data set is fit to train on, and what is doubtful."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from vitrail.arguments import option_named
from vitrail.audit.clean_folder import check_clean_folder, planned, write_clean
from vitrail.audit.descriptors import Describer
from vitrail.audit.images import AuditedData, audited_data
from vitrail.audit.page import write_page
from vitrail.audit.study import Audit, Encoded, audit
from vitrail.audit.suggestions import write_suggestions
from vitrail.config import make
from vitrail.console import command, percent, quoted
from vitrail.data.vector_chunks import Chunk
from vitrail.errors import ConfigError, DataError, Interrupted
from vitrail.meaning import check_meant
from vitrail.output import Progress, say, say_table
from vitrail.paths import user_path
from vitrail.runs.data_check import Check, check
from vitrail.runs.described import FramedEmbedder, described
from vitrail.runs.installed import installed
from vitrail.runs.next_steps import after_doctor, say_next
from vitrail.runs.place import check_place
from vitrail.runs.run_folder import default_folder
from vitrail.serialize import dumps, write_json
from vitrail.settings import DoctorSettings
from vitrail.tasks.find_preprocessing import settle_preprocessing
from vitrail.training.distributed import check_alone
from vitrail.training.lock import sole_user
from vitrail.training.runtime import Runtime
from vitrail.weights.open_any import open_any

PAGE, TABLE, FIGURES = "doctor.html", "suggestions.csv", "doctor.json"


def doctor(data: str | Path | None = None, ignore: int = 255, **settings: Any) -> dict[str, Any]:
    """Return what is installed and used here and, with ``data``, a `Check` of that data set.

    Args:
        data: a data set; None checks the installation alone.
        ignore: in masks the value that means void.
        **settings: any other field of `vitrail.settings.DoctorSettings`: ``deep=True`` audits the images as well, with
            ``encoder`` also for label errors, outliers and backgrounds.

    Returns:
        ``environment``; with data the fields of a `Check` under ``data``; with ``deep`` an `Audit` under ``audit``.

    Raises:
        VitrailError: the data or the encoder cannot be used.
        Interrupted: stopped by Ctrl-C; the same call goes on.
    """
    named = {name: str(value) if isinstance(value, Path) else value for name, value in settings.items()}
    return _report(make(DoctorSettings, data="" if data is None else str(data), ignore=ignore, **named))


def run(settings: DoctorSettings) -> int:
    """Examine and print.

    Returns:
        The exit code: 1 where something is wrong with the data set, else 0.
    """
    report = _report(settings)
    found, audited = Check(**report.get("data", {})), report.get("audit")
    wrong = found.wrong or (audited is not None and audited.wrong)
    if settings.json:
        print(dumps(report | ({} if audited is None else {"audit": audited.summary()})))
        return int(wrong)
    say_table("environment", ("what", "is"), list(report["environment"].items()))
    if settings.data:
        _print(found, settings.data)
    if audited is not None:
        _print_audit(audited, settings, found.notes)
    say_next(_next(settings, found, wrong))
    return int(wrong)


def _report(settings: DoctorSettings) -> dict[str, Any]:
    check_meant(settings, spelt=option_named)
    report: dict[str, Any] = {"environment": installed()}
    if settings.data and settings.deep:
        report["audit"] = _audited(settings)
    if settings.data:
        report["data"] = vars(check(settings.data, settings.ignore))
    return report


def _audited(settings: DoctorSettings) -> Audit:
    """Audit a data set, and write the page, the table and, where asked for, the clean folder."""
    check_alone("doctor")
    data = audited_data(settings.data, settings.ignore)
    out = check_place(settings.out, default_folder("doctor", settings.data), (settings.data,))
    clean = None if settings.write is None else check_place(settings.write, "", (settings.data,), option="--write")
    if clean is not None:
        check_clean_folder(clean, data)
    embedder, notes = _embedder(settings, data)
    try:
        with sole_user(out, main=True):
            found = _measured(settings, data, embedder, out)
            found = found.with_sentences(notes)
            _write(out, found, settings)
        if clean is not None:
            plan = planned(data, {one.number for one in found.suggestions if one.leave_out})
            write_clean(clean, plan, link=settings.hard_links, reached=Progress("files").reached)
        return found
    except KeyboardInterrupt:
        kept = f"interrupted; what was computed is kept in {quoted(out)}, and the same command goes on"
        raise Interrupted(kept, 130) from None
    except OSError as error:
        raise ConfigError(
            f"{quoted(out)} cannot be written ({error.strerror or error}); choose another folder with --out"
        ) from None


def _embedder(settings: DoctorSettings, data: AuditedData) -> tuple[FramedEmbedder | None, list[str]]:
    """Open the encoder, and say what must be known of it."""
    if settings.encoder is None:
        return None, []
    runtime = Runtime.named(settings.device, "fp32" if settings.precision == "auto" else settings.precision)
    opened = open_any(settings.encoder, accept_license=settings.accept_license)
    opened = settle_preprocessing(opened, settings, data.listed.items, runtime.device)
    notes = list(opened.sentences)
    learned = str(opened.description.settings.get("data") or "")
    if learned and data.root is not None and user_path(learned).resolve() == data.root.resolve():
        notes.append(
            f"{settings.encoder} was trained on these images: label errors that it has learnt by heart stay "
            "hidden, and an encoder that has not seen them finds more."
        )
    return FramedEmbedder.of(opened, settings.pool, runtime), notes


def _measured(settings: DoctorSettings, data: AuditedData, embedder: FramedEmbedder | None, out: Path) -> Audit:
    digest, describer = data.listed.digest(), Describer()
    images = {"images": digest}
    pixels = described(describer, data.listed, _made(out, "pixels"), describer.about() | images, settings.workers)
    if not len(pixels.index):
        raise DataError(
            f"none of the {len(data.listed.items):,} images can be read, the first being {pixels.damaged[0]}"
        )
    encoded = None
    if embedder is not None:
        about = embedder.about() | images
        vectors = described(embedder, data.listed, _made(out, "vectors"), about, settings.workers)
        encoded = _encoded(embedder, pixels, vectors, dumps(about))
    return audit(data, pixels, encoded, _made(out, "pairs"), digest)


def _made(out: Path, name: str) -> Path:
    folder = out / "computed" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _encoded(embedder: FramedEmbedder, pixels: Chunk, vectors: Chunk, digest: str) -> Encoded:
    """Take the rows of an encoder apart.

    Raises:
        DataError: other images could be read than before.
    """
    if not np.array_equal(pixels.index, vectors.index):
        raise DataError("images changed while they were audited; run the same command again")
    width = vectors.values.shape[1] // 2
    return Encoded(embedder.source, vectors.values[:, :width], vectors.values[:, width:], digest)


def _write(out: Path, found: Audit, settings: DoctorSettings) -> None:
    write_suggestions(out / TABLE, found.suggestions)
    write_json(out / FIGURES, found.summary())
    write_page(out / PAGE, found, _steps(found, settings))


def _steps(found: Audit, settings: DoctorSettings) -> list[str]:
    """Return what makes sense after an audit; what follows ``  # `` explains it."""
    words = ["vitrail", "doctor", settings.data, "--deep"]
    encoder = [] if settings.encoder is None else ["--encoder", settings.encoder]
    steps = []
    if settings.encoder is None:
        why = "label errors, outliers and backgrounds as well; MODEL: a run folder, a checkpoint, hf:OWNER/NAME"
        steps.append(f"{command(*words, '--encoder', 'MODEL')}  # {why}")
    if found.wrong and settings.write is None and found.data.root is not None:
        why = "a new folder without damaged images and copies in two splits"
        steps.append(f"{command(*words, *encoder, '--write', 'CLEAN_FOLDER')}  # {why}")
    return steps


def _next(settings: DoctorSettings, found: Check, wrong: bool) -> list[str]:
    if not settings.data:
        return ["vitrail tour"]
    if settings.write is not None:
        return after_doctor(settings.write, found.task, False)
    return after_doctor(settings.data, found.task, wrong)


def _print_audit(found: Audit, settings: DoctorSettings, said: Collection[str]) -> None:
    """Say what an audit found beyond what was said before, and where it is to be seen."""
    for sentence in found.sentences:
        if sentence not in said:
            say(sentence)
    counts = found.counts()
    if counts:
        say_table("to look at", ("what", "images"), list(counts.items()))
    else:
        say("the audit found nothing to look at")
    if found.rows.frame is not None:
        frame = found.rows.frame
        shares = f"from the frame alone {percent(frame.accuracy)}, from whole images {percent(frame.whole)}"
        say(f"classes predicted right, mean over classes: {shares}, by chance {percent(frame.chance)}")
    out = check_place(settings.out, default_folder("doctor", settings.data), (settings.data,))
    say(f"{quoted(out / PAGE)}, {quoted(out / TABLE)}")
    if settings.write is not None:
        left = Counter(one.what for one in found.suggestions if one.leave_out)
        without = ", ".join(f"{count:,} {what}" for what, count in left.items()) or "nothing"
        say(f"{quoted(settings.write)}: {len(found.data.listed.items) - left.total():,} images; left out: {without}")
        say("Labels, outliers and all else that is only suspicious are as they were.")
    for step in _steps(found, settings):
        line, _, why = step.partition("  # ")
        say(f"{why}: {line}")


def _print(found: Check, data: str) -> None:
    splits = list(found.images)
    rows = [(name, *(counts.get(split, 0) for split in splits)) for name, counts in found.classes.items()]
    say_table(data, ("class", *splits), [*rows, ("all images", *found.images.values())])
    for note in found.notes:
        say(note)
    if found.sizes:
        say(_sizes_in_words(found.sizes))
    _list("damaged", found.damaged)
    _list("in two splits", [f"{a} = {b}" for a, b in found.duplicates])
    _list("mistakes in the annotations" if found.has_objects else "mistakes", found.mistakes)
    sizes = [] if found.task == "segment" else [counts.get("train", 0) for counts in found.classes.values()]
    if not found.has_objects and sizes and max(sizes) > 4 * max(1, min(sizes)):
        say(f"imbalanced: {min(sizes)} to {max(sizes)} a class; --loader.balanced draws them equally often")
    if not found.wrong:
        say("nothing is wrong with it")


def _sizes_in_words(sizes: dict[str, tuple[int, int]]) -> str:
    """Write ``height 160 to 284 pixels, median 213; width ...``; one number where all are the same."""
    parts = []
    for side in ("height", "width"):
        low, high = sizes[f"{side} from, to"]
        median = sizes[f"{side} median"][0]
        parts.append(
            f"{side} {low:,} pixels" if low == high else f"{side} {low:,} to {high:,} pixels, median {median:,}"
        )
    return "; ".join(parts)


def _list(what: str, lines: list[str]) -> None:
    if lines:
        say(f"{len(lines)} {what}:")
        for line in lines[:10]:
            say(f"  {line}")
