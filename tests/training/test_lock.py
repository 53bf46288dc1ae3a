"""A run folder belongs to one run at a time."""

import multiprocessing
import os
from pathlib import Path

import pytest

from tests.support.forks import PATIENCE
from vitrail.errors import TrainingError
from vitrail.training.lock import sole_user

forking = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def _try(folder: Path, answers) -> None:
    try:
        with sole_user(folder, main=True):
            answers.put("held")
    except TrainingError as error:
        answers.put(str(error))


def _elsewhere(folder: Path) -> str:
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    process = context.Process(target=_try, args=(folder, answers))
    process.start()
    answer = answers.get(timeout=PATIENCE)
    process.join()
    return answer


@forking
def test_a_second_run_in_the_same_folder_is_refused_and_told_who_holds_it(tmp_path):
    with sole_user(tmp_path / "run", main=True):
        answer = _elsewhere(tmp_path / "run")
    assert f"in use by another run (process {os.getpid()})" in answer
    assert "--out" in answer


@forking
def test_a_folder_is_free_again_when_its_run_has_ended(tmp_path):
    with sole_user(tmp_path, main=True):
        pass
    assert _elsewhere(tmp_path) == "held"


@forking
def test_a_data_worker_that_outlives_a_killed_run_does_not_keep_the_folder(tmp_path):
    """The worker is a fork of the run, so it has the open file; it must not have the lock."""
    context = multiprocessing.get_context("fork")
    holding, dying = context.Event(), context.Event()

    def run() -> None:
        with sole_user(tmp_path, main=True):
            worker = os.fork()
            if worker == 0:
                dying.wait(PATIENCE)
                os._exit(0)
            holding.set()
            os._exit(1)

    process = context.Process(target=run)
    process.start()
    assert holding.wait(PATIENCE)
    process.join()
    assert _elsewhere(tmp_path) == "held"
    dying.set()


def test_processes_that_do_not_write_hold_nothing(tmp_path):
    with sole_user(tmp_path / "run", main=False):
        assert not (tmp_path / "run").exists()
