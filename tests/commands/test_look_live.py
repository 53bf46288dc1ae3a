"""``vitrail look --live`` as a command: what it refuses, which port it takes, and how it ends."""

import dataclasses
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest

import vitrail
from tests.commands.untrained import untrained
from vitrail.cli import main
from vitrail.errors import ConfigError, MissingExtra
from vitrail.live import serve
from vitrail.live.open import HONOURED, check_live
from vitrail.settings import LookSettings

OTHER = {
    **{"out": "x", "layers": (1,), "mask_ratio": (0.5,), "masking": ("block",), "mask": "1", "seeds": (1,)},
    **{"pixel": (1, 1), "explain": "predicted", "against": "0", "method": ("chefer",), "fill": "mean", "cell": 8},
    **{"permutations": 9, "drop_outliers": True, "sanity": True},
}
"""Another value than the default for options that are not of the window."""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained(tmp_path_factory.mktemp("live") / "vit")


def complaint(capsys, *words) -> str:
    assert main(["look", *map(str, words)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1, said
    return said


def test_every_option_is_followed_by_the_window_or_refused_by_it():
    plain = LookSettings("run", live=True)
    check_live(plain)
    for field in dataclasses.fields(LookSettings):
        if field.name in HONOURED:
            continue
        value = OTHER.get(field.name, "another" if isinstance(field.default, str | None) else 7)
        with pytest.raises(ConfigError, match=f"--{field.name.replace('_', '-')} is of the figures"):
            check_live(dataclasses.replace(plain, **{field.name: value}))


@pytest.mark.parametrize(("option", "value"), [("--port", "9000"), ("--host", "0.0.0.0"), ("--no-browser", None)])
def test_options_of_the_window_are_refused_without_it(capsys, checkpoint, option, value):
    said = complaint(capsys, checkpoint, option, *([value] if value else []))
    assert "is of the live window; give --live too" in said


def test_a_detector_is_refused(capsys, tmp_path):
    said = complaint(capsys, untrained(tmp_path / "found", task="detect"), "--live", "--no-browser")
    assert "is a detector, and --live shows classifiers, encoders and masked autoencoders" in said


def test_a_segmenter_beside_a_classifier_is_refused(capsys, tmp_path, checkpoint):
    other = untrained(tmp_path / "parts", task="segment")
    assert "is a segmenter" in complaint(capsys, checkpoint, "--live", "--no-browser", "--compare", other)


def test_the_same_model_twice_is_refused(capsys, checkpoint):
    assert "is the model itself" in complaint(capsys, checkpoint, "--live", "--compare", checkpoint)
    assert "two models side by side" in complaint(capsys, checkpoint, "--live", "--compare", "second", "third")


def test_a_model_that_is_not_there_is_refused(capsys, tmp_path):
    assert "nowhere" in complaint(capsys, tmp_path / "nowhere", "--live", "--no-browser")


@pytest.mark.parametrize("port", ["0", "65536", "-1"])
def test_a_port_out_of_range_is_refused(capsys, checkpoint, port):
    assert "port must be a number from 1 to 65,535" in complaint(capsys, checkpoint, "--live", "--port", port)


def test_a_port_that_is_taken_is_refused_and_without_one_the_next_is_chosen(capsys, checkpoint, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = complaint(capsys, checkpoint, "--live", "--no-browser", "--port", str(port))
        assert f"nothing can listen at 127.0.0.1 port {port}" in said
        assert "leave --port out for the next free one" in said
        monkeypatch.setattr(serve, "FIRST_PORT", port)
        with serve.listen("127.0.0.1", None) as found:
            assert port < found.getsockname()[1] < port + serve.TRIES


def test_an_address_that_is_not_this_machines_is_refused(capsys, checkpoint):
    assert "nothing can listen at 192.0.2.1" in complaint(capsys, checkpoint, "--live", "--host", "192.0.2.1")
    assert "is no address here" in complaint(capsys, checkpoint, "--live", "--host", "no such name")


@pytest.mark.parametrize("package", ["fastapi", "uvicorn"])
def test_without_the_extra_the_exact_command_is_said(capsys, checkpoint, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra):
        vitrail.look(checkpoint, live=True)
    assert 'pip install "vitrail[serve]"' in complaint(capsys, checkpoint, "--live")


def test_under_torchrun_it_is_refused(capsys, checkpoint, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "look runs in one process; start it without torchrun" in complaint(capsys, checkpoint, "--live")


def test_it_serves_until_ctrl_c_and_ends_cleanly(checkpoint, digit_files):
    command = [sys.executable, "-m", "vitrail", "look", str(checkpoint), str(digit_files / "3"), "--live"]
    process = subprocess.Popen(
        [*command, "--no-browser", "--count", "2"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    killer = threading.Timer(120, process.kill)
    killer.start()
    said = ""
    try:
        assert process.stdout is not None
        while "Ctrl-C" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        found = re.search(r"http://127\.0\.0\.1:\d+/", said)
        assert found, said
        with urllib.request.urlopen(f"{found[0]}api/session") as answer:
            assert answer.read().count(b'"label"') == 2
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
    finally:
        killer.cancel()
        process.kill()
    assert process.returncode == 0, rest
    assert rest.strip() == "the live window is closed"
    assert not (checkpoint / "look").exists()
