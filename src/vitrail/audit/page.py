"""The page of an audit: the images that somebody should look at, kind by kind, with what is said of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from vitrail.audit.advice import ACROSS, BACKGROUND, DAMAGED, LABEL, OUTLIER, TWO_CLASSES, WITHIN
from vitrail.audit.background import SURE
from vitrail.audit.study import Audit
from vitrail.audit.suggestions import Suggestion
from vitrail.console import percent
from vitrail.errors import ImageError
from vitrail.visualize.report import THUMBNAIL, Card, Gallery, Section, Table, write_report

SHOWN = 24
"""Images of each kind on the page; the table holds all."""

LONGEST_NAME = 36
"""Letters of a file's name; of a longer one the middle is left out."""

MOST_CLASSES = 20
"""Rows of a table of classes: of more, those of the most and of the fewest images, or of the best predicted frames."""

TEXTS = {
    ACROSS: (
        "Near duplicates in two splits",
        "One image in two splits makes figures too good. Each was aligned with its copy, mirrored where need be, and "
        "the agreement is the correlation of their fine structure.",
    ),
    TWO_CLASSES: (
        "Near duplicates in two classes",
        "One image in two classes of a split: one of both labels is wrong.",
    ),
    WITHIN: (
        "Near duplicates in one split",
        "Copies in a split count for more than they are worth; they do no other harm.",
    ),
    LABEL: (
        "Suspected label errors",
        "A linear classifier that had not seen the image predicts another class with the confidence usual for that "
        "class (Northcutt et al. 2021). The probability is that of the label: the lowest first.",
    ),
    OUTLIER: (
        "Outliers",
        "Images far even from the nearest few dozen others: the cosine distance is that to the k-th of them.",
    ),
    BACKGROUND: (
        "Classes predicted from the frame alone",
        f"With the centre covered (49 % of the area) its class is predicted with a probability of {SURE} or more. "
        "Where an object reaches into the frame, that is the object; elsewhere the background gives the class away.",
    ),
}
"""Heading and explanation of each kind that has a gallery of its own."""

ODD = "Odd by their pixels"
ODD_TEXT = "Very dark, bright or even images, blurred ones, and unusual sizes and aspects, each with what was measured."


def write_page(path: Path, audit: Audit, next_steps: Sequence[str]) -> Path:
    """Write the page and return its path."""
    splits = dict.fromkeys(split for split in audit.data.listed.splits if split)
    return write_report(
        path,
        title=f"{Path(audit.data.name).name or audit.data.name}: an audit",
        subtitle=f"{len(audit.data.listed.items):,} images of {audit.data.name}"
        + (f" ({', '.join(splits)})" if splits else ""),
        facts=_facts(audit),
        images=list(_galleries(audit)),
        tables=list(_tables(audit)),
        sections=list(_sections(audit)),
        next_steps=next_steps,
    )


def _facts(audit: Audit) -> list[tuple[str, str]]:
    counts = audit.counts()
    facts = [("copies in two splits", f"{audit.leaks:,}"), ("damaged images", f"{len(audit.damaged):,}")]
    if audit.rows.doubts is not None:
        facts += [("suspected label errors", f"{counts.get(LABEL, 0):,}")]
    if audit.rows.outlier is not None:
        facts += [("outliers", f"{counts.get(OUTLIER, 0):,}")]
    if audit.rows.frame is not None:
        facts += [("predicted from the frame alone", percent(audit.rows.frame.accuracy))]
    return facts


def _galleries(audit: Audit) -> Iterator[Gallery]:
    for what, (title, text) in TEXTS.items():
        found = [one for one in audit.suggestions if one.what == what]
        if found:
            yield Gallery(
                f"{title}: {len(found):,}", f"{text}{_cut(found)}", [_card(audit, one) for one in found[:SHOWN]]
            )
    odd = [one for one in audit.suggestions if one.what not in (*TEXTS, DAMAGED)]
    if odd:
        shown = _spread(odd)
        yield Gallery(f"{ODD}: {len(odd):,}", f"{ODD_TEXT}{_cut(odd)}", [_card(audit, one) for one in shown])


def _cut(found: Sequence[Suggestion]) -> str:
    return f" Shown are {SHOWN} of {len(found):,}; suggestions.csv holds all." if len(found) > SHOWN else ""


def _spread(odd: Sequence[Suggestion]) -> list[Suggestion]:
    """Choose some of every kind."""
    kinds = dict.fromkeys(one.what for one in odd)
    each = max(1, SHOWN // len(kinds))
    return [one for kind in kinds for one in [odd_ for odd_ in odd if odd_.what == kind][:each]]


def _card(audit: Audit, one: Suggestion) -> Card:
    images = [_opened(audit, one.number)]
    if one.other_number >= 0:
        images.append(_opened(audit, one.other_number))
    where = ", ".join(part for part in (one.split, one.label) if part)
    names = [f"{_name(audit, one.number)}{f' ({where})' if where else ''}"]
    if one.other_number >= 0:
        names.append(f"copy: {_name(audit, one.other_number)}")
    score = f" ({SCORES[one.what]} {one.score:.3f})" if one.what in SCORES and one.score is not None else ""
    return Card(images, [f"{one.suggestion}{score}", *names])


SCORES = {
    ACROSS: "agreement",
    TWO_CLASSES: "agreement",
    WITHIN: "agreement",
    LABEL: "probability of the label",
    OUTLIER: "distance",
    BACKGROUND: "probability",
}


def _name(audit: Audit, number: int) -> str:
    """Return the name of an image's file, its middle cut out where it is long."""
    name = Path(audit.data.called(number)).name
    half = LONGEST_NAME // 2
    return name if len(name) <= LONGEST_NAME else f"{name[:half]}…{name[-half:]}"


def _opened(audit: Audit, number: int) -> Image.Image:
    try:
        return audit.data.listed.items[number].open(3, enough=THUMBNAIL)
    except ImageError:  # it is gone since it was described
        return Image.new("RGB", (THUMBNAIL, THUMBNAIL), "grey")


def _tables(audit: Audit) -> Iterator[Table]:
    splits = list(next(iter(audit.classes.values()), {}))
    largest_first = sorted(audit.classes.items(), key=lambda one: -one[1][splits[0]])
    rows = [(name, *(counts[split] for split in splits)) for name, counts in largest_first]
    if rows:
        yield Table(
            _shortened_title("Images of each class", rows), ("class", *(s or "images" for s in splits)), _ends(rows)
        )
    frame = audit.rows.frame
    if frame is not None:
        recalls = [
            (name, percent(by_frame), percent(whole))
            for name, (by_frame, whole) in sorted(
                zip(audit.data.class_names, frame.by_class, strict=True), key=lambda one: -one[1][0]
            )
            if by_frame == by_frame
        ]
        title = f"Share of each class predicted right, cross-validated (by chance {percent(frame.chance)})"
        columns = ("class", "from the frame alone", "from whole images")
        yield Table(_shortened_title(title, recalls), columns, _ends(recalls))


def _ends(rows: list) -> list:
    half = MOST_CLASSES // 2
    return rows if len(rows) <= MOST_CLASSES else rows[:half] + rows[-half:]


def _shortened_title(title: str, rows: list) -> str:
    return title if len(rows) <= MOST_CLASSES else f"{title}: the first and the last ten of {len(rows):,}"


def _sections(audit: Audit) -> Iterator[Section]:
    if audit.sentences:
        yield Section("What must be known", "\n".join(audit.sentences))
    if audit.damaged:
        yield Section("Damaged images", "\n".join(audit.damaged[:100]), folded=True)
    yield Section(
        "How it was measured",
        "Near duplicates: candidates by the slow waves of a cosine transform"
        + (" and by the encoder's vectors" if audit.encoder else "")
        + ", each verified by aligning both images and correlating their fine structure.\n"
        + (f"Encoder: {audit.encoder}.\n" if audit.encoder else "")
        + "Every figure is a hint for people: nothing of the data was changed.",
    )


__all__ = ["write_page"]
