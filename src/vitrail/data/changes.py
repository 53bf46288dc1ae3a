"""What became of a run's images: which of those that are there now it learned from, and which it held out.

An image is the same as long as its content is; where several have the same content, their names tell them apart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from vitrail.data.image_list import GONE, LEARNED_FROM, TEST, TRAIN, UNUSED, VALIDATION, ImageList
from vitrail.errors import DataError

NAMED = 3
"""So many images of each kind of change are named."""

SAID = {
    "added": "added (left out of this run)",
    "removed": "removed",
    "renamed": "renamed or moved",
    "replaced": "replaced by other content under the same name",
    "relabelled": "given other labels",
    "resplit": "moved to another split (each stays in the one it was in)",
}
"""Each kind of change, as it is said after a number of images."""


@dataclass
class Changes:
    """What differs between a run's images and those that are there now.

    Attributes:
        splits: for each image that is there now the split it belongs to in this run, None where it is left out.
        kinds: for each key of `SAID` the images' names.
        images: the list that the run goes on with.
    """

    splits: list[str | None]
    images: ImageList
    kinds: dict[str, list[str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return any(self.kinds.values())

    def __str__(self) -> str:
        """Say what has changed, in one sentence without an end."""
        said = [f"{len(names):,} {SAID[kind]}: {_some(names)}" for kind, names in self.kinds.items() if names]
        return "; ".join(said)


def compare(known: ImageList, now: ImageList) -> Changes:
    """Find each image of a run among those that are there now.

    Args:
        known: the run's images.
        now: those that are there now, in the splits that the data have (all in "train" where they have none).
    """
    found = _partners(known, now)
    kinds: dict[str, list[str]] = {kind: [] for kind in SAID}
    splits: list[str | None] = []
    contents = set(known.prints)
    for place, partner in enumerate(found):
        name = now.names[place]
        if partner is None:
            kinds["added"].append(name)
            splits.append(None)
            continue
        split = TRAIN if known.splits[partner] == GONE else known.splits[partner]
        if known.prints[partner] != now.prints[place]:
            kinds["replaced"].append(name)
            # What is known is learned from or held out under its own name.
            splits.append(None if now.prints[place] in contents else split)
            continue
        splits.append(split)
        if known.names[partner] != name:
            kinds["renamed"].append(name)
        if known.labels[partner] != now.labels[place]:
            kinds["relabelled"].append(name)
        if now.splits[place] != _split_of_data(split, known.chosen_by_seed):
            kinds["resplit"].append(name)
    there = {partner for partner in found if partner is not None}
    lost = [place for place in range(len(known)) if place not in there]
    kinds["removed"] = [known.names[place] for place in lost if known.splits[place] != GONE]
    return Changes(splits, _list_from_now_on(known, now, found, splits), kinds)


def seen_as(known: ImageList, now: ImageList) -> list[str | None]:
    """Return what each image was to a run, one of `SPLITS` but "gone"; None for those the run has never seen.

    Of several images of the same content the name tells which it is, else its split in the data; where neither does,
    it counts as learned from if any of them is.

    Args:
        known: the run's images.
        now: any images, in the splits that their data have.
    """
    exact: dict[tuple[str, int], str] = {}
    by_content: dict[int, set[str]] = defaultdict(set)
    for name, content, split in zip(known.names, known.prints, known.splits, strict=True):
        split = TRAIN if split in LEARNED_FROM else split
        if exact.get((name, content)) != TRAIN:
            exact[name, content] = split
        by_content[content].add(split)
    rows = zip(now.names, now.prints, now.splits, strict=True)
    return [exact.get((name, p)) or _one_of(by_content.get(p, set()), split) for name, p, split in rows]


def check_classes(known: Sequence[str], now: Sequence[str], run: str, data: str) -> None:
    """Refuse data whose classes are not those of a run.

    Raises:
        DataError: they are others, or stand in another order; says which are new and which are missing.
    """
    if tuple(known) == tuple(now):
        return
    new, missing = ([name for name in one if name not in other] for one, other in ((now, known), (known, now)))
    what = [f"{_some(map(repr, new))} {'is' if len(new) == 1 else 'are'} new"] if new else []
    what += [f"{_some(map(repr, missing))} {'is' if len(missing) == 1 else 'are'} missing"] if missing else []
    how = " and ".join(what) or f"they stand in another order ({', '.join(now[:5])}; before {', '.join(known[:5])})"
    raise DataError(
        f"{run} was begun with other classes: it has {len(known)}, {data} has {len(now)}: {how}; "
        "give another --out to train anew, or the classes as they were to go on"
    )


def _some(names: object) -> str:
    names = list(names)  # type: ignore[call-overload]
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"


def _partners(known: ImageList, now: ImageList) -> list[int | None]:
    """Return for each image now its place in the run's list: by name and content, by content, else by name."""
    exact: dict[tuple[str, int], list[int]] = defaultdict(list)
    for place in reversed(range(len(known))):
        exact[known.names[place], known.prints[place]].append(place)
    found: list[int | None] = [
        places.pop() if (places := exact.get(key)) else None for key in zip(now.names, now.prints, strict=True)
    ]
    taken = {place for place in found if place is not None}
    by_content, by_name = defaultdict(list), {}
    for place in reversed(range(len(known))):
        if place not in taken:
            by_content[known.prints[place]].append(place)
            by_name[known.names[place]] = place
    for number, place in enumerate(found):
        if place is None and (places := by_content.get(now.prints[number])):
            found[number] = _take(places, known, now.splits[number])
            by_name.pop(known.names[found[number]], None)  # type: ignore[index]
    return [by_name.pop(now.names[number], None) if place is None else place for number, place in enumerate(found)]


def _take(places: list[int], known: ImageList, split: str) -> int:
    """Take one of several images of the same content: one of the same split if possible."""
    best = next((place for place in reversed(places) if known.splits[place] == split), places[-1])
    places.remove(best)
    return best


def _split_of_data(split: str, chosen_by_seed: bool) -> str:
    """Return in which split of the data an image of one of a run's splits lies."""
    return TRAIN if split == UNUSED or (split == VALIDATION and chosen_by_seed) else split


def _one_of(splits: set[str], split: str) -> str | None:
    if split in splits:
        return split
    return next((one for one in (TRAIN, VALIDATION, TEST, UNUSED) if one in splits), None)


def _list_from_now_on(known: ImageList, now: ImageList, found: list[int | None], splits: list[str | None]) -> ImageList:
    """List what the run goes on with, and what it has learned from that is no longer there."""
    kept = [place for place, split in enumerate(splits) if split is not None]
    same = {p for place, p in enumerate(found) if p is not None and known.prints[p] == now.prints[place]}
    gone = [place for place in range(len(known)) if place not in same and known.splits[place] in LEARNED_FROM]

    def both(name: str) -> tuple:
        own, old = getattr(now, name), getattr(known, name)
        return (*(own[place] for place in kept), *(old[place] for place in gone))

    return replace(
        known,
        names=both("names"),
        prints=both("prints"),
        labels=both("labels"),
        splits=(*(splits[place] or TRAIN for place in kept), *[GONE] * len(gone)),
    )
