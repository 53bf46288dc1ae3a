"""The page in Chromium, as a person uses it: what is painted changes the answer, and nothing leaves the machine."""

from __future__ import annotations

import io
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.live.conftest import noise_file
from vitrail.data.item import DecodedItem
from vitrail.live.images import Sample
from vitrail.live.session import Session

pytestmark = pytest.mark.browser

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PATIENCE = 60_000
"""Milliseconds: the machine may be busy with other tests."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


class Visit:
    """A page of a window that is open in Chromium, with all it asked for and complained of."""

    def __init__(self, browser: Any, port: int, **options: Any) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1200, "height": 900}, **options})
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.requests: list[str] = []
        self.faults: list[str] = []
        self.context.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", lambda said: self.faults.append(said.text) if said.type == "error" else None)
        self.origin = f"http://127.0.0.1:{port}/"
        self.page.goto(self.origin)

    def quiet(self) -> None:
        """Wait until nothing is asked any more and every canvas shows the newest answer."""
        self.page.wait_for_selector(".card")
        self.until("!document.querySelector('.stage.waits')")

    def until(self, expression: str) -> None:
        """Wait until something is true; Playwright's own way is against the page's policy, which stays in force."""
        end = time.monotonic() + PATIENCE / 1000
        while not self.page.evaluate(expression):
            assert time.monotonic() < end, expression
            self.page.wait_for_timeout(20)

    def figures(self, card: int = 0) -> list[str]:
        """What the bars of a card say."""
        return (
            self.page.locator(".card")
            .nth(card)
            .locator(".classes button")
            .evaluate_all("rows => rows.map(row => row.getAttribute('aria-label'))")
        )

    def painted(self) -> str:
        return self.page.inner_text("#painted")

    def stroke(self, start: tuple[float, float], end: tuple[float, float], card: int = 0) -> None:
        """Draw with the mouse from one place of the image to another, each in [0, 1]."""
        canvas = self.page.locator(".card canvas[role=application]").nth(card)
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end)]
        self.page.mouse.move(*places[0])
        self.page.mouse.down()
        self.page.mouse.move(*places[1], steps=6)
        self.page.mouse.up()
        self.quiet()


@pytest.fixture
def visit(browser, serve) -> Iterator[Any]:
    visits = []

    def opened(session: Session, **options: Any) -> Visit:
        visits.append(Visit(browser, serve(with_samples(session)).port, **options))
        visits[-1].quiet()
        return visits[-1]

    yield opened
    for one in visits:
        assert one.faults == []
        assert [url for url in one.requests if not url.startswith((one.origin, "data:"))] == []
        assert len(one.requests) > 5
        one.context.close()


def with_samples(session: Session) -> Session:
    def image(seed: int) -> Image.Image:
        return Image.open(io.BytesIO(noise_file(seed=seed)))

    samples = [Sample(DecodedItem(f"sample {n}", image(n)), f"sample {n}", f"class {n}") for n in (1, 2)]
    return Session(session.models, samples)


def test_painting_changes_the_prediction_and_undo_brings_it_back(window, visit):
    one = visit(window("vit"))
    whole = one.figures()
    assert one.painted() == "0 of 16 patches painted away (0.0 %)"
    one.stroke((0.1, 0.1), (0.9, 0.1))
    assert one.painted() == "4 of 16 patches painted away (25.0 %)"
    less = one.figures()
    assert less != whole
    one.page.click("#undo")
    one.quiet()
    assert one.figures() == whole
    one.page.click("#redo")
    one.quiet()
    assert one.figures() == less
    one.page.click("#invert")
    one.quiet()
    assert one.painted().startswith("12 of 16")
    one.page.click("#clear")
    one.quiet()
    assert one.figures() == whole


def test_a_second_stroke_over_painted_patches_restores_them(window, visit):
    one = visit(window("vit"))
    one.stroke((0.1, 0.1), (0.9, 0.1))
    one.stroke((0.9, 0.1), (0.6, 0.1))
    assert one.painted().startswith("2 of 16")


def test_the_keyboard_alone_paints_and_looks_round(window, visit):
    one = visit(window("vit"))
    page = one.page
    page.focus(".card canvas[role=application]")
    for key in ("ArrowLeft", "ArrowLeft", " ", "ArrowRight", " "):
        page.keyboard.press(key)
    one.quiet()
    assert one.painted().startswith("2 of 16")
    page.keyboard.press("u")
    one.quiet()
    assert one.painted().startswith("1 of 16")
    page.keyboard.press("i")
    one.quiet()
    assert one.painted().startswith("15 of 16")
    page.keyboard.press("c")
    one.quiet()
    assert one.painted().startswith("0 of 16")
    page.focus("#views [aria-checked=true]")
    page.keyboard.press("ArrowRight")
    one.quiet()
    assert page.inner_text("#views [aria-checked=true]") == "Attention"
    assert page.is_visible(".legend")


def test_everything_that_can_be_used_has_a_name_and_is_reached_by_the_tab_key(window, visit):
    one = visit(window("vit", "mae"))
    for view in ("attention", "explanation", "reconstruction"):
        one.page.click(f"#views [data-view={view}]")
        one.quiet()
        nameless = one.page.evaluate(
            """() => [...document.querySelectorAll('button, input, select, canvas[role=application]')].filter(one =>
                one.checkVisibility() && !(one.getAttribute('aria-label') || one.innerText || one.labels?.length))
                .map(one => one.outerHTML)"""
        )
        assert nameless == []
    reached = set()
    for _ in range(60):
        one.page.keyboard.press("Tab")
        reached.add(one.page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    assert {"choose", "CANVAS", "ratio", "help-button", "theme"} <= reached


@pytest.mark.parametrize("view", ["attention", "rollout", "similarity", "explanation"])
def test_each_view_draws_over_the_image(window, visit, view):
    one = visit(window("vit"))
    page = one.page
    plain = picture(page)
    page.click(f"#views [data-view={view}]")
    one.quiet()
    page.hover(".card canvas[role=application]")
    one.quiet()
    page.mouse.move(2, 2)
    one.quiet()
    assert page.is_visible(".legend")
    assert picture(page) != plain


def picture(page: Any) -> str:
    return page.evaluate("document.querySelector('canvas[role=application]').toDataURL()")


def test_attention_follows_the_patch_that_is_pointed_at(window, visit):
    one = visit(window("vit"))
    page = one.page
    page.click("#views [data-view=attention]")
    page.select_option("#from-0", "patch")
    one.quiet()
    assert "Point at a patch" in page.inner_text(".note")
    drawn = []
    for x in (20, 300):
        page.hover(".card canvas[role=application]", position={"x": x, "y": 30})
        one.quiet()
        assert page.inner_text(".note") == ""
        page.mouse.move(2, 2)
        one.quiet()
        drawn.append(picture(page))
    assert drawn[0] != drawn[1]


def test_leave_one_out_is_computed_when_asked_and_forgotten_when_painted(window, visit):
    one = visit(window("vit"))
    page = one.page
    page.click("#views [data-view=explanation]")
    page.select_option("#method-0", "leave-one-out")
    one.quiet()
    page.click("text=Remove each patch alone")
    one.until("document.querySelector('progress').hidden")
    one.quiet()
    assert "fall of the log probability" in page.inner_text(".legend")
    one.stroke((0.1, 0.1), (0.2, 0.1))
    assert not page.is_visible(".legend")


def test_a_class_is_explained_when_it_is_clicked_and_one_that_is_not_there_is_refused(window, visit):
    one = visit(window("vit"))
    page = one.page
    row = page.locator(".classes button").nth(1)
    label = row.get_attribute("data-label")
    row.click()
    one.quiet()
    assert page.locator(".classes [aria-pressed=true]").get_attribute("data-label") == label
    assert page.input_value("#class-0") == f"class {label}"
    page.fill("#class-0", "unicorn")
    page.keyboard.press("Enter")
    assert "There is no class “unicorn”" in page.inner_text(".note")


def test_a_masked_autoencoder_shows_what_it_fills_in_at_any_ratio(window, visit):
    one = visit(window("mae"))
    page = one.page
    assert one.painted().startswith("12 of 16")
    first = picture(page)
    page.fill("#ratio", "50")
    one.quiet()
    one.until("document.getElementById('painted').innerText.startsWith('8 of 16')")
    one.quiet()
    second = picture(page)
    assert second != first
    page.fill("#seed", "7")
    page.keyboard.press("Enter")
    one.until(f"document.querySelector('canvas[role=application]').toDataURL() !== {second!r}")
    one.quiet()
    assert picture(page) not in (first, second)
    assert "differ from the original by" in page.inner_text(".note")
    assert "knows no classes" in page.inner_text(".card")


def test_two_models_see_the_same_paint_and_each_says_what_it_lacks(window, visit):
    one = visit(window("vit", "bit"))
    whole = one.figures(0), one.figures(1)
    one.stroke((0.1, 0.1), (0.9, 0.4), card=1)
    assert one.figures(0) != whole[0]
    assert one.figures(1) != whole[1]
    assert not one.painted().startswith("0 of")
    one.page.click("#views [data-view=attention]")
    one.quiet()
    assert one.page.locator(".card").nth(1).locator(".note").inner_text() == "This model has no attention."
    assert one.page.locator(".card").nth(0).locator(".legend").is_visible()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"only some text, and no image", "notes.bin: "),
        (noise_file(kind="JPEG")[:300], "notes.bin: "),
        (noise_file(3000, 2300), "3000\u00d72300 pixels"),
    ],
    ids=["text", "broken", "20 MB"],
)
def test_any_file_is_answered(window, visit, content, said):
    one = visit(window("vit"))
    one.page.set_input_files("#file", {"name": "notes.bin", "mimeType": "application/octet-stream", "buffer": content})
    one.until(f"document.body.innerText.includes({said!r})")
    one.quiet()
    assert one.page.is_visible("#problem") == (said == "notes.bin: ")
    one.faults[:] = [fault for fault in one.faults if "415" not in fault]  # Chromium notes every refusal


@pytest.mark.parametrize(("event", "holder"), [("drop", "dataTransfer"), ("paste", "clipboardData")])
def test_an_image_is_opened_that_is_dragged_onto_the_page_or_pasted(window, visit, event, holder):
    one = visit(window("vit"))
    before = picture(one.page)
    one.page.evaluate(
        """([bytes, event, holder]) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], 'a-very-long-name-' + 'x'.repeat(90) + '.png'));
            const happens = new Event(event, {bubbles: true, cancelable: true});
            happens[holder] = data;
            document.body.dispatchEvent(happens);
        }""",
        [list(noise_file(40, 30, 99)), event, holder],
    )
    one.until("document.body.innerText.includes('40\u00d730 pixels')")
    one.quiet()
    assert picture(one.page) != before
    assert "\u2026" in one.page.inner_text("#opened")


def test_an_image_that_others_have_displaced_is_opened_again(window, visit, monkeypatch):
    one = visit(window("vit"))
    for seed in range(30):
        status = one.page.evaluate(
            "async bytes => (await fetch('api/images', {method: 'POST', body: new Uint8Array(bytes)})).status",
            list(noise_file(8, 8, seed)),
        )
        assert status == 200
    whole = one.figures()
    one.stroke((0.1, 0.1), (0.9, 0.1))
    assert one.figures() != whole
    one.faults[:] = [fault for fault in one.faults if "410" not in fault]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("names", [("vit",), ("vit", "mae"), ("swin", "bit")])
def test_on_a_phone_nothing_is_wider_than_the_screen_and_text_is_legible(window, visit, names, scheme):
    one = visit(window(*names), viewport={"width": 390, "height": 844}, color_scheme=scheme, has_touch=True)
    page = one.page
    for view in page.locator("#views button").all():
        view.click()
        one.quiet()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.click("#help-button")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for name in ("--ink", "--quiet", "--accent", "--up", "--down", "--bad"):
        assert contrast(colour(page, name), colour(page, "--panel")) >= 4.5, name
    assert contrast(colour(page, "--accent-ink"), colour(page, "--accent")) >= 4.5


def colour(page: Any, name: str) -> tuple[int, ...]:
    text = page.evaluate(f"getComputedStyle(document.documentElement).getPropertyValue('{name}')").strip()
    return tuple(int(text[n : n + 2], 16) for n in (1, 3, 5))


def contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    """WCAG 2.2, section 1.4.3: (lighter + 0.05) / (darker + 0.05) of the relative luminances."""

    def luminance(rgb: tuple[int, ...]) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in np.array(rgb) / 255]
        return float(np.dot([0.2126, 0.7152, 0.0722], linear))

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_theme_can_be_chosen_and_is_remembered(window, visit):
    one = visit(window("vit"), color_scheme="light")
    page = one.page
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.click("#theme")
    page.click("#theme")
    assert page.inner_text("#theme") == "Theme: dark"
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert dark != light
    page.reload()
    one.quiet()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark


def test_the_pages_files_are_part_of_the_package():
    import vitrail.live

    folder = Path(vitrail.live.__file__).parent / "page"
    assert {path.name for path in folder.iterdir()} >= {"index.html", "style.css", "main.js", "icon.svg"}
