"""The traps of the conversion, each observed once: they must not come back."""

import logging
import sys

import numpy as np
import pytest
import tensorflow as tf
from tests.export.onnx_cases import DTYPES, members, model, session, symmetric

import eigenfit as ef
from eigenfit.eigen import epsilon
from eigenfit_export.onnx import basic, eigensolver
from eigenfit_export.onnx.check import Session, check
from eigenfit_export.onnx.convert import convert
from eigenfit_export.onnx.graphs import all_graphs, count_operators, fragile_constants
from eigenfit_export.onnx.portable import portable

VECTOR = tf.TensorSpec([None, 4], tf.float64, "x")
MATRIX = tf.TensorSpec([None, 4, 4], tf.float64, "x")


def converted(function, *inputs):
    found = convert(function, inputs, "test")
    check(found)
    return Session(found).run


def test_where_takes_one_branch():
    # 1. `cond * x + (1 - cond) * y` lets through what is not taken.
    def function(x):
        real = tf.where(x > 0, tf.math.log(x), x)
        mask = tf.where(x > 1, x < 2, x > 0)  # of booleans there is no Where
        return {"real": real, "mask": tf.cast(mask, tf.int32)}

    x = [[-1.0, 0.0, 1.0, 2.0], [np.inf, -np.inf, 1.5, 0.5]]
    answer = converted(function, VECTOR)(x=x)
    expected = [[-1, 0, 0, np.log(2)], [np.inf, -np.inf, np.log(1.5), np.log(0.5)]]
    np.testing.assert_allclose(answer["real"], expected)
    np.testing.assert_array_equal(answer["mask"], [[0, 0, 1, 0], [0, 0, 1, 1]])


def test_float64_is_sorted_as_float64():
    # 2. TopK compares float32.
    x = np.array([[1 + 1e-12, 1.0, 1 + 2e-12, 0.1], [3.0, np.pi, 3.0, -1.0]])
    answer = converted(lambda x: {"y": tf.sort(x, axis=-1)}, VECTOR)(x=x)
    np.testing.assert_array_equal(answer["y"], np.sort(x, axis=1))


@pytest.mark.parametrize("order", [None, 4])
def test_levels_closer_than_float32_resolves_are_sorted(rng, order):
    w = 1 + 1e-12 * np.array([0.0, 3.0, 1.0, 2.0])
    A = np.broadcast_to(np.diag(w), [2, 4, 4])
    answer = session("eigh", "float64", order).run(matrix=A)
    np.testing.assert_array_equal(answer["eigenvalues"], [np.sort(w)] * 2)


def test_constants_near_one_survive():
    # 3. ONNX Runtime removes x * 1, but compares the constant as float32.
    def function(x):
        y = x * (1 - 1e-12) - x
        return {"y": y * 1e12, "z": (1 + 3e-13) * x - x, "q": x / (1 + 2e-13) - x}

    answer = converted(function, VECTOR)(x=np.ones([1, 4]))
    np.testing.assert_allclose(answer["y"], -1, rtol=1e-2)
    np.testing.assert_allclose(answer["z"], 3e-13, rtol=1e-2)
    np.testing.assert_allclose(answer["q"], -2e-13, rtol=1e-2)


@pytest.mark.parametrize("function", [lambda x: x + 1e-46, lambda x: x - 1e-50])
def test_other_constants_that_would_be_lost_are_refused(function):
    found = convert(lambda x: {"y": function(x)}, [VECTOR], "test")
    with pytest.raises(ValueError, match="ONNX Runtime would drop the constants"):
        check(found)


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_constant_of_the_eigensolver_is_lost(dtype):
    for order in (None, 4):
        assert fragile_constants(model("eigengradient", dtype, order)) == []


def test_vectors_are_orthogonal_in_float32(rng):
    # 4. Biased reciprocals cost a digit.
    A = symmetric(rng, 48, 2)
    V = session("eigh", "float32").run(matrix=A)["eigenvectors"].astype(np.float64)
    gram = np.swapaxes(V, 1, 2) @ V - np.eye(48)
    assert np.abs(gram).max() < 1e-6


@pytest.mark.parametrize("n", [1, 2, 3, 6, 7])
def test_nothing_negative_is_divided_with_remainder(monkeypatch, n):
    # 5. Mod becomes a division that truncates.
    original = tf.math.floormod

    def floormod(x, y):
        assert np.all(np.asarray(x) >= 0)
        return original(x, y)

    monkeypatch.setattr(tf.math, "floormod", floormod)
    tables = eigensolver._tables(tf.constant(n, tf.int64), tf.float64)
    rounds, size = tables.partner.shape
    assert (rounds, size) == (n + n % 2 - 1, n + n % 2)
    met = {(i, j) for row in tables.partner.numpy() for i, j in enumerate(row)}
    assert met == {(i, j) for i in range(size) for j in range(size) if i != j}


def test_diagonals_take_few_operations():
    # 7. They become large graphs with branches and loops.
    def function(x):
        return {"y": tf.linalg.diag_part(x)}

    found = convert(function, [MATRIX], "test")
    assert count_operators(found)["If"] == count_operators(found)["Loop"] == 0
    assert sum(count_operators(found).values()) < 20
    x = np.arange(32.0).reshape(2, 4, 4)
    np.testing.assert_array_equal(
        Session(found).run(x=x)["y"], x[:, range(4), range(4)]
    )


@pytest.mark.parametrize("order", [None, 4])
def test_onnx_runtime_has_nothing_to_warn_of(capfd, order):
    # 8. tf.eye with a batch shape gets a wrong inferred shape.
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 2
    content = model("eigengradient", "float64", order).SerializeToString()
    run = onnxruntime.InferenceSession(content, options).run
    feed = {"matrix": np.ones([2, 4, 4]), "level": np.zeros(2, np.int32)}
    run(None, feed)
    assert capfd.readouterr().err == ""


def test_a_round_of_the_eigensolver_is_short():
    # 9, 13. Slices cost six operations each, and what a loop captures it carries.
    graphs = list(all_graphs(model("eigh", "float64").graph))
    innermost = graphs[2]
    operators = [node.op_type for node in innermost.node]
    assert operators.count("GatherND") == 2
    assert not {"Slice", "Shape", "Reshape", "Loop"} & set(operators)
    assert len(operators) <= 48
    assert len(innermost.input) <= 12


def test_constants_of_a_loop_have_shapes():
    # 13. Large ones become arguments of the loop, whose rank conversion needs.
    table = tf.constant(np.arange(640.0).reshape(40, 4, 4))

    def function(x):
        def body(k, y):
            return k + 1, y + tf.linalg.diag_part(tf.gather(table, [k, k]))

        return {"y": tf.while_loop(lambda k, _: k < 3, body, (0, x))[1]}

    x = np.ones([2, 4])
    diagonals = table.numpy()[:3, range(4), range(4)].sum(axis=0)
    answer = converted(function, tf.TensorSpec([2, 4], tf.float64, "x"))(x=x)
    np.testing.assert_array_equal(answer["y"], x + diagonals)


def test_a_gradient_tape_is_no_silent_failure():
    # 10. What tf2onnx cannot convert it leaves in the model.
    def function(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(x[:, : tf.shape(x)[0]] ** 2)
        return {"y": tape.gradient(y, x)}

    with pytest.raises(ValueError, match="StridedSliceGrad"):
        check(convert(function, [VECTOR], "test"))


@pytest.mark.parametrize(
    ("function", "operator"), [(tf.linalg.inv, "MatrixInverse"), (tf.linalg.svd, "Svd")]
)
def test_unknown_operations_are_named(function, operator):
    def last(x):
        return {"y": tf.nest.flatten(function(x))[-1]}

    found = convert(last, [MATRIX], "test")
    with pytest.raises(ValueError, match=f"test needs {operator}, for which ONNX has"):
        check(found)


def test_only_a_whole_sort_is_replaced():
    def function(x):
        return {"y": tf.math.top_k(x, k=2)[0]}

    with pytest.raises(ValueError, match="TopKV2"):
        convert(function, [VECTOR], "test")


@pytest.mark.parametrize("order", [None, 4])
def test_one_model_serves_every_batch(rng, order):
    # 14. Shapes that change inside a loop.
    run = session("eigengradient", "float64", order).run
    for batch in (0, 1, 2, 31):
        answer = run(matrix=symmetric(rng, 4, batch), level=np.zeros(batch))
        assert answer["gradient"].shape == (batch, 4, 4)


def test_no_operator_is_of_another_domain():
    for name in ("eigh", "eigengradient", "loss_gradient"):
        found = model(name, "float32")
        assert [x.domain for x in found.opset_import] == [""]
        assert found.opset_import[0].version == 18
        assert not any("::" in x for x in count_operators(found))


def test_check_finds_what_is_wrong():
    found = type(model("eigh", "float64", 2))()
    found.CopyFrom(model("eigh", "float64", 2))
    found.graph.node[0].op_type = "SelfAdjointEigV2"
    with pytest.raises(ValueError, match="eigh needs SelfAdjointEigV2, for which ONNX"):
        check(found)
    found.CopyFrom(model("eigh", "float64", 2))
    found.graph.node[-1].input[0] = "nowhere"
    with pytest.raises(ValueError, match="eigh is no valid model"):
        check(found)
    found.CopyFrom(model("eigh", "float64", 2))
    found.opset_import.add(domain="ai.onnx.ml", version=3)
    with pytest.raises(ValueError, match=r"eigh needs operators of \['ai.onnx.ml'\]"):
        check(found)


def test_the_log_of_tf2onnx_is_quiet_and_left_as_it_was(caplog):
    before = logging.getLogger("tf2onnx").level
    converted(lambda x: {"y": tf.linalg.eigh(x)[0]}, MATRIX)
    assert caplog.text == ""
    assert logging.getLogger("tf2onnx").level == before


def test_names_are_kept_whatever_their_case(rng):
    spec = tf.TensorSpec([None, 2], tf.float32, "A")
    run = converted(lambda A: {"B": A + A, "a": A * A}, spec)
    x = rng.normal(size=[3, 2]).astype(np.float32)
    answer = run(A=x)
    np.testing.assert_array_equal(answer["B"], x + x)
    np.testing.assert_array_equal(answer["a"], x * x)


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(
        ImportError, match=r"needs tf2onnx: pip install 'eigenfit\[onnx"
    ):
        convert(lambda x: {"y": x + x}, [VECTOR], "test")


@pytest.mark.parametrize("dtype", DTYPES)
def test_linear_algebra(rng, dtype):
    B = rng.normal(size=[5, 4, 4])
    S = (B @ np.swapaxes(B, 1, 2) + np.eye(4)).astype(dtype)
    right = rng.normal(size=[5, 4, 2]).astype(dtype)
    S[2, 3, 1] = np.nan
    S[3] = -np.eye(4)  # not positive definite

    def function(s, b):
        L = tf.linalg.cholesky(s)
        forward = tf.linalg.triangular_solve(L, b)
        upper = tf.linalg.matrix_transpose(L)
        return {
            "L": L,
            "x": tf.linalg.cholesky_solve(L, b),
            "u": tf.linalg.triangular_solve(upper, forward, lower=False),
        }

    specs = [
        tf.TensorSpec([None, 4, 4], dtype, "s"),
        tf.TensorSpec([None, 4, 2], dtype, "b"),
    ]
    answer = converted(function, *specs)(s=S, b=right)
    good = [0, 1, 4]
    unit = 100 * epsilon(tf.as_dtype(dtype))
    L = np.linalg.cholesky(S[good].astype(np.float64))
    np.testing.assert_allclose(answer["L"][good], L, atol=unit)
    x = np.linalg.solve(S[good].astype(np.float64), right[good])
    np.testing.assert_allclose(answer["x"][good], x, atol=unit)
    np.testing.assert_allclose(answer["u"][good], x, atol=unit)
    assert np.isnan(answer["x"][[2, 3]]).all()


@pytest.mark.parametrize("n", [1, 5, 6])
def test_the_eigensolver_in_tensorflow_itself(n):
    for family in ("random", "ones", "wilkinson"):
        A = members(family, n, 3, "float64")
        w, V = eigensolver.symmetric_eigh(tf.constant(A))
        np.testing.assert_allclose(w, np.linalg.eigvalsh(A), atol=1e-13)
        np.testing.assert_allclose(A @ V.numpy(), V * w[:, tf.newaxis], atol=1e-13)


def test_sorting_in_tensorflow_itself(rng):
    x = rng.integers(3, size=[4, 6]).astype(float)
    values, source = basic.sort_descending(tf.constant(x))
    np.testing.assert_array_equal(values, -np.sort(-x))
    np.testing.assert_array_equal(source, np.argsort(-x, kind="stable"))


def test_a_structure_that_is_written_out_is_that_of_the_block():
    """Equations of equal levels look at the block."""
    changed = portable(ef.Problem(ef.Toeplitz(3)))
    assert isinstance(changed.structure, ef.Affine)
    assert changed.blocks[0].structure is changed.structure
