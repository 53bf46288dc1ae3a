import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from vitrail.visualize.report import Section, Table, cell, flattened, is_number, write_report

HOSTILE = '"><script>alert(1)</script><img src="http://evil.example/x.png" onerror=alert(1)>\'{{ 7 * 7 }}'


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def written(tmp_path, **parts) -> str:
    return write_report(tmp_path / "new" / "report.html", **{"title": "A run", **parts}).read_text(encoding="utf-8")


def everything(text: str) -> dict:
    return {
        "title": text,
        "subtitle": text,
        "facts": [(text, text)],
        "images": [(f"{text}\n{text}", Image.new("RGB", (4, 4), "red"))],
        "tables": [Table(text, [text, text], [[text, 1.5]])],
        "sections": [Section(text, text), Section(text, {text: {text: text}}, folded=True)],
        "next_steps": [f"{text}  # {text}"],
    }


def test_hostile_text_stays_text(tmp_path):
    page = written(tmp_path, **everything(HOSTILE))
    tags = Tags()
    tags.feed(page)
    assert not [tag for tag, _ in tags.found if tag == "script"]
    assert not [name for _, attributes in tags.found for name in attributes if name.startswith("on")]
    assert [attributes["src"][:10] for tag, attributes in tags.found if tag == "img"] == ["data:image"]
    assert "49" not in page.replace(HOSTILE, "")
    assert page.count("&lt;script&gt;") >= 10


def test_the_page_asks_the_network_for_nothing(tmp_path):
    page = written(tmp_path, **everything("text"))
    assert "://" not in page
    assert "url(" not in page
    assert "@import" not in page
    tags = Tags()
    tags.feed(page)
    assert not {tag for tag, _ in tags.found} & {"script", "link", "iframe", "object", "base", "form"}
    policy = next(attributes["content"] for _, attributes in tags.found if "http-equiv" in attributes)
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_every_part_is_there_in_reading_order(tmp_path):
    page = written(
        tmp_path,
        subtitle="part 0",
        facts=[("part 1", "0.9")],
        images=[("part 2", Image.new("L", (4, 4)))],
        tables=[Table("part 3", ["class", "accuracy"], [["cat", 0.51239]])],
        sections=[Section("part 4", {"optim": {"lr": 1e-3}})],
        next_steps=["vitrail part5  # why"],
    )
    places = [page.index(f"part {i}") for i in range(5)] + [page.index("vitrail part5")]
    assert places == sorted(places)
    assert "0.5124" in page
    assert "optim.lr" in page


def test_file_names_of_another_encoding_can_be_written(tmp_path):
    assert "caf?" in written(tmp_path, title="caf\udce9")


def test_empty_parts_leave_no_heading_behind(tmp_path):
    assert "<h2>" not in written(tmp_path)


def test_small_images_come_through_bit_by_bit(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    file = tmp_path / "image.png"
    Image.fromarray(pixels).save(file)
    page = written(tmp_path, images=[("from memory", Image.fromarray(pixels)), ("from a file", file)])
    sources = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert len(sources) == 2
    for source in sources:
        assert np.array_equal(np.array(Image.open(io.BytesIO(base64.b64decode(source)))), pixels)


def test_large_photographs_are_packed_tighter(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (600, 600, 3), dtype=np.uint8)
    assert "data:image/webp;base64," in written(tmp_path, images=[("noise", Image.fromarray(noise))])


def test_an_image_that_is_too_long_for_one_format_is_written_in_another(tmp_path):
    noise = np.random.default_rng(5).integers(0, 256, (17_000, 40, 3), dtype=np.uint8)
    page = written(tmp_path, images=[("noise", Image.fromarray(noise))])
    (source,) = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    assert Image.open(io.BytesIO(base64.b64decode(source))).size == (40, 17_000)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "none"),
        (True, "yes"),
        (0.123456, "0.1235"),
        (1e-6, "1e-06"),
        (1234, "1234"),
        (86567656, "86,567,656"),
        ((0.9, 0.999), "0.9, 0.999"),
        ([], "none"),
        ("text", "text"),
    ],
)
def test_cells_read_well(value, text):
    assert cell(value) == text


def test_numbers_are_told_from_words():
    assert [is_number(value) for value in (1, 0.5, "+11.2", "89 %", "cat", "", True, None)] == [
        True, True, True, True, False, False, False, False,
    ]  # fmt: skip


def test_nested_settings_get_dotted_names():
    assert flattened({"a": {"b": {"c": 1}, "d": 2}, "e": {}}) == [("a.b.c", 1), ("a.d", 2), ("e", {})]


def test_figures_that_are_no_numbers_and_long_names_do_not_break_the_page(tmp_path):
    name = "n" * 5000
    rows = [[name, float("nan")], ["b", None], ["c", float("inf")]]
    page = written(
        tmp_path, title=name, facts=[("loss", "-")], tables=[Table("t", ["class", "loss"], rows)],
        sections=[Section("s", {"classes": [f"class {n}" for n in range(2000)], "rate": float("nan")})],
    )  # fmt: skip
    assert name not in page
    assert "nan</td>" not in page
    assert "inf</td>" not in page
    assert "class 49, and 1,950 more" in page
