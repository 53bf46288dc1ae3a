"""The server of the window: an answer to everything, one sentence to what cannot be, and memory that stays flat."""

import base64
import gc
import io
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest
from PIL import Image

from tests.live.conftest import noise_file
from vitrail.live.server import MOST_ASKED, MOST_BYTES, PAGE
from vitrail.live.worker import Worker

FLAT = 40e6
"""Bytes by which memory may differ from one measurement to the next: what the allocator keeps."""


def values_of(drawn):
    return np.frombuffer(base64.b64decode(drawn["values"]), "<f4").reshape(drawn["shape"])


def test_painting_changes_the_prediction_and_says_what_it_was(window, serve):
    client = serve(window("vit"))
    key = client.open(noise_file())
    _, whole = client.ask("POST", "/api/answer", {"image": key})
    _, less = client.ask("POST", "/api/answer", {"image": key, "hidden": [0, 1, 2, 3, 8]})
    before = {one["label"]: one["now"] for one in whole["prediction"]["classes"]}
    for one in less["prediction"]["classes"]:
        assert one["before"] == pytest.approx(before[one["label"]])
    assert any(one["now"] != one["before"] for one in less["prediction"]["classes"])
    assert all(one["now"] == one["before"] for one in whole["prediction"]["classes"])


@pytest.mark.parametrize("view", ["attention", "rollout", "similarity", "explanation"])
@pytest.mark.parametrize("name", ["vit", "mean", "swin", "bit", "hybrid"])
def test_every_view_of_every_model_is_a_map_or_a_sentence(window, serve, name, view):
    client = serve(window(name))
    asked = {"image": client.open(noise_file()), "view": view, "hidden": [0, 3], "layer": 0}
    asked |= {"patch": 5} if view == "similarity" else {}
    if name == "bit":
        asked["method"] = "grad-cam"
    status, said = client.ask("POST", "/api/answer", asked)
    assert status == 200
    facts = client.ask("GET", "/api/session")[1]["models"][0]["views"][view]
    if facts.get("missing"):
        assert "no attention" in facts["missing"]
        assert "map" not in said
        assert said["note"]
    elif said["note"]:
        assert "single place" in said["note"]  # Grad-CAM on the last map of 32 pixels
    else:
        assert np.isfinite(values_of(said["map"])).any()
        assert said["prediction"]
    if view == "attention" and "map" in said:
        _, of_patch = client.ask("POST", "/api/answer", asked | {"patch": 5})
        assert of_patch["map"]["shape"] == said["map"]["shape"]
        assert of_patch["map"]["values"] != said["map"]["values"]


def test_a_masked_autoencoder_fills_in_what_is_painted_away(window, serve):
    client = serve(window("mae"))
    key = client.open(noise_file())
    _, mask = client.ask("POST", "/api/mask", {"ratio": 0.5, "seed": 3})
    assert len(mask["hidden"]) == 8
    assert client.ask("POST", "/api/mask", {"ratio": 0.5, "seed": 3})[1] == mask
    assert client.ask("POST", "/api/mask", {"ratio": 0.5, "seed": 4})[1] != mask
    asked = {"image": key, "hidden": mask["hidden"], "view": "reconstruction"}
    _, said = client.ask("POST", "/api/answer", asked)
    drawn = Image.open(io.BytesIO(base64.b64decode(said["drawing"].partition(",")[2])))
    shown = Image.open(io.BytesIO(client.ask("GET", f"/api/images/{key}/0.png")[1]))
    kept = np.ones((4, 4), dtype=bool)
    kept.flat[mask["hidden"]] = False
    kept = kept.repeat(8, axis=0).repeat(8, axis=1)
    apart = np.abs(np.asarray(drawn, dtype=int) - np.asarray(shown, dtype=int)).max(axis=2)
    assert apart[kept].max() == 0
    assert apart[~kept].max() > 0
    assert said["prediction"] is None
    assert said["difference"] > 0
    _, none = client.ask("POST", "/api/answer", {"image": key, "view": "reconstruction"})
    assert "paint some patches away" in none["note"]


def test_leave_one_out_comes_in_parts(window, serve):
    client = serve(window("vit"))
    asked = {"image": client.open(noise_file()), "label": 1, "hidden": [0]}
    _, both = client.ask("POST", "/api/removal", asked | {"cells": [4, 5, 6]})
    _, one = client.ask("POST", "/api/removal", asked | {"cells": [5]})
    assert both["falls"][1] == pytest.approx(one["falls"][0], abs=1e-6)


@pytest.mark.parametrize(
    ("path", "asked", "sentence"),
    [
        ("/api/answer", {"hidden": [99]}, "there is no patch 99; they go from 0 to 15"),
        ("/api/answer", {"model": 2}, "there is no model 2; this window has 1, counted from 0"),
        ("/api/answer", {"image": "none"}, "this image is no longer held; open it again"),
        ("/api/answer", {"view": "beauty"}, "view"),
        ("/api/answer", {"colour": "red"}, "AnswerRequest has no setting 'colour'"),
        ("/api/answer", {"hidden": ["a"]}, "hidden"),
        ("/api/removal", {"cells": []}, "1 to 64 patches are removed one by one in a request, not 0"),
        ("/api/removal", {"cells": [1], "label": 3}, "there is no class 3; this model's classes go from 0 to 2"),
        ("/api/removal", {"cells": [1], "hidden": [1]}, "a cell that is painted away cannot be removed once more"),
    ],
)
def test_what_cannot_be_asked_is_answered_by_one_sentence(window, serve, path, asked, sentence):
    client = serve(window("vit"))
    status, said = client.ask("POST", path, {"image": client.open(noise_file())} | asked)
    assert 400 <= status < 500
    assert sentence in said["error"]
    assert "\n" not in said["error"]


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"view": "attention", "layer": 2}, "there is no layer 2; this model's go from 0 to 1, or -1 to -2"),
        ({"view": "explanation", "label": 3}, "there is no class 3; this model's classes go from 0 to 2"),
        ({"view": "similarity"}, "point at a patch"),
        ({"view": "similarity", "patch": 16}, "there is no patch 16"),
        ({"view": "similarity", "patch": 1, "hidden": [1]}, "this patch is painted away"),
        ({"view": "reconstruction"}, "reconstructions are a masked autoencoder's"),
        ({"view": "attention", "hidden": list(range(16))}, "every patch is painted away"),
    ],
)
def test_a_view_without_a_meaning_is_a_sentence_beside_the_prediction(window, serve, asked, sentence):
    client = serve(window("vit"))
    status, said = client.ask("POST", "/api/answer", {"image": client.open(noise_file())} | asked)
    assert status == 200
    assert sentence in said["note"]
    assert len(said["prediction"]["classes"]) == 3
    assert "map" not in said


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"ratio": 0.0}, "mask_ratio must lie between 0 and 1"),
        ({"ratio": 1.2}, "mask_ratio must lie between 0 and 1"),
        ({"ratio": 0.99}, "leaves 0 of 16 patches visible"),
        ({"masking": "grid", "ratio": 0.5}, "its mask_ratio is 0.75"),
        ({"seed": -1}, "the seed must be a whole number from 0"),
    ],
)
def test_a_mask_that_cannot_be_is_refused(window, serve, asked, sentence):
    status, said = serve(window("mae")).ask("POST", "/api/mask", asked)
    assert status == 400
    assert sentence in said["error"]


def broken():
    return noise_file(kind="JPEG")[:400]


@pytest.mark.parametrize("content", [b"", b"this is a text file\n" * 9, broken(), b"GIF89a", b"\x89PNG\r\n\x1a\n"])
def test_a_file_that_is_no_image_is_answered_by_one_sentence(window, serve, content):
    status, said = serve(window("vit")).ask("POST", "/api/images", content, x_name="notes.txt")
    assert status == 415
    assert said["error"].startswith("notes.txt: ")
    assert "\n" not in said["error"]


def test_an_image_of_20_megabytes_is_opened_and_its_name_is_kept_without_folders(window, serve):
    content = noise_file(3000, 2300)
    assert len(content) > 20e6
    client = serve(window("vit"))
    status, said = client.ask("POST", "/api/images", content, x_name="C%3A%5Cphotos%5Cgro%C3%9F.png")
    assert status == 200
    assert said["name"] == "groß.png"
    assert said["size"] == [3000, 2300]


def test_more_bytes_than_are_taken_are_refused(window, serve):
    client = serve(window("vit"))
    status, said = client.ask("POST", "/api/images", b"", content_length=str(MOST_BYTES + 1))
    assert status == 413
    assert said["error"] == "more than 100 MB are not taken; send a smaller file"
    status, said = client.ask("POST", "/api/answer", b" " * (MOST_ASKED + 1))
    assert status == 413
    assert "more than 1 MB" in said["error"]


def test_ten_requests_at_once_get_an_answer_each_and_memory_stays_flat(window, serve):
    client = serve(window("vit"))
    key = client.open(noise_file())

    def ask(number):
        hidden = sorted({number % 16, number // 16 % 16, 5 * number % 16})
        view = ["image", "attention", "rollout", "similarity", "explanation"][number % 5]
        if number % 7 == 0:
            client.open(noise_file(200, 200, seed=number))
        asked = {"image": client.open(noise_file()), "hidden": hidden, "view": view, "patch": 9}
        return client.ask("POST", "/api/answer", asked)

    with ThreadPoolExecutor(10) as threads:
        first = list(threads.map(ask, range(100)))
        gc.collect()
        before = psutil.Process().memory_info().rss
        rest = list(threads.map(ask, range(100, 400)))
    gc.collect()
    assert [status for status, _ in (*first, *rest)] == [200] * 400
    assert psutil.Process().memory_info().rss - before < FLAT
    assert client.ask("POST", "/api/answer", {"image": key})[0] in (200, 410)


def test_of_one_page_only_the_newest_request_is_computed(window, serve):
    session = window("vit")
    entered, go_on = threading.Event(), threading.Event()
    client, answer = serve(session), session.answer
    key, computed = client.open(noise_file()), []

    def slow(asked):
        computed.append(asked.number)
        entered.set()
        go_on.wait(30)
        return answer(asked)

    session.answer = slow

    def ask(number):
        return client.ask("POST", "/api/answer", {"image": key, "client": "page", "number": number})[1]

    with ThreadPoolExecutor(4) as threads:
        first = threads.submit(ask, 1)
        assert entered.wait(30)
        later = [threads.submit(ask, number) for number in (2, 3, 4)]
        time.sleep(0.5)  # until all three wait
        go_on.set()
        said = [one.result() for one in (first, *later)]
    assert "prediction" in said[0]
    assert said[1:3] == [{"stale": True}] * 2
    assert "prediction" in said[3]
    assert computed == [1, 4]


def test_the_page_is_whole_and_names_no_other_address(window, serve):
    client = serve(window("vit"))
    for name, (_, kind) in PAGE.items():
        status, content = client.ask("GET", f"/{name}")
        assert status == 200, name
        text = content.decode().replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in text
        assert "https:" not in text
        assert "url(" not in text
        assert kind.partition(";")[0] != "text/html" or "style=" not in text
    assert client.ask("GET", "/../server.py")[0] == 404
    assert client.ask("GET", "/docs")[0] == 404
    assert client.ask("GET", "/openapi.json")[0] == 404


def test_strangers_are_refused_before_anything_is_read(window, serve):
    client = serve(window("vit"))
    assert client.ask("GET", "/", host="evil.example")[0] == 403
    assert client.ask("POST", "/api/images", noise_file(), origin="http://evil.example")[0] == 403


def test_a_fault_is_answered_and_the_window_goes_on(window, serve, capsys):
    session = window("vit")
    client = serve(session)
    key, answer = client.open(noise_file()), session.answer

    def fails(asked):
        raise RuntimeError("something inside")

    session.answer = fails
    status, said = client.ask("POST", "/api/answer", {"image": key})
    assert status == 500
    assert "RuntimeError" in said["error"]
    session.answer = answer
    assert client.ask("POST", "/api/answer", {"image": key})[0] == 200


def test_a_worker_refuses_more_than_can_wait(monkeypatch):
    import asyncio

    from vitrail.live import worker as module

    monkeypatch.setattr(module, "MOST_WAITING", 2)

    async def crowd():
        worker, go_on = Worker("crowded"), threading.Event()
        waiting = [asyncio.create_task(worker.run(go_on.wait)) for _ in range(2)]
        await asyncio.sleep(0.1)
        try:
            with pytest.raises(module.Busy, match="2 requests wait already"):
                await worker.run(lambda: None)
        finally:
            go_on.set()
        assert await asyncio.gather(*waiting) == [True, True]
        worker.close()

    asyncio.run(crowd())
