"""Jobs: steps arrive as they are made, stopping takes one step, errors and warnings come out."""
import logging
import threading

import pytest
import torch


@pytest.fixture(scope="module")
def jobs(pack):
    return pack("ui.jobs")


@pytest.fixture(scope="module")
def host(pack):
    return pack("nodes.host").host


def worker(host, steps, made, gate=None):
    """Work of so many steps, which notes each in `made`; waits for `gate` before the second."""
    def work():
        report = host.progress()
        for step in range(steps):
            if step == 1 and gate is not None:
                assert gate.wait(30)
            made.append(step)
            report(step + 1, steps, torch.full((1, 3, 2, 2), float(step)))
    return work


def test_steps_arrive_in_order_with_their_pictures(jobs, host):
    steps = list(jobs.Job(worker(host, 3, [])))
    assert [(step.done, step.total) for step in steps] == [(1, 3), (2, 3), (3, 3)]
    assert [step.picture[0, 0, 0, 0].item() for step in steps] == [0, 1, 2]


def test_steps_arrive_while_the_work_goes_on(jobs, host):
    made, gate = [], threading.Event()
    steps = iter(jobs.Job(worker(host, 2, made, gate)))
    assert next(steps).done == 1 and made == [0]
    gate.set()
    assert next(steps).done == 2


def test_stop_ends_the_work_within_one_step(jobs, host):
    made, gate = [], threading.Event()
    job = jobs.Job(worker(host, 100, made, gate))
    steps = iter(job)
    next(steps)
    job.stop()
    gate.set()
    assert [step.done for step in steps] == [2] and made == [0, 1]


def test_leaving_the_loop_stops_the_work(jobs, host):
    made, gate = [], threading.Event()
    job = jobs.Job(worker(host, 100, made, gate))
    steps = iter(job)
    next(steps)
    steps.close()
    gate.set()
    assert job.stopped
    for thread in threading.enumerate():
        if thread.name == "comod-job":
            thread.join(30)
    assert made == [0, 1]


def test_errors_of_the_work_come_out_of_the_loop(jobs):
    def work():
        raise ValueError("no such thing")

    with pytest.raises(ValueError, match="no such thing"):
        list(jobs.Job(work))


def test_warnings_are_those_of_the_work_alone(jobs):
    logger = logging.getLogger("comod")

    def work():
        logger.warning("the mask was %s", "resized")
        logger.info("not this")

    job = jobs.Job(work)
    list(job)
    logger.warning("somebody else's")
    assert job.warnings == ["the mask was resized"]


def test_sessions_stop_their_own_job(jobs, host):
    running = jobs.Jobs()
    first, second = jobs.Job(lambda: None), jobs.Job(lambda: None)
    with running.entered("a", first), running.entered("b", second):
        assert running.stop("a") and first.stopped and not second.stopped
    assert not running.stop("a") and second.stopped


def test_steps_are_shown_at_a_pace_that_a_page_can_draw(jobs, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(jobs.time, "monotonic", lambda: clock[0])

    def steps():
        for step in range(100):
            clock[0] = step / 10
            yield step

    shown = list(jobs.paced(steps(), 1.0))
    assert shown[0] == 10 and shown[-1] >= 95
    assert {after - before for before, after in zip(shown, shown[1:], strict=False)} <= {4, 5}
    clock[0] = 0
    assert next(iter(jobs.paced(steps()))) == 0, "without a delay the first step is shown"
