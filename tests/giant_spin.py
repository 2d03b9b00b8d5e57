"""Levels of Mn12 acetate as one spin of S = 10, in meV relative to the lowest."""

import numpy as np

import eigenfit as ef

NAMES = ["B20", "B40", "B44", "B22"]
FITTED = np.array([-0.0570 / 3, -2.78e-6, -3.2e-6, 6.8e-4])
"""R. Bircher et al., Phys. Rev. B 70 (2004) 212413."""
MHZ = 29979.2458 * 8.065
START = np.array([-1000.0, -1.0, -1.0, -100.0]) / MHZ
"""That of A. Bloor Riley, M. Webb & M. L. Baker for deflation."""


def operators():
    """Stevens operators of the four parameters, `[4, 21, 21]`."""
    S = 10
    m = np.arange(-S, S + 1.0)
    X = S * (S + 1)
    raising = np.diag(np.sqrt(X - m[:-1] * (m[:-1] + 1)), -1)
    second = raising @ raising
    fourth = second @ second
    return np.stack(
        [
            np.diag(3 * m**2 - X),
            np.diag(35 * m**4 - (30 * X - 25) * m**2 + 3 * X**2 - 6 * X),
            (fourth + fourth.T) / 2,
            (second + second.T) / 2,
        ]
    )


def levels(parameters):
    w = np.linalg.eigvalsh(np.tensordot(parameters, operators(), 1))
    return w - w[0]


def problem(factor=1.0):
    return ef.Problem(
        ef.Affine(list(factor * operators())),
        ef.FreeShift(ef.Levels()),
        parameters=ef.Parameters(NAMES),
    )


def starts(number, seed=0):
    """Within 50 % of the fitted ones, B22 and B44 with both signs."""
    rng = np.random.default_rng(seed)
    sign = rng.choice([-1.0, 1.0], [number, 4])
    sign[:, :2] = 1
    return FITTED * rng.uniform(0.5, 1.5, [number, 4]) * sign


def minima(targets, begins):
    """What `scipy.optimize.least_squares` finds from starts: loss and parameters."""
    from scipy.optimize import least_squares

    B, size = operators(), np.abs(FITTED)

    def shifted(x):
        w = np.linalg.eigvalsh(np.tensordot(x * size, B, 1)) - targets
        return w - w.mean()

    def slope(x):
        V = np.linalg.eigh(np.tensordot(x * size, B, 1))[1]
        J = np.einsum("ai,kab,bi->ik", V, B, V) * size
        return J - J.mean(axis=0)

    tight = {"xtol": 1e-14, "ftol": 1e-14, "gtol": 1e-14}
    ends = [least_squares(shifted, x, slope, **tight) for x in begins / size]
    found = []
    for end in sorted(ends, key=lambda end: end.cost):
        x = end.x * size
        if not any(np.allclose(x, other, rtol=1e-3) for _, other in found):
            found.append((2 * end.cost, x))
    return np.array([loss for loss, _ in found]), np.array([x for _, x in found])
