"""``vitrail trust``: on one page what a person who signs for a classifier should know of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from vitrail.arguments import option_named
from vitrail.card.accuracy import headlines
from vitrail.card.data_doubts import audit_headline
from vitrail.card.kept import Part, kept_part
from vitrail.card.page import write_card
from vitrail.card.provenance import data_section, repeat_section, weights_section
from vitrail.card.robustness import robustness_headline
from vitrail.card.sections import DATA, MODEL, TrustCard, card_json, filled
from vitrail.commands.trust_parts import PARTS
from vitrail.commands.trust_subject import Subject, open_subject
from vitrail.config import make
from vitrail.meaning import check_meant
from vitrail.output import Progress, say
from vitrail.runs.place import check_place, kept_in
from vitrail.runs.run_folder import output_folder
from vitrail.serialize import dumps, write_json
from vitrail.settings import TrustSettings
from vitrail.training.distributed import check_alone
from vitrail.training.precision import keep_large_buffers

CARD, PAGE = "trust.json", "trust.html"
HEADLINES = {"stress": robustness_headline, "audit": audit_headline}
"""What the top of the card says of sections, beside those of the evaluation."""


def trust_card(model: str | Path, data: str | Path, **settings: Any) -> TrustCard:
    """Measure what a person who signs for a classifier should know of it, and write it on one page.

    What was measured before of the same weights and images is taken from there.

    Args:
        model: a run folder, a checkpoint or anybody's weights.
        data: labelled images, as for `vitrail.evaluate`.
        **settings: any other field of `vitrail.settings.TrustSettings`.

    Returns:
        The card; it is also in ``trust.json`` beside the page ``trust.html``.

    Raises:
        VitrailError: the model or the data cannot be used.
        Interrupted: stopped by Ctrl-C; the same call goes on.
    """
    return _card(make(TrustSettings, model=str(model), data=str(data), **settings))


def run(settings: TrustSettings) -> None:
    """Measure, write the page, and print the card in short."""
    card = _card(settings)
    if settings.json:
        print(dumps(card_json(card)))
        return
    for name, value in card.headlines:
        say(f"{name}: {value}")
    for section in card.sections:
        if not section.is_measured:
            say(f"not measured: {section.title.lower()}; run: {card.command_of(section)}")
    say(str(_place(settings) / PAGE))


def _card(settings: TrustSettings) -> TrustCard:
    check_meant(settings, spelt=option_named)
    check_alone("trust")
    keep_large_buffers()
    out = check_place(settings.out, _place(settings), (settings.data,))
    subject = open_subject(settings, out)
    with kept_in(out):
        parts = _measured(subject, out)
        return _written(subject, parts, out)


def _measured(subject: Subject, out: Path) -> list[Part]:
    """Measure the parts one after the other, and say how long the rest may take."""
    costs = [part.passes(subject) for part in PARTS]
    progress, found = Progress("forward passes for the card", at_once=True), []
    for number, part in enumerate(PARTS):
        measure = partial(part.measure, subject)
        if part.keeps_itself:
            found.append(measure())
        else:
            keep = part.name not in subject.settings.skip
            found.append(kept_part(out / "parts", part.name, subject.about(part.name), measure, keep))
        progress.reached(sum(costs[: number + 1]), sum(costs))
    return found


def _written(subject: Subject, parts: Sequence[Part], out: Path) -> TrustCard:
    """Put the card together and write it."""
    settings = subject.settings
    measured = [section for part in parts for section in part.sections]
    weights = weights_section(subject.weights)
    splits = [(name, subject.known.count(name)) for name in dict.fromkeys(subject.known.splits)]
    data = data_section(subject.hashes[0], subject.hashes[1], splits, f"vitrail doctor {DATA}")
    commands = [
        (one.title, filled(one.command, settings.model, settings.data)) for one in (*measured, data) if one.command
    ]
    words = subject.words()
    repeat = repeat_section(_environment(subject), commands, " ".join(("vitrail trust", MODEL, DATA, *words)))
    top = [*headlines(measured)]
    for section in measured:
        if section.is_measured and section.name in HEADLINES:
            top += HEADLINES[section.name](section)
    card = TrustCard(
        settings.model,
        subject.opened.description.name,
        settings.data,
        subject.measured.split,
        tuple(top),
        (*measured, weights, data, repeat),
    )
    figures = {name: shown for part in parts for name, shown in part.figures.items()}
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / CARD, card_json(card))
    write_card(out / PAGE, card, figures)
    return card


def _environment(subject: Subject) -> list[tuple[str, str]]:
    versions = [(name, metadata.version(name)) for name in ("vitrail", "torch", "numpy", "pillow")]
    return [*versions, ("accuracy computed on", str(subject.runtime))]


def _place(settings: TrustSettings) -> Path:
    return Path(settings.out).expanduser() if settings.out else output_folder(settings.model, "trust")


__all__ = ["TrustCard", "run", "trust_card"]
