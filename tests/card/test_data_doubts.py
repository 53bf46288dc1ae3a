"""What the card says of the data, from an audit's own words."""

from vitrail.audit import advice
from vitrail.audit.suggestions import Suggestion
from vitrail.card import data_doubts
from vitrail.card.data_doubts import audit_headline, audit_section
from vitrail.config import to_json


def test_the_card_calls_findings_as_the_audit_does() -> None:
    assert (data_doubts.ACROSS, data_doubts.LABEL) == (advice.ACROSS, advice.LABEL)


def found(suggestions: list[Suggestion], accuracy: float | None) -> dict:
    counts: dict[str, int] = {}
    for one in suggestions:
        counts[one.what] = counts.get(one.what, 0) + 1
    return {
        "images": 1200,
        "leaks": counts.get(advice.ACROSS, 0),
        "counts": counts,
        "damaged": ["a.jpg: torn"],
        "cross_validated_accuracy": accuracy,
        "suggestions": to_json(suggestions),
        "sentences": ["A sentence."],
    }


def test_leaks_and_labels_are_counted_and_the_likeliest_named() -> None:
    copies = [Suggestion(n, f"{n}.jpg", "test", "cat", advice.ACROSS, "look", f"{n}0.jpg") for n in range(12)]
    labels = [Suggestion(40, "40.jpg", "train", "dog", advice.LABEL, "look", "cat")]
    section = audit_section(found([*copies, *labels], 0.9), "By some encoder.", "again", "the page")
    assert section.facts[:3] == (
        ("images that are copies of one in another split", "12 of 1,200"),
        ("suspected label errors", "1 of 1,200"),
        ("damaged images", "1"),
    )
    assert audit_headline(section) == ((section.facts[0][0], "12"), (section.facts[1][0], "1"))
    first, second = section.tables
    assert (len(first.rows), first.rows[0]) == (10, ("0.jpg", "test", "cat", "00.jpg"))
    assert "(10 of 12)" in first.title
    assert second.rows == (("40.jpg", "train", "dog", "cat"),)


def test_labels_that_could_not_be_judged_are_not_called_right() -> None:
    section = audit_section(found([], None), "By some encoder.", "again", "the page")
    assert dict(section.facts)["suspected label errors"] == "could not be looked for"
