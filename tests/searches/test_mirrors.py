"""Signs of parameters without effect, against all patterns of signs."""

import itertools

import numpy as np
import pytest
from tests import giant_spin

import eigenfit as ef
from eigenfit.searches.distinct import freedom_of
from eigenfit.searches.mirrors import sign_symmetries


def span(generators):
    """All changes of sign that generators make, as a set of tuples."""
    found = {(0,) * generators.shape[1]}
    for row in generators.astype(int):
        found |= {tuple((np.array(x) + row) % 2) for x in found}
    return found


def without_effect(values, number, rng):
    """Finds all patterns of signs that leave values as they are at random points."""
    found = set()
    for pattern in itertools.product((0, 1), repeat=number):
        sign = 1 - 2 * np.array(pattern)
        points = rng.normal(size=[3, number])
        if all(np.allclose(values(x), values(sign * x), atol=1e-9) for x in points):
            found.add(pattern)
    return found


@pytest.mark.parametrize("seed", range(20))
def test_joint_problems_of_random_patterns(seed):
    rng = np.random.default_rng(seed)
    p = int(rng.integers(2, 5))
    blocks, pairs = [], []
    for n in rng.integers(2, 5, size=2):
        B = np.zeros([p, n, n], complex if seed % 2 else float)
        for k in range(p):
            for _ in range(rng.integers(1, 3)):
                i, j = rng.integers(0, n, 2)
                x = rng.normal() * (1j if seed % 2 and i != j and k % 2 else 1)
                B[k, i, j] = x
                B[k, j, i] = np.conj(x)
        offset = np.diag(rng.normal(size=n))
        blocks.append(ef.Block(ef.Affine(B, offset=offset)))
        pairs.append((B, offset))

    def levels(x):
        each = [np.linalg.eigvalsh(A0 + np.tensordot(x, B, 1)) for B, A0 in pairs]
        return np.concatenate(each)

    found = span(sign_symmetries(ef.Problem(blocks)))
    assert found == without_effect(levels, p, rng)


def test_what_fixes_signs():
    chain = ef.Tridiagonal(3)  # r3 and r4 off the diagonal
    whole = {(0, 0, 0, a, b) for a in (0, 1) for b in (0, 1)}
    for given, expected in (
        ({}, whole),
        ({"bounds": {"r3": (-1, 1), "r4": (-1, 2)}}, {x for x in whole if not x[4]}),
        ({"prior": {"r3": (0.0, 1.0)}}, whole),
        ({"prior": {"r3": (0.5, 1.0)}}, {x for x in whole if not x[3]}),
        ({"fixed": {"r0": 2.0}}, {x[1:] for x in whole}),
        ({"ties": {"r4": ("r3", 2.0)}}, {x[:4] for x in whole}),
        ({"ties": {"r4": {"r3": 2.0, "": 1.0}}}, {(0, 0, 0, 0)}),
    ):
        problem = ef.Problem([ef.Block(chain)], parameters=ef.Parameters(**given))
        assert span(sign_symmetries(problem)) == expected, given
    for parts, number in (([0, 2], 2), ([0, 1, 2], 1), ([0], 4)):
        shapes = ef.ModeShapes([0], components=parts)
        block = ef.Block(chain, [ef.Levels(), shapes])
        assert len(span(sign_symmetries(ef.Problem([block])))) == number, parts


def test_pencils_and_functions_of_others():
    mass = [[2.0, 0.5, 0.0], [0.5, 2.0, 0.0], [0.0, 0.0, 1.0]]
    pencil = ef.Generalized(ef.Tridiagonal(3), mass)
    assert span(sign_symmetries(ef.Problem(pencil))) == {(0,) * 5, (0, 0, 0, 0, 1)}
    own = ef.Parametric(lambda r: ef.Tridiagonal(3).assemble(r), 3, 5)
    assert not len(sign_symmetries(ef.Problem(own)))


@pytest.mark.parametrize(
    "structure", [ef.Symmetric(4), ef.Toeplitz(4), ef.Hermitian(3)], ids=repr
)
def test_representatives_are_unique_and_copies_equivalent(structure, rng):
    freedom = freedom_of(ef.Problem([ef.Block(structure)]))
    r = rng.normal(size=structure.num_parameters)
    copies = freedom.copies(r, 64)
    assert len(copies) == freedom.num_copies(r[np.newaxis])[0]
    assert len(np.unique(copies, axis=0)) == len(copies)
    levels = np.linalg.eigvalsh(structure.assemble(copies))
    np.testing.assert_allclose(levels, [levels[0]] * len(copies), atol=1e-12)
    images = freedom.canonical(copies)
    np.testing.assert_array_equal(images, [images[0]] * len(copies))


def test_a_giant_spin_knows_the_magnitude_of_its_rhombic_term():
    problem = giant_spin.problem()
    assert span(sign_symmetries(problem)) == {(0, 0, 0, 0), (0, 0, 0, 1)}
