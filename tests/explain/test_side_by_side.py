"""Batches run side by side: in order, to the bit as one after the other, and nothing is left changed."""

import threading

import pytest
import torch

from tests.explain.naive import classifier, noise
from vitrail.explain.removal import Removal, leave_one_out
from vitrail.explain.side_by_side import run_side_by_side
from vitrail.explain.target import Target

CPU = torch.device("cpu")


@pytest.fixture(params=[1, 2, 3])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_answers_come_in_the_order_of_the_batches(threads):
    batches = [torch.full((2,), float(number)) for number in range(7)]
    assert [answer.tolist() for answer in run_side_by_side(lambda x: x + 1, batches, CPU)] == [
        [number + 1.0] * 2 for number in range(7)
    ]


def test_the_number_of_threads_is_as_before_even_after_an_error(threads):
    def fail(batch):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        list(run_side_by_side(fail, [torch.zeros(1)] * 4, CPU))
    assert torch.get_num_threads() == threads


def test_no_gradients_are_kept_in_any_thread(threads):
    weight = torch.ones(1, requires_grad=True)
    assert not any(answer.requires_grad for answer in run_side_by_side(lambda x: x * weight, [torch.ones(1)] * 5, CPU))


def test_only_as_many_batches_as_cores_are_made_before_their_turn(threads):
    made = []

    def batches():
        for number in range(20):
            made.append(number)
            yield torch.zeros(1)

    running = threading.active_count()
    answers = run_side_by_side(lambda x: x, batches(), CPU)
    next(answers)
    assert len(made) <= threads + 1
    answers.close()
    assert threading.active_count() == running, "a thread outlives the answers"


def test_removal_is_the_same_to_the_bit_with_any_number_of_threads():
    model, images = classifier(), noise(2, 8, 12)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(leave_one_out(Removal(model, images, Target(torch.tensor([1, 0])))))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])
