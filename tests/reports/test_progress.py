"""Progress of a fit on a terminal."""

import io

import numpy as np
from rich.console import Console
from tests.waiting import wait_for

import eigenfit as ef
from eigenfit.reports.progress import fit_progress


def test_progress_appears_on_a_terminal():
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80)
    with fit_progress(console, after=0.0) as progress:
        progress(ef.Progress(30, 400, 2, 3, 0.5))
        wait_for(lambda: "30/400" in screen.getvalue(), seconds=30)
    assert "2 of 3 running, loss 5.0e-01" in screen.getvalue()
    assert "30/400" in screen.getvalue()


def test_progress_stays_away_from_short_fits_and_pipes(monkeypatch):
    made = []

    class Timer:
        def __init__(self, interval, function):
            made.append((interval, function))

        def start(self):
            pass

        cancel = join = start  # a fit that ends before its time

    monkeypatch.setattr("threading.Timer", Timer)
    screen = io.StringIO()
    with fit_progress(Console(file=screen, force_terminal=True)) as progress:
        progress(ef.Progress(30, 400, 1, 1, 0.5))
    assert screen.getvalue() == ""
    assert [interval for interval, _ in made] == [1.0]
    made.clear()
    with fit_progress(Console(file=screen), after=0.0) as progress:
        progress(ef.Progress(30, 400, 1, 1, 0.5))
    assert screen.getvalue() == ""
    assert made == []  # nothing that could still show it


def test_a_fit_shows_its_own_progress(monkeypatch):
    screen, made = io.StringIO(), []
    console = Console(file=screen, force_terminal=True, width=80)

    def recorded(*args, **options):
        made.append(options)
        return fit_progress(console, after=0.0)

    monkeypatch.setattr("eigenfit.fitting.solver.fit_progress", recorded)
    solver = ef.Solver(ef.Problem(ef.Symmetric(2)))
    fit = solver.fit(np.ones(3), [1.0, 2.0], progress=True)
    assert fit.success
    assert len(made) == 1
    assert solver.fit(np.ones(3), [1.0, 2.0], progress=False).success
    assert len(made) == 1
