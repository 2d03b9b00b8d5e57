"""Every kind of observation: the file measures what Python measures."""

import numpy as np
import pytest

import eigenfit as ef

SHAPES = [[1.0, 0.5, -0.2], [0.1, 1.0, 0.4]]
# Table, targets, observation.
OBSERVATIONS = {
    "levels": ("indices = [0, -1]\nweights = [1, 4]", 2, ef.Levels([0, -1], [1, 4])),
    "levels, sigma": (
        'kind = "levels"\nsigma = [0.1, 0.2, 0.5]',
        3,
        ef.Levels(sigma=[0.1, 0.2, 0.5]),
    ),
    "frequencies": ("indices = [1, 2]", 2, ef.Frequencies([1, 2])),
    "cluster-means": (
        "clusters = [[0, 1], [2]]\nsigma = 0.5",
        2,
        ef.ClusterMeans([[0, 1], [2]], sigma=0.5),
    ),
    "relative-to": ("level = 0", 2, ef.RelativeTo(0)),
    "relative-to, chosen": (
        'kind = "relative-to"\nlevel = -1\nindices = [0]',
        1,
        ef.RelativeTo(-1, [0]),
    ),
    "differences": ("pairs = [[1, 0], [2, 0]]", 2, ef.Differences([(1, 0), (2, 0)])),
    "mode-shapes": ("levels = [0, 1]", 6, ef.ModeShapes([0, 1])),
    "mode-shapes, some": (
        'kind = "mode-shapes"\nlevels = [2]\ncomponents = [0, 2]\n'
        'normalisation = "unit"\nweights = [1, 2]',
        2,
        ef.ModeShapes([2], [0, 2], "unit", weights=[1, 2]),
    ),
    "mac": (f"levels = [0, 1]\nshapes = {SHAPES}", 2, ef.MAC([0, 1], SHAPES)),
    "labels and a unit": (
        'kind = "differences"\npairs = [[1, 0]]\nlabels = ["1 <- 0"]\nunit = "MHz"',
        1,
        ef.Differences([(1, 0)], labels=["1 <- 0"], unit="MHz"),
    ),
    "free-shift": (
        'kind = "free-shift"\n[observation.observation]\nweights = [1, 2, 3]',
        3,
        ef.FreeShift(ef.Levels(weights=[1, 2, 3])),
    ),
}
START = [3.0, 4.0, 5.0, 0.5, 0.4, 0.3]


@pytest.mark.parametrize("name", OBSERVATIONS)
def test_the_file_measures_what_python_measures(read, name):
    body, number, observation = OBSERVATIONS[name]
    kind = "" if "kind = " in body.split("\n")[0] else f'kind = "{name}"\n'
    targets = np.linspace(0.1, 0.9, number).tolist()
    content = read(
        f'schema = 1\ntargets = {targets}\n[structure]\nkind = "symmetric"\n'
        f"order = 3\n[observation]\n{kind}{body}\n[start]\nparameters = {START}\n"
    )
    problem, expected = content.problem(), ef.Problem(ef.Symmetric(3), observation)
    assert repr(content.terms[0].section.build()) == repr(observation)
    assert problem.num_targets == len(content.target_names) == number
    assert list(problem.target_names) == content.target_names
    np.testing.assert_array_equal(
        problem.values(START, targets), expected.values(START, targets)
    )
    np.testing.assert_array_equal(
        problem.residual(START, targets), expected.residual(START, targets)
    )
    np.testing.assert_allclose(content.weights**0.5, problem.roots(), rtol=1e-15)


BLOCKS = """
[[blocks]]
label = "even"
[blocks.structure]
kind = "toeplitz"
order = 2
[[blocks.observations]]
indices = [1]
[[blocks]]
label = "odd"
[blocks.structure]
kind = "reparametrized"
matrix = [[1, 0], [0, 1], [0.5, 0.5]]
structure = {kind = "toeplitz", order = 3}
[[blocks.observations]]
kind = "frequencies"
indices = [2]
[[blocks.observations]]
kind = "relative-to"
level = 0
sigma = 0.1
"""
JOINT = """
[[observations]]
kind = "differences"
pairs = [["odd", 0, "even", 0], [["odd", -1], ["even", 1]]]
"""


def blocks_in_python() -> ef.Problem:
    odd = ef.Reparametrized(ef.Toeplitz(3), [[1.0, 0], [0, 1], [0.5, 0.5]])
    observations = [ef.Frequencies([2]), ef.RelativeTo(0, sigma=0.1)]
    return ef.Problem(
        [
            ef.Block(ef.Toeplitz(2), ef.Levels([1]), "even"),
            ef.Block(odd, observations, "odd"),
        ],
        observations=[
            ef.Differences([(("odd", 0), ("even", 0)), (("odd", -1), ("even", 1))])
        ],
    )


def test_blocks_and_joint_observations(read):
    targets = [1.0, 0.4, 0.2, 2.0, -0.5, 1.0]
    content = read(f"schema = 1\ntargets = {targets}\n{BLOCKS}{JOINT}")
    problem, expected = content.problem(), blocks_in_python()
    assert problem.observation is None
    assert problem.labels == ("even", "odd")
    x = [2.0, 0.7]
    np.testing.assert_array_equal(
        problem.residual(x, targets), expected.residual(x, targets)
    )
    np.testing.assert_array_equal(
        problem.jacobian(x, targets), expected.jacobian(x, targets)
    )
    assert content.target_names == [
        "even: level 1",
        "odd: frequency 2",
        "odd: level 1 - level 0",
        "odd: level 2 - level 0",
        "odd:0 - even:0",
        "odd:-1 - even:1",
    ]


def test_targets_may_stand_with_their_observations(read):
    own = BLOCKS.replace("indices = [1]", "indices = [1]\ntargets = [1.0]")
    own = own.replace("indices = [2]", "indices = [2]\ntargets = [0.4]")
    own = own.replace("sigma = 0.1", "sigma = 0.1\ntargets = [0.2, 2.0]")
    content = read(f"schema = 1\n{own}{JOINT}targets = [-0.5, 1.0]\n")
    np.testing.assert_array_equal(content.targets, [1.0, 0.4, 0.2, 2.0, -0.5, 1.0])


def test_shapes_may_be_rows_and_a_mac_is_one(read):
    content = read("""
schema = 1
[structure]
kind = "tridiagonal"
order = 3
[[observations]]
kind = "mode-shapes"
levels = [0, 1]
components = [0, 1]
targets = [[1, 2], [3, 4]]
[[observations]]
kind = "mac"
levels = [2]
shapes = [[1, 0, 0]]
""")
    np.testing.assert_array_equal(content.targets, [1, 2, 3, 4, 1])
    assert content.target_names[1:] == [
        "mode 0 at 1",
        "mode 1 at 0",
        "mode 1 at 1",
        "MAC of mode 2",
    ]
    assert len(content.problem().observations) == 2


def test_a_block_without_observation_is_observed_jointly_or_in_full(read):
    blocks = """
[[blocks]]
structure = {kind = "toeplitz", order = 2}
[[blocks]]
structure = {kind = "toeplitz", order = 2}
"""
    alone = read(f"schema = 1\ntargets = [1, 2, 3, 4]\n{blocks}")
    assert alone.target_names[1:3] == ["0: level 1", "1: level 0"]
    joint = '[[observations]]\nkind = "differences"\npairs = [["1", 0, "0", 0]]\n'
    together = read(f"schema = 1\ntargets = [1]\n{blocks}{joint}")
    assert together.target_names == ["1:0 - 0:0"]
    assert together.problem().num_targets == 1
