"""Every kind of structure: the file builds what Python builds."""

import numpy as np
import pytest
import tensorflow as tf

import eigenfit as ef

Y = [[0.0, -1j], [1j, 0.0]]
CHAIN = ef.Laplacian([(0, 1), (1, 2)], order=3)
STRUCTURES = {
    "symmetric": ("order = 3", lambda: ef.Symmetric(3)),
    "hermitian": ("order = 3", lambda: ef.Hermitian(3)),
    "affine": (
        "basis = [[[1, 2], [2, 3]], [[0, 1], [1, 0]]]\noffset = [[1, 0], [0, 2]]",
        lambda: ef.Affine(
            [[[1.0, 2], [2, 3]], [[0, 1], [1, 0]]], offset=[[1.0, 0], [0, 2]]
        ),
    ),
    "affine, complex in quotes": (
        'kind = "affine"\nbasis = [[[0, "-1j"], ["1i", 0]]]',
        lambda: ef.Affine([Y]),
    ),
    "affine, complex in parts": (
        'kind = "affine"\noffset = [[1, 0], [0, 2]]\n'
        "basis = {real = [[[0, 0], [0, 0]]], imag = [[[0, -1], [1, 0]]]}",
        lambda: ef.Affine([Y], offset=[[1, 0], [0, 2]]),
    ),
    "additive": (
        "offset = [[0, 1], [1, 0]]",
        lambda: ef.Additive([[0.0, 1], [1, 0]]),
    ),
    "additive, complex": (
        'kind = "additive"\noffset = [[0, "0-1j"], ["0 + 1j", 0]]',
        lambda: ef.Additive(Y),
    ),
    "tridiagonal": ("order = 4", lambda: ef.Tridiagonal(4)),
    "banded": ("order = 4\nbandwidth = 2", lambda: ef.Banded(4, 2)),
    "toeplitz": ("order = 4", lambda: ef.Toeplitz(4)),
    "laplacian": (
        "edges = [[0, 1], [1, 2]]\norder = 5",
        lambda: ef.Laplacian([(0, 1), (1, 2)], order=5),
    ),
    "assembly": (
        "rows = [0, 1, 1]\ncolumns = [0, 0, 1]\nparameters = [0, 1, 1]\n"
        "coefficients = [1.0, 0.5, 2.0]\norder = 3\nnum_parameters = 4\n"
        "offset = [[0, 0, 1], [0, 0, 0], [1, 0, 0]]",
        lambda: ef.Assembly(
            [0, 1, 1],
            [0, 0, 1],
            [0, 1, 1],
            [1.0, 0.5, 2.0],
            order=3,
            num_parameters=4,
            offset=[[0.0, 0, 1], [0, 0, 0], [1, 0, 0]],
        ),
    ),
    "generalized, masses": (
        'kind = "generalized"\nmass = [1, 2, 4]\n'
        'stiffness = {kind = "laplacian", edges = [[0, 1], [1, 2]]}',
        lambda: ef.Generalized(CHAIN, [1.0, 2.0, 4.0]),
    ),
    "generalized, mass matrix": (
        'kind = "generalized"\nmass = [[2, 1, 0], [1, 2, 1], [0, 1, 2]]\n'
        'stiffness = {kind = "laplacian", edges = [[0, 1], [1, 2]]}',
        lambda: ef.Generalized(CHAIN, [[2.0, 1, 0], [1, 2, 1], [0, 1, 2]]),
    ),
    "generalized, mass that varies": (
        'kind = "generalized"\n[structure.stiffness]\nkind = "toeplitz"\norder = 2\n'
        '[structure.mass]\nkind = "additive"\noffset = [[0, 0.1], [0.1, 0]]',
        lambda: ef.Generalized(ef.Toeplitz(2), ef.Additive([[0.0, 0.1], [0.1, 0.0]])),
    ),
    "bloch": (
        "vectors = [[0], [1]]\nkpoint = [0.5]\n"
        'basis = [[[[1, 0], [0, -1]], [[0, 0], ["0.5j", 0]]]]\n'
        "offset = [[[0, 1], [1, 0]], [[2, 0], [0, 2]]]",
        lambda: ef.Bloch(
            [[0], [1]],
            [[[[1, 0], [0, -1]], [[0, 0], [0.5j, 0]]]],
            [0.5],
            offset=[[[0, 1], [1, 0]], [[2, 0], [0, 2]]],
        ),
    ),
    "reparametrized": (
        "matrix = [[2.0], [1.0], [-1.0]]\noffset = [0, 1, 0]\n"
        'structure = {kind = "tridiagonal", order = 2}',
        lambda: ef.Reparametrized(
            ef.Tridiagonal(2), [[2.0], [1.0], [-1.0]], [0.0, 1.0, 0.0]
        ),
    ),
}


def table(name: str) -> str:
    """The table `[structure]` of a case."""
    body = STRUCTURES[name][0]
    kind = "" if "kind = " in body.split("\n")[0] else f'kind = "{name}"\n'
    return f"[structure]\n{kind}{body}\n"


@pytest.mark.parametrize("name", STRUCTURES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_file_builds_what_python_builds(read, rng, name, dtype):
    expected = STRUCTURES[name][1]()
    targets = list(map(float, range(expected.order)))
    content = read(f"schema = 1\ntargets = {targets}\n{table(name)}", dtype=dtype)
    section = content.structure
    assert section is not None
    assert section.order == expected.order
    assert section.num_parameters == expected.num_parameters
    assert section.is_complex == expected.dtype.is_complex
    built = section.build(dtype)
    assert type(built) is type(expected)
    assert built.parameter_dtype.name == dtype
    r = rng.uniform(0.5, 1.5, expected.num_parameters)
    A = built.assemble(tf.constant(r, dtype))
    np.testing.assert_allclose(
        A, expected.assemble(tf.constant(r)), atol=1e-6 if dtype == "float32" else 0
    )


def test_every_kind_is_tested():
    from eigenfit_serving.problem_file.schema import problem_schema

    names = {
        name.removesuffix("Section").lower()
        for name, entry in problem_schema()["$defs"].items()
        if name.endswith("Section") and "kind" in entry.get("properties", {})
    }
    structures = {name.split(",")[0] for name in STRUCTURES}
    assert structures <= names
    observations = {"levels", "frequencies", "clustermeans", "relativeto"}
    observations |= {"differences", "modeshapes", "mac", "freeshift"}
    assert names - structures == {*observations, "start"}
