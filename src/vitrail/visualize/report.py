"""One page about a run that can be kept, sent and read anywhere: no network, no scripts, images inside."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

TEMPLATE = "report.html.j2"
LARGEST_PNG = 400_000  # Bytes; beyond them an image is a photograph, and WebP takes a fifth of the room.
WEBP_QUALITY = 92
LONGEST_WEBP, LONGEST_JPEG = 16_383, 65_535  # Pixels of a side that the formats can hold.
THUMBNAIL, JPEG_QUALITY = 150, 80  # Longer side in pixels: some 6 kB each.
MOST_LISTED, LONGEST_TEXT = 50, 160  # Items of a list, and letters of a text, that a table's cell holds.

Figure = tuple[str, Image.Image | str | Path]
"""A caption, and an image or the path of a PNG file. The caption's first line is set as a heading."""


@dataclass(frozen=True)
class Card:
    """One or two small images of a gallery, and what is said of them.

    Attributes:
        images: beside each other.
        lines: below them; the first is set in bold.
    """

    images: Sequence[Image.Image]
    lines: Sequence[str]


@dataclass(frozen=True)
class Gallery:
    """Many small images, which a browser decodes when they come into view.

    Attributes:
        title: a heading.
        text: a paragraph.
        cards: in the order they are shown.
    """

    title: str
    text: str
    cards: Sequence[Card]


@dataclass(frozen=True)
class Table:
    """A table of a report; numbers are set flush right, so that they can be compared.

    Attributes:
        title: a line above it.
        columns: headings.
        rows: cells of any kind; floats are written with four significant digits.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Section:
    """A part of a report at its end, such as the configuration or the environment.

    Attributes:
        title: its heading.
        content: text, one paragraph for each line; or settings by name, nested ones written with dots.
        folded: shown only when asked for.
    """

    title: str
    content: str | Mapping[str, Any]
    folded: bool = False


def write_report(
    path: str | Path,
    *,
    title: str,
    subtitle: str = "",
    facts: Sequence[tuple[str, str]] = (),
    images: Sequence[Figure | Gallery] = (),
    tables: Sequence[Table] = (),
    sections: Sequence[Section] = (),
    next_steps: Sequence[str] = (),
) -> Path:
    """Write a report as one HTML file: figures first, then images, tables, sections, and what to run next.

    Args:
        path: the file; folders on the way to it are made.
        title, subtitle: what the page is about.
        facts: the headline figures as (name, value); the first few are what a reader takes away.
        images: images and galleries, in the order they are shown.
        tables: below the images.
        sections: below the tables.
        next_steps: commands; what follows ``  # `` on a line explains it.

    Returns:
        The path.
    """
    content = {
        "title": shortened(title),
        "subtitle": subtitle,
        "facts": facts,
        "figures": [_gallery(one) if isinstance(one, Gallery) else embedded(*one) for one in images],
        "tables": tables,
        "sections": [(section, _content(section.content)) for section in sections],
        "steps": [_step(step) for step in next_steps],
    }
    return write_page(Path(path), content)


def write_page(path: Path, content: Mapping[str, Any]) -> Path:
    """Fill the template of all pages, write it and return its path.

    Args:
        path: the file; folders on the way to it are made.
        content: what the template asks for; of what a page has none of, nothing is said.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("vitrail.visualize", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["cell"] = cell
    environment.filters["weight"] = _weight
    environment.tests["figure"] = is_number
    page = environment.get_template(TEMPLATE).render(**{**EMPTY, **content})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8", errors="replace")  # file names may hold what UTF-8 cannot
    return path


EMPTY = dict.fromkeys(("facts", "chapters", "figures", "tables", "sections", "steps"), ())
"""Parts of a page that most pages lack."""


def data_uri(image: Image.Image | str | Path) -> str:
    """Write an image, or a file of one, into an address: PNG; where that would be large WebP or, if too long, JPEG."""
    if not isinstance(image, Image.Image):
        with Image.open(image) as opened:
            image = opened.convert("RGB")
    content = _encoded(image, "PNG", optimize=True)
    kind = "png"
    if len(content) > LARGEST_PNG and max(image.size) <= LONGEST_WEBP:
        content, kind = _encoded(image, "WEBP", quality=WEBP_QUALITY, method=4), "webp"
    elif len(content) > LARGEST_PNG and max(image.size) <= LONGEST_JPEG:
        content, kind = _encoded(image.convert("RGB"), "JPEG", quality=WEBP_QUALITY, subsampling=0), "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def cell(value: Any) -> str:
    """Write a value for reading: floats with four significant digits, truth as yes and no, lists with commas.

    What is no finite number is ``-``; of long lists and texts a part is left out, and said so.
    """
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) else "-"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, (list, tuple)):
        more = f", and {len(value) - MOST_LISTED:,} more" if len(value) > MOST_LISTED else ""
        return (", ".join(cell(item) for item in value[:MOST_LISTED]) or "none") + more
    return shortened(str(value))


def shortened(text: str) -> str:
    """Leave out the middle of a text that is longer than `LONGEST_TEXT` letters."""
    half = LONGEST_TEXT // 2
    return text if len(text) <= LONGEST_TEXT else f"{text[:half]}…{text[-half:]}"


def is_number(value: Any) -> bool:
    """Whether a table's cell is a number, possibly written out with a unit or a sign."""
    if isinstance(value, str):
        return value.lstrip("+-")[:1].isdigit()
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def flattened(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """List nested settings by their dotted names: ``{"optim": {"lr": 1}}`` gives ``[("optim.lr", 1)]``."""
    found: list[tuple[str, Any]] = []
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            found += flattened(value, f"{prefix}{name}.")
        else:
            found.append((f"{prefix}{name}", value))
    return found


def _content(content: str | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(content, str):
        return {"paragraphs": [line for line in content.splitlines() if line.strip()], "settings": []}
    return {"paragraphs": [], "settings": flattened(content)}


def embedded(caption: str, image: Image.Image | str | Path) -> dict[str, Any]:
    """Return a figure as the template takes it, the image inside."""
    heading, _, rest = caption.partition("\n")
    if not isinstance(image, Image.Image):
        with Image.open(image) as opened:
            size = opened.size
    else:
        size = image.size
    return {"heading": heading, "caption": rest, "source": data_uri(image), "width": size[0], "height": size[1]}


def _gallery(gallery: Gallery) -> dict[str, Any]:
    cards = [([_thumbnail(image) for image in card.images], card.lines) for card in gallery.cards]
    return {"heading": gallery.title, "caption": gallery.text, "cards": cards}


def _thumbnail(image: Image.Image) -> dict[str, Any]:
    """Write a small image as JPEG; a tiny one keeps its pixels, and is shown larger."""
    small = image.convert("RGB")
    small.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    content = base64.b64encode(_encoded(small, "JPEG", quality=JPEG_QUALITY, optimize=True)).decode("ascii")
    share = THUMBNAIL / max(small.size)
    width, height = (max(1, round(side * share)) for side in small.size)
    return {"source": f"data:image/jpeg;base64,{content}", "width": width, "height": height}


def _step(step: str) -> tuple[str, str]:
    command, _, why = step.partition("  # ")
    return command.strip(), why.strip()


def _weight(value: str) -> str:
    """Name how large a headline figure can be set without breaking."""
    return "short" if len(value) <= 9 else "medium" if len(value) <= 13 else "long"


def _encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
