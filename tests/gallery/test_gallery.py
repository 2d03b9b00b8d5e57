"""The entries of the gallery: what they hold, and their published answers."""

import importlib

import numpy as np
import pytest

import eigenfit as ef
from eigenfit import gallery
from eigenfit.gallery import (
    classic,
    crystal_field,
    frames,
    jacobi,
    rotational,
    tight_binding,
)
from eigenfit.gallery import entry as entries

NAMES = gallery.names()


def fit(entry, solver=None, **options):
    solver = solver or ef.Solver(entry.problem, entry.method)
    return solver.fit(
        entry.initial,
        entry.targets,
        **{"tolerance": entry.tolerance, "max_steps": entry.max_steps, **options},
    )


@pytest.fixture(scope="module")
def identity():
    entry = gallery.load("identity")
    return entry, fit(entry)


@pytest.mark.sample(8)
@pytest.mark.parametrize(
    "name",
    [
        # tests/test_real_problems.py fits its molecule in any case.
        pytest.param(name, marks=[pytest.mark.slow] * (name == "rotational-h2coh+"))
        for name in NAMES
    ],
)
def test_published_answers_are_reproduced(name):
    entry = gallery.load(name)
    solver = ef.Solver(entry.problem, entry.method)
    solution = fit(entry, solver)
    comparison = entry.compare(solution)
    missed = [row for row in comparison.lines if not row.agrees]
    assert not missed
    assert comparison.reproduced
    # A fit of measured lines ends at least squares, all others meet their targets.
    wanted = "minimum" if name == "rotational-h2coh+" else "converged"
    assert ef.Result(int(solution.result)).name == wanted
    # Who knows the field finds the unit and the name.
    figure = entry.plot(solution)
    assert figure.get_suptitle() == entry.title
    assert all(axes.has_data() for axes in figure.axes)
    # What was published of it does not hold where the fit began.
    began = entry.compare(fit(entry, solver, max_steps=0))
    assert not began.reproduced


@pytest.mark.parametrize("name", NAMES)
def test_entries_are_whole(name):
    entry = gallery.load(name)
    problem = entry.problem
    assert entry.name == name
    assert 0 < len(entry.title) <= 50
    assert entry.source
    assert entry.start_note.endswith(".")
    assert entry.targets.shape == (problem.num_targets,)
    assert entry.initial.shape == (problem.num_parameters,)
    assert max(entry.orders) == problem.order
    assert sum(entry.orders) == problem.num_levels
    if entry.answer is not None:
        assert entry.answer.shape == (problem.num_parameters,)
    if entry.levels is not None:
        assert entry.levels.shape == (problem.num_targets,)
    assert entry.published
    quantities = [name for part in entry.published for name in part.names]
    assert len(set(quantities)) == len(quantities)
    assert all((part.tolerances > 0).all() for part in entry.published)


# Largest |calculated - target| at the printed parameters: digits times sensitivity.
AT_THE_ANSWER = {
    "fno-additive": 3e-9,
    "fno-multiple": 1e-12,
    "fno-multiple-5": 2e-7,
    "rotational-h2coh+": 0.2,
    "shear-frame-18": 1e-10,
    "shear-frame-18-modes": 1e-10,
    "lab-frame-4": 1e-7,
}


@pytest.mark.parametrize("name", [n for n in NAMES if n != "toeplitz-10"])
def test_published_parameters_meet_the_targets(name):
    entry = gallery.load(name)
    found = entry.problem.values(entry.answer, entry.targets)
    atol = AT_THE_ANSWER.get(name, 1e-12)
    np.testing.assert_allclose(found, entry.targets, rtol=1e-12, atol=atol)


def test_sizes():
    # Order of the largest matrix, unknowns, targets: the table of problems.md.
    sizes = {
        name: (entry.problem.order, len(entry.initial), len(entry.targets))
        for name in NAMES
        for entry in [gallery.load(name)]
    }
    assert sizes == {
        "identity": (3, 6, 3),
        "fno-additive": (8, 8, 8),
        "fno-multiple": (8, 8, 8),
        "fno-multiple-5": (8, 8, 5),
        "toeplitz-4": (4, 4, 4),
        "toeplitz-6": (6, 6, 6),
        "toeplitz-8": (8, 8, 8),
        "toeplitz-10": (10, 10, 10),
        "complete-graph": (6, 15, 6),
        "jacobi-two-spectra": (10, 19, 19),
        "clement": (8, 8, 8),
        "rotational-h2coh+": (23, 8, 32),
        "shear-frame-18": (18, 18, 18),
        "shear-frame-18-modes": (18, 18, 4 + 4 * 7),
        "lab-frame-4": (4, 4, 4),
        "gaas-bands": (10, 13, 30),
        "si-bands": (10, 8, 30),
        "cerium-crystal-field": (6, 2, 6),
        "cerium-crystal-field-free": (6, 2, 6),
    }


SHORT_NAMES = {
    "T1": "fno-additive",
    "T2": "fno-multiple",
    "T3": "rotational-h2coh+",
    "T7": "shear-frame-18",
    "T7a": "shear-frame-18",
    "T7b": "shear-frame-18-modes",
    "T8": "lab-frame-4",
    "T10": "gaas-bands",
    "T11": "toeplitz-8",
    "T12": "jacobi-two-spectra",
    "T13": "clement",
    "T14": "complete-graph",
    "T15": "cerium-crystal-field",
    "T19": "identity",
}


@pytest.mark.parametrize(("number", "name"), SHORT_NAMES.items())
def test_short_names(number, name):
    assert number in gallery.aliases(name)
    for text in (number, number.lower(), name.upper(), f" {name} "):
        assert gallery.load(text).name == name


def test_nothing_is_built_on_import(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("A problem was built.")

    monkeypatch.setattr(ef.Problem, "__init__", refuse)
    for module in (classic, crystal_field, frames, jacobi, rotational, tight_binding):
        importlib.reload(module)
    with pytest.raises(AssertionError):
        gallery.load("identity")


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("gaas", "gaas-bands"),
        ("rotational-h2co", "rotational-h2coh+"),
        ("toeplits-8", "toeplitz-8"),
        ("T77", "shear-frame-18"),
        ("xyzzy", "Known are identity, fno-additive"),
        ("", "Known are"),
        (3, "T3|rotational|Known"),
    ],
)
def test_unknown_names(name, near):
    with pytest.raises(ValueError, match=near) as error:
        gallery.load(name)
    assert "`name`" in str(error.value)


def test_wrong_parameters_are_not_reproduced(identity):
    entry, solution = identity
    wrong = solution._replace(parameters=solution.parameters + 1e-6)
    comparison = entry.compare(wrong)
    assert not comparison.reproduced
    assert [row.agrees for row in comparison.lines] == [False] * 6
    assert comparison.lines[0].difference == pytest.approx(1e-6)
    assert comparison.lines[0].found - comparison.lines[0].published == (
        comparison.lines[0].difference
    )


def test_nan_is_not_reproduced(identity):
    entry, solution = identity
    nan = solution._replace(parameters=solution.parameters * np.nan)
    comparison = entry.compare(nan)
    assert not comparison.reproduced
    assert not any(row.agrees for row in comparison.lines)


def test_what_knows_no_problem_cannot_be_drawn(identity):
    entry, solution = identity
    with pytest.raises(TypeError, match=r"`fit` must be what `Solver.fit` returns"):
        entry.plot(ef.Solution(*solution))


def test_names_of_lines():
    shown = gallery.load("rotational-h2coh+").shown(None)
    assert shown["labels"][:2] == ["2₁₂ – 1₁₁", "2₁₁ – 2₀₂"]
    assert "10₁₉ – 10₀,₁₀" in shown["labels"]


def test_bands_pass_through_the_levels_at_their_points():
    entry = gallery.load("gaas-bands")
    x, levels = tight_binding.band_lines(tight_binding.sp3s_basis(), entry.answer, 5)
    assert x.shape == (10,)
    at = {"G": levels[4], "X": levels[-1], "L": levels[0]}
    expected = np.concatenate([at[name] for name in entry.problem.labels])
    np.testing.assert_allclose(expected, entry.targets, atol=1e-12)


def test_batches_are_refused(identity):
    entry, solution = identity
    batch = solution._replace(parameters=solution.parameters[np.newaxis])
    with pytest.raises(ValueError, match=r"`solution` must be one member.*\[1, 6\]"):
        entry.compare(batch)


def test_any_answer_of_the_laboratory_frame_counts():
    entry = gallery.load("lab-frame-4")
    # Printed digits are too few for those of the frequencies: a few steps from them.
    printed = np.array([k.split() for k in frames.LAB_SOLUTIONS], float)
    solver = ef.Solver(entry.problem)
    found = solver.fit(printed, entry.targets, tolerance=entry.tolerance)
    for k, parameters in zip(printed, found.parameters, strict=True):
        comparison = entry.compare(found._replace(parameters=parameters))
        assert comparison.reproduced
        published = [row.published for row in comparison.lines if "lbf" in row.quantity]
        np.testing.assert_array_equal(published, k)


def test_printed_numbers():
    values, half = entries.printed("197581.5594 -9.5310e-03 0 .05 -12.55 1E3")
    np.testing.assert_array_equal(
        values, [197581.5594, -9.5310e-3, 0, 0.05, -12.55, 1e3]
    )
    np.testing.assert_allclose(half, [5e-5, 5e-8, 0.5, 5e-3, 5e-3, 500])


def test_published_checks_shapes():
    with pytest.raises(ValueError, match=r"`values` must have shape \[2\]"):
        entries.published(["a", "b"], [1.0], 0.1, lambda *_: [1.0])


@pytest.mark.parametrize(
    ("name", "sign"), [("clement", -1), ("jacobi-two-spectra", -1)]
)
def test_signs_of_couplings_are_convention(name, sign):
    entry = gallery.load(name)
    n = len(entry.answer)
    first = next(k for k in range(n) if entry.problem.parameter_names[k][0] == "b")
    start = entry.answer.copy()
    start[first] *= sign
    solution = fit(entry)._replace(parameters=start)
    assert entry.compare(solution).reproduced
    start[0] += 1e-6
    assert not entry.compare(solution._replace(parameters=start)).reproduced


def test_two_spectra_by_the_closed_form():
    entry = gallery.load("jacobi-two-spectra")
    r = ef.jacobi_from_two_spectra(entry.targets[:10], entry.targets[10:])
    np.testing.assert_allclose(r, entry.answer, rtol=0, atol=1e-13)


def test_clement_by_the_closed_form():
    entry = gallery.load("clement")
    r = ef.persymmetric_jacobi(entry.targets)
    np.testing.assert_allclose(
        r, entry.problem.expand(entry.answer), rtol=0, atol=1e-12
    )
