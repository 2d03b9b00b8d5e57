"""Matrices that are hard on an eigensolver, and how well one was decomposed."""

import numpy as np


def limit(dtype, n):
    """What a residual and a loss of orthogonality may be, in the Frobenius norm."""
    eps = np.finfo(dtype).eps
    return (2e-14 if eps < 1e-10 else 64 * eps) * np.sqrt(n)


def unitary(rng, n, dtype):
    X = rng.normal(size=(n, n))
    if np.dtype(dtype).kind == "c":
        X = X + 1j * rng.normal(size=(n, n))
    return np.linalg.qr(X)[0]


def with_spectrum(rng, values, dtype):
    Q = unitary(rng, len(values), dtype)
    return hermitian((Q * values) @ Q.conj().T)


def hermitian(A):
    """Mirrors the lower triangle, as the solvers do."""
    below = np.tril(A, -1)
    diagonal = A.real * np.eye(A.shape[-1])
    return below + np.conj(np.swapaxes(below, -1, -2)) + diagonal


def families(n, dtype, seed=0):
    """Gives matrices by name, each at three scales, as one batch fits them."""
    rng = np.random.default_rng([n, seed])
    k = np.arange(n)
    X = rng.normal(size=(n, n))
    if np.dtype(dtype).kind == "c":
        X = X + 1j * rng.normal(size=(n, n))
    X = hermitian(X)
    grades = np.logspace(0, -12, n)
    graded = X * np.sqrt(np.outer(grades, grades))
    couplings = np.eye(n, k=1) + np.eye(n, k=-1)
    matrices = {
        "random": X,
        "two levels": with_spectrum(rng, 1.0 + (k >= n // 2), dtype),
        "plus and minus one": with_spectrum(rng, 1.0 - 2 * (k % 2), dtype),
        "all equal": with_spectrum(rng, np.full(n, 3.0), dtype),
        "two clusters": with_spectrum(
            rng, np.where(k < n // 2, 1 + k * 1e-10, 2 + k * 1e-13), dtype
        ),
        "graded spectrum": with_spectrum(rng, grades, dtype),
        "graded matrix": graded,
        "graded upwards": graded[::-1, ::-1],
        "Wilkinson": np.diag(np.abs(k - (n - 1) / 2)) + couplings,
        "ones": np.ones((n, n)),
        "zero": np.zeros((n, n)),
    }
    for exponent in (8, 10, 12, 14):
        gap = 10.0**-exponent
        matrices[f"gaps 1e-{exponent}"] = with_spectrum(rng, 1 + k * gap, dtype)
        matrices[f"identity + 1e-{exponent}"] = np.eye(n) + X * gap
    scale = 1e150 if np.finfo(dtype).eps < 1e-10 else 1e30
    scales = {"": 1.0, " * large": scale, " / large": 1 / scale}
    return {
        name + suffix: (A * factor).astype(dtype)
        for name, A in matrices.items()
        for suffix, factor in scales.items()
    }


def errors(A, w, V):
    """Gives `||A V - V diag(w)|| / ||A||` and `||V^H V - I||` for each member."""
    A, w, V = (np.asarray(x) for x in (A, w, V))
    double = np.complex128 if A.dtype.kind == "c" else np.float64
    # By powers of two, so that squares stay in range and nothing is rounded.
    largest = np.maximum(np.abs(np.real(A)), np.abs(np.imag(A))).max(axis=(-2, -1))
    exponent = -np.frexp(largest)[1][..., None]
    w = np.ldexp(w.astype(np.float64), exponent)
    A = np.ldexp(np.real(A).astype(np.float64), exponent[..., None]) + (
        1j * np.ldexp(np.imag(A).astype(np.float64), exponent[..., None])
        if double is np.complex128
        else 0
    )
    V = V.astype(double)
    norm = np.linalg.norm(A, axis=(-2, -1))
    residual = np.linalg.norm(A @ V - V * w[..., None, :], axis=(-2, -1))
    gram = np.conj(np.swapaxes(V, -1, -2)) @ V
    orthogonality = np.linalg.norm(gram - np.eye(A.shape[-1]), axis=(-2, -1))
    return residual / np.where(norm > 0, norm, 1), orthogonality


def assert_accurate(A, w, V, names=None):
    A, w, V = (np.asarray(x) for x in (A, w, V))
    residual, orthogonality = errors(A, w, V)
    worst = np.maximum(residual, orthogonality) / limit(A.dtype, A.shape[-1])
    bad = np.flatnonzero(~(worst <= 1))  # NaN is bad as well
    labels = {names[i] if names else int(i): float(worst.flat[i]) for i in bad}
    assert not labels, f"times the limit: {labels}"
    assert (np.diff(w, axis=-1) >= 0).all()
