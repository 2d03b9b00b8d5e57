import re
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import tensorflow as tf

import eigenfit as ef
from eigenfit.methods import METHODS
from eigenfit_serving import InputError, ProblemFile, read_problem
from eigenfit_serving.cli.shared import MethodOption
from eigenfit_serving.problem_file.fit import MethodName

EXAMPLES = Path(__file__).parents[2] / "examples"

AFFINE = """
schema = 1
targets = [1, 3]
[structure]
kind = "affine"
basis = [[[1, 0], [0, 0]], [[0, 0], [0, 1]]]
offset = [[0.0, 0.5], [0.5, 0.0]]
"""

SYMMETRIC = """
schema = 1
targets = [1.0, 2.0, 3.0]
[structure]
kind = "symmetric"
order = 3
"""


def test_defaults(read):
    problem = read(SYMMETRIC)
    assert problem.title is None
    assert problem.fit.method == "auto"
    assert (problem.fit.tolerance, problem.fit.max_steps) == (None, None)
    assert (problem.fit.starts, problem.fit.seed, problem.fit.dtype) == (
        1,
        0,
        "float64",
    )


def test_symmetric_builds_the_solver(read):
    solver = read(SYMMETRIC, dtype="float32").solver()
    assert isinstance(solver.problem.structure, ef.Symmetric)
    assert solver.problem.structure.dtype == tf.float32
    assert (solver.problem.order, solver.problem.num_targets) == (3, 3)
    assert isinstance(solver.method, ef.IsospectralProjection)


def test_affine_builds_basis_and_offset(read):
    structure = read(AFFINE).solver().problem.structure
    A = structure.assemble(tf.constant([2.0, 7.0], tf.float64))
    np.testing.assert_array_equal(A, [[2.0, 0.5], [0.5, 7.0]])


def test_observation_builds_levels(read):
    text = SYMMETRIC.replace("[1.0, 2.0, 3.0]", "[3.0, 1.0]")
    problem = read(text + "[observation]\nindices = [-1, 0]\nweights = [2, 1]\n")
    levels = problem.solver().problem.observation
    assert list(levels.indices) == [-1, 0]
    np.testing.assert_array_equal(levels.weights, [2.0, 1.0])


def test_one_weight_serves_all_levels(read):
    assert read(SYMMETRIC + "[observation]\nweights = 2.5").solver() is not None


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("adam", ef.Adam),
        ("levenberg-marquardt", ef.LevenbergMarquardt),
        ("isospectral-projection", ef.IsospectralProjection),
        ("newton", ef.Newton),
        ("cluster-newton", ef.ClusterNewton),
        ("gauss-newton", ef.GaussNewton),
        ("loewner-newton", ef.LoewnerNewton),
        ("lift-and-project", ef.LiftAndProject),
        ("lbfgs", ef.LBFGS),
    ],
)
def test_methods(read, name, kind):
    assert type(read(SYMMETRIC, method=name).solver().method) is kind


def test_method_options_reach_the_method(read):
    options = """
    [fit.adam]
    learning_rate = 0.01
    beta_1 = 0.8
    beta_2 = 0.99
    epsilon = 1e-6
    [fit.levenberg-marquardt]
    initial_damping = 0.5
    orthogonality = 1e-9
    """
    adam = read(SYMMETRIC + options, method="adam").solver().method
    assert isinstance(adam, ef.Adam)
    assert (adam.learning_rate, adam.beta_1) == (0.01, 0.8)
    assert (adam.beta_2, adam.epsilon) == (0.99, 1e-6)
    lift = read(
        SYMMETRIC + "[fit.lift-and-project]\nrelaxation = 1.5",
        method="lift-and-project",
    )
    assert repr(lift.solver().method) == "LiftAndProject(relaxation=1.5)"
    lbfgs = read(SYMMETRIC + "[fit.lbfgs]\nmemory = 3", method="lbfgs")
    assert repr(lbfgs.solver().method) == "LBFGS(memory=3)"
    other = read(SYMMETRIC + options, method="levenberg-marquardt").solver().method
    assert isinstance(other, ef.LevenbergMarquardt)
    assert (other.initial_damping, other.orthogonality) == (0.5, 1e-9)


@pytest.mark.parametrize(
    ("section", "kind"),
    [
        ("adam", ef.Adam),
        ("alternating", ef.Alternating),
        ("cluster_newton", ef.ClusterNewton),
        ("gauss_newton", ef.GaussNewton),
        ("isospectral_projection", ef.IsospectralProjection),
        ("lbfgs", ef.LBFGS),
        ("levenberg_marquardt", ef.LevenbergMarquardt),
        ("lift_and_project", ef.LiftAndProject),
        ("loewner_newton", ef.LoewnerNewton),
        ("newton", ef.Newton),
    ],
)
def test_defaults_of_options_are_those_of_the_core(section, kind):
    import inspect

    signature = inspect.signature(kind).parameters
    core = {key: p.default for key, p in signature.items() if key != "name"}
    file = ProblemFile.model_fields["fit"].default
    assert getattr(file, section).model_dump() == core


def test_arguments_take_precedence_over_the_file(read):
    text = SYMMETRIC + "[fit]\ntolerance = 1e-3\nstarts = 5\nseed = 9\n"
    problem = read(text, tolerance=1e-5, starts=None)
    assert (problem.fit.tolerance, problem.fit.starts) == (1e-5, 5)
    assert problem.fit.seed == 9


def test_random_starts_depend_on_the_seed_only(read):
    text = SYMMETRIC + "[start]\nlow = -2.0\nhigh = -1.0\n"
    first = read(text, starts=50, seed=3).initial_parameters()
    assert first.shape == (50, 6)
    assert first.dtype == np.float64
    assert ((first >= -2) & (first <= -1)).all()
    np.testing.assert_array_equal(
        first, read(text, starts=50, seed=3).initial_parameters()
    )
    assert (first != read(text, starts=50, seed=4).initial_parameters()).all()
    # More starts leave the first ones as they are.
    more = read(text, starts=51, seed=3).initial_parameters()
    np.testing.assert_array_equal(first, more[:50])


def test_given_starts(read):
    one = read(AFFINE + "[start]\nparameters = [1, 2.5]\n")
    np.testing.assert_array_equal(one.initial_parameters(), [[1.0, 2.5]])
    two = read(AFFINE + "[start]\nparameters = [[1, 2], [3, 4]]\n", dtype="float32")
    np.testing.assert_array_equal(two.initial_parameters(), [[1, 2], [3, 4]])
    assert two.initial_parameters().dtype == np.float32


def test_identity_example_is_the_published_problem():
    problem = read_problem(EXAMPLES / "identity.toml")
    np.testing.assert_array_equal(problem.targets, [1.0, 1.0, 1.0])
    assert problem.structure.order == 3
    assert (problem.fit.method, problem.fit.tolerance) == ("adam", 1e-8)
    assert (problem.fit.starts, problem.fit.seed) == (4, 0)
    assert problem.fit.adam.learning_rate == 1e-3
    assert problem.fit.dtype == "float32"


def test_problems_are_frozen(read):
    with pytest.raises(ValueError, match="frozen"):
        read(SYMMETRIC).fit.tolerance = 1.0


def test_errors_are_value_errors_of_a_line_each(read):
    with pytest.raises(InputError) as caught:
        read(SYMMETRIC + '[fit]\nmethod = "a\\nb"\nstarts = 0\n')
    assert isinstance(caught.value, ValueError)
    first, second = str(caught.value).split("\n")
    assert 'fit.method = "a\\nb": must be "auto"' in first
    assert "fit.starts = 0: must be an integer from 1" in second


def keys_of(error):
    return [line.split(": ")[1].split(" =")[0] for line in str(error).split("\n")]


def test_errors_of_the_whole_file_are_shown_together(read):
    text = """
schema = 1
[structure]
kind = "affine"
basis = [[[1, 2], [3, 4]], [[0, 1], [2, 0]]]
offset = [[0, 5], [6, 0]]
[fit]
tolerance = -1
"""
    with pytest.raises(InputError) as caught:
        read(text)
    keys = [
        line.split(": ")[1].split(" =")[0] for line in str(caught.value).split("\n")
    ]
    places = ["basis[0][0][1]", "basis[1][0][1]", "offset[0][1]"]
    assert keys == [*(f"structure.{place}" for place in places), "fit.tolerance"]
    text = """
schema = 1
targets = [1, 2, 3, 4]
structure = {kind = "toeplitz", order = 3}
start = {parameters = [1, 2]}
fit = {method = "isospectral-projection", starts = 2}
"""
    with pytest.raises(InputError) as caught:
        read(text)
    keys = [
        line.split(": ")[1].split(" =")[0] for line in str(caught.value).split("\n")
    ]
    assert keys == ["targets", "start.parameters", "fit.method"]
    text = """
schema = 1
targets = [1, 2]
structure = {kind = "toeplitz", order = 3}
[[observations]]
kind = "levels"
indices = [7]
[[observations]]
kind = "differences"
pairs = [[9, 0]]
"""
    with pytest.raises(InputError) as caught:
        read(text)
    assert [line.split(": ")[1] for line in str(caught.value).split("\n")] == [
        "observations[0].indices[0] = 7",
        "observations[1].pairs[0][0] = 9",
    ]


def test_many_errors_are_counted(read):
    text = SYMMETRIC + "".join(f"key{k} = 1\n" for k in range(40))
    with pytest.raises(InputError) as caught:
        read(text)
    lines = str(caught.value).split("\n")
    assert len(lines) == 21
    assert lines[-1].endswith(": 20 more errors.")


def test_a_long_value_is_shortened(read):
    with pytest.raises(InputError) as caught:
        read(SYMMETRIC + f'[fit]\nmethod = "{"x" * 10_000}"\n')
    assert len(str(caught.value)) < 400


def test_a_byte_order_mark_and_windows_line_ends_are_read(read):
    text = "\ufeff" + SYMMETRIC.strip().replace("\n", "\r\n")
    np.testing.assert_array_equal(read(text).targets, [1, 2, 3])


@pytest.mark.parametrize(
    ("low", "high", "dtype", "key"),
    [
        (-1e308, 1.7e308, "float64", "start.high - start.low"),
        (-1e39, 1e39, "float32", "start.low"),
    ],
)
def test_random_starts_must_fit_the_dtype(read, low, high, dtype, key):
    text = f"{SYMMETRIC}[start]\nlow = {low}\nhigh = {high}\n"
    with pytest.raises(InputError, match=f"{key}.*too large for {dtype}"):
        read(text, dtype=dtype)


def test_files_options_and_python_know_the_same_methods():
    names = ["auto", *METHODS]
    assert sorted(get_args(MethodName)) == sorted(names)
    _, option = get_args(MethodOption)
    assert re.split(r", | or ", option.help.rstrip(".")) == names


@pytest.mark.parametrize("name", list(METHODS))
def test_a_file_makes_the_method_that_it_names(read, name):
    method = read(SYMMETRIC + f'[fit]\nmethod = "{name}"\n').fit.build()
    assert type(method) is METHODS[name]


def test_the_default_tolerance_is_put_in_words(read):
    assert read(SYMMETRIC).fit.tolerance_text == "relative tolerance 1e-10"
    single = read(SYMMETRIC + '[fit]\ndtype = "float32"\n').fit
    assert single.tolerance_text == "relative tolerance 1e-5"
    assert (
        read(SYMMETRIC + "[fit]\ntolerance = 1e-6\n").fit.tolerance_text
        == "tolerance 1e-06"
    )
