"""The eigensolver and its derivatives in ONNX Runtime, on the 17 matrix families."""

import numpy as np
import pytest
from tests.combinations import each
from tests.export.onnx_cases import (
    DTYPES,
    FAMILIES,
    clusters,
    isolation,
    members,
    model,
    session,
    symmetric,
    tensorflow_gradient,
)

# An eigenvector turns by (error of the matrix) / gap: `isolation` is that gap. Levels
# closer than the second number are compared by the sum over their cluster.
ALLOWED = {"float64": (1e-12, 2e-3), "float32": (5e-6, 1e-3)}
BATCHES = [0, 1, 7]


def fixed(n):
    return n if n <= 4 else None


def assert_equals_tensorflow(family, n, batch, dtype, order):
    """Compares one level a member, in the convention of TensorFlow."""
    allowed, near = ALLOWED[dtype]
    A = members(family, n, batch, dtype)
    level = np.arange(batch) % n
    w = np.linalg.eigvalsh(A.astype(np.float64))
    together = clusters(w, near)
    mine = np.arange(batch), level
    chosen, gap = together[mine], isolation(w, together)[mine]
    if batch > 7:  # the rest of a cluster would be too many rows
        chosen &= (chosen.sum(axis=1) == 1)[:, None]
    rows, levels = np.nonzero(chosen)
    run = session("eigengradient", dtype, order).run
    found = np.zeros([batch, n, n])
    for k in range(0, len(rows), 512):
        part = slice(k, k + 512)
        answer = run(matrix=A[rows[part]], level=levels[part])
        np.add.at(found, rows[part], answer["gradient_lower"])
        size = np.abs(w).max(axis=1, initial=0)[rows[part], None] + 1e-300
        np.testing.assert_allclose(
            answer["eigenvalues"] / size, w[rows[part]] / size, atol=3 * allowed
        )
    expected = tensorflow_gradient(A, chosen)
    error = np.abs(found - expected).max(axis=(1, 2), initial=0)
    scale = allowed if dtype == "float64" else allowed / np.maximum(gap, near)
    assert np.all(error <= scale), (error / scale).max()


@pytest.mark.sample(4)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 3, 5, 8, 17, 32])
def test_gradient_equals_tensorflow(n, dtype):
    def check(family, batch):
        assert_equals_tensorflow(family, n, batch, dtype, fixed(n))

    each(check, family=FAMILIES, batch=BATCHES)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [3, 6])
def test_gradient_equals_tensorflow_in_a_large_batch(n, dtype):
    def check(family):
        assert_equals_tensorflow(family, n, 1000, dtype, fixed(n))

    each(check, family=FAMILIES)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", range(1, 65))
def test_gradient_equals_tensorflow_for_every_order(n, dtype):
    def check(family, order):
        assert_equals_tensorflow(family, n, 7, dtype, order)

    each(check, family=FAMILIES, order=[None, n] if n <= 4 else [None])


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 2, 4, 8, 16, 33, 64])
def test_gradient_equals_tensorflow_in_a_large_batch_of_every_order(n, dtype):
    def check(family):
        assert_equals_tensorflow(family, n, 1000, dtype, None)

    each(check, family=FAMILIES if n <= 16 else ["random"])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 3, 7, 12])
def test_decomposition(n, dtype):
    run = session("eigh", dtype, None).run
    for family in FAMILIES:
        A = members(family, n, 7, dtype)
        answer = run(matrix=A)
        w, V = (answer[k].astype(np.float64) for k in ("eigenvalues", "eigenvectors"))
        assert np.all(np.diff(w, axis=1) >= 0), family
        unit = 40 * np.finfo(dtype).eps
        np.testing.assert_allclose(
            np.swapaxes(V, 1, 2) @ V, np.broadcast_to(np.eye(n), V.shape), atol=unit
        )
        size = np.abs(A).max(axis=(1, 2), keepdims=True).astype(np.float64) + 1e-300
        residual = (A @ V - V * w[:, None]) / size
        assert np.abs(residual).max() < n * unit, family


@pytest.mark.parametrize("order", [None, 3])
def test_both_conventions_and_the_choice_of_a_level(rng, order):
    A = symmetric(rng, 3, 6)
    levels = [0, 2, -1, -3, 3, -4]
    answer = session("eigengradient", "float64", order).run(matrix=A, level=levels)
    G, lower = answer["gradient"], answer["gradient_lower"]
    V = np.linalg.eigh(A)[1]
    for b, k in enumerate(levels[:4]):
        np.testing.assert_allclose(G[b], np.outer(V[b, :, k], V[b, :, k]), atol=1e-14)
    assert np.isnan(G[4:]).all()
    assert np.isnan(lower[4:]).all()
    np.testing.assert_array_equal(lower[:4], np.tril(2 * G[:4]) - G[:4] * np.eye(3))
    assert np.isfinite(answer["eigenvalues"]).all()


@pytest.mark.parametrize("level", [2**31 - 1, -(2**31), 2**24 + 1])
def test_levels_beyond_the_precision_of_float32(level):
    # Trap 6: integers are compared as float32.
    answer = session("eigengradient", "float64").run(matrix=[np.eye(3)], level=[level])
    assert np.isnan(answer["gradient"]).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [2, 5])
def test_gradient_of_the_loss(rng, n, dtype):
    A = symmetric(rng, n, 7).astype(dtype)
    t, c = rng.normal(size=[7, n]), rng.uniform(size=[7, n])
    answer = session("loss_gradient", dtype).run(matrix=A, targets=t, weights=c)
    A, t, c = (np.asarray(x, dtype).astype(np.float64) for x in (A, t, c))
    w, V = np.linalg.eigh(A)
    G = (V * (2 * c * (w - t))[:, None]) @ np.swapaxes(V, 1, 2)
    atol = 60 * np.finfo(dtype).eps
    np.testing.assert_allclose(answer["loss"], np.sum(c * (w - t) ** 2, 1), atol=atol)
    np.testing.assert_allclose(answer["gradient"], G, atol=atol)
    lower = np.tril(2 * G) - G * np.eye(n)
    np.testing.assert_allclose(answer["gradient_lower"], lower, atol=atol)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n", "order"), [(3, 3), (4, 4), (5, None), (8, None)])
def test_a_bad_member_stays_alone(rng, n, order, dtype):
    A = symmetric(rng, n, 6)
    level = np.arange(6) % n
    run = session("eigengradient", dtype, order).run
    clean = run(matrix=A, level=level)
    for value in (np.nan, np.inf, -np.inf):
        bad = A.copy()
        bad[1, 2, 0] = bad[4, 1, 1] = value
        answer = run(matrix=bad, level=level)
        for name, x in answer.items():
            assert np.isnan(x[[1, 4]]).all(), name
            good = [0, 2, 3, 5]
            np.testing.assert_array_equal(x[good], clean[name][good])


@pytest.mark.parametrize("order", [None, 3])
def test_what_stands_above_the_diagonal_is_not_read(rng, order):
    # Trap 1: arithmetic with masks would let the NaN through.
    A = symmetric(rng, 3, 2)
    B = A.copy()
    B[:, 0, 2] = np.nan, np.inf
    run = session("eigengradient", "float64", order).run
    for x, y in zip(
        run(matrix=A, level=[0, 1]).values(),
        run(matrix=B, level=[0, 1]).values(),
        strict=True,
    ):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n", "order"), [(3, 3), (5, None), (7, None), (8, None)])
def test_results_do_not_depend_on_the_batch(rng, n, order, dtype):
    # Trap 12: sums over the last axis do, at odd n most of all.
    A = np.concatenate([members(f, n, 3, dtype) for f in FAMILIES])
    c, t = rng.uniform(size=[2, len(A), n])
    level = rng.integers(n, size=len(A))
    inputs = {"matrix": A, "level": level, "targets": t, "weights": c}
    for name in ("eigengradient", "loss_gradient"):
        run = session(name, dtype, order).run
        used = (
            "matrix",
            *{"eigengradient": ["level"]}.get(name, ["targets", "weights"]),
        )
        own = {k: inputs[k] for k in used}
        whole = run(**own)
        shuffle = rng.permutation(len(A))
        shuffled = run(**{k: x[shuffle] for k, x in own.items()})
        for key, x in whole.items():
            np.testing.assert_array_equal(x[shuffle], shuffled[key])
        for b in range(0, len(A), 5):
            alone = run(**{k: x[b : b + 1] for k, x in own.items()})
            for key, x in whole.items():
                np.testing.assert_array_equal(x[b], alone[key][0])


def test_names_and_shapes():
    # Trap 11: no scalars, which ONNX Runtime refuses as NumPy integers.
    found = model("eigengradient", "float64")
    shapes = {
        x.name: [d.dim_param or d.dim_value for d in x.type.tensor_type.shape.dim]
        for x in [*found.graph.input, *found.graph.output]
    }
    assert shapes == {
        "matrix": ["batch", "n", "n"],
        "level": ["batch"],
        "eigenvalues": ["batch", "n"],
        "gradient": ["batch", "n", "n"],
        "gradient_lower": ["batch", "n", "n"],
    }


@pytest.mark.parametrize("order", [None, 3, 4])
def test_models_are_small(order):
    assert len(model("eigengradient", "float64", order).SerializeToString()) < 100_000


@pytest.mark.parametrize("order", [None, 3])
def test_another_runtime_gives_the_same(rng, order):
    reference = pytest.importorskip("onnx.reference")
    A, level = symmetric(rng, 3, 2), np.array([0, 2], np.int32)
    found = model("eigengradient", "float64", order)
    names = [x.name for x in found.graph.output]
    theirs = reference.ReferenceEvaluator(found).run(
        names, {"matrix": A, "level": level}
    )
    ours = session("eigengradient", "float64", order).run(matrix=A, level=level)
    for name, x in zip(names, theirs, strict=True):
        np.testing.assert_allclose(x, ours[name], atol=1e-14)
