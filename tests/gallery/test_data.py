"""The data of the gallery against published numbers, with NumPy and SciPy alone."""

import numpy as np
import pytest
import scipy.linalg

from eigenfit import gallery
from eigenfit.gallery import classic, crystal_field, frames, rotational, tight_binding
from eigenfit.gallery.entry import printed

# SPFIT's fit of H2COH+ in full precision, MHz.
H2COH = [
    197581.5594329546,
    34350.54739588455,
    29172.65425253290,
    -0.05534126336114131,
    -0.6291980947077179,
    -6.464408205562103,
    -0.009531001642388043,
    -0.001933016057371318,
]


def rotor(J: int, constants: list[float]) -> np.ndarray:
    """Watson's S reduction in I^r, element by element."""
    A, B, C, minus_DJ, minus_DJK, minus_DK, d1, d2 = constants
    H = np.zeros([2 * J + 1, 2 * J + 1])
    square = J * (J + 1)

    def lowering(K, times):
        # <K - times| J-^times |K>
        steps = [square - k * (k - 1) for k in range(K, K - times, -1)]
        return np.sqrt(np.prod(steps))

    for K in range(-J, J + 1):
        H[K + J, K + J] = (
            (B + C) / 2 * (square - K**2)
            + A * K**2
            + minus_DJ * square**2
            + minus_DJK * square * K**2
            + minus_DK * K**4
        )
        for times, factor in ((2, (B - C) / 4 + d1 * square), (4, d2)):
            if K - times >= -J:
                element = factor * lowering(K, times)
                H[K + J, K + J - times] = H[K + J - times, K + J] = element
    return H


def test_spectrum_of_h2coh_at_the_published_constants():
    E = [np.linalg.eigvalsh(rotor(J, H2COH)) for J in range(12)]
    lines = rotational.lines()
    calculated = [
        E[J1][J1 + Ka1 - Kc1] - E[J0][J0 + Ka0 - Kc0]
        for (J1, Ka1, Kc1), (J0, Ka0, Kc0), _ in lines
    ]
    difference = calculated - np.array([line.frequency for line in lines])
    assert len(lines) == 32
    assert np.sqrt(np.mean(difference**2)) == pytest.approx(0.038949, abs=5e-7)
    # Their reduced rms, in standard deviations of a line.
    reduced = np.sqrt(np.mean((difference / rotational.SIGMA) ** 2))
    assert reduced == pytest.approx(0.97372, abs=5e-6)


@pytest.mark.parametrize("J", range(12))
def test_rotor_operators(J):
    H = np.tensordot(H2COH, rotational.rotor_basis(J), 1)
    np.testing.assert_allclose(H, rotor(J, H2COH), rtol=1e-14, atol=1e-8)


def test_printed_constants_are_those_of_the_fit():
    values, half = printed(rotational.PRINTED)
    assert (np.abs(values - H2COH) <= half).all()


def shear(stiffness):
    """K_ii = k_i + k_(i+1), K_i(i+1) = -k_(i+1)."""
    k = np.append(stiffness, 0)
    return np.diag(k[:-1] + k[1:]) - np.diag(k[1:-1], 1) - np.diag(k[1:-1], -1)


def test_levels_of_the_18_storey_frame():
    M = np.diag(frames.MASSES)
    actual = shear(frames.NOMINAL * (1 + frames.ACTUAL))
    levels = scipy.linalg.eigvalsh(actual, M)
    np.testing.assert_allclose(levels, gallery.load("T7a").levels, rtol=0, atol=6e-9)
    nominal = scipy.linalg.eigvalsh(shear(frames.NOMINAL), M)
    published = [32.62592469, 243.94197641, 652.94424134, 1245.37552174]
    np.testing.assert_allclose(nominal[:4], published, rtol=0, atol=6e-9)


def test_mode_shapes_of_the_18_storey_frame():
    M = np.diag(frames.MASSES)
    actual = shear(frames.NOMINAL * (1 + frames.ACTUAL))
    _, X = scipy.linalg.eigh(actual, M)
    measured = X[[0, 3, 6, 8, 11, 14, 17], :4].T
    targets = gallery.load("T7b").targets
    shapes = targets[4:].reshape(4, 7)
    assert (np.max(np.abs(shapes), axis=1) == 1).all()
    assert (np.max(shapes, axis=1) == 1).all()
    # Parallel to the modes: scaled only.
    cosine = np.sum(shapes * measured, axis=1) / np.linalg.norm(measured, axis=1)
    np.testing.assert_allclose(np.abs(cosine), np.linalg.norm(shapes, axis=1))
    np.testing.assert_allclose(targets[:4], gallery.load("T7a").targets[:4])


def test_shear_basis():
    k = [3.0, 2.0, 5.0]
    np.testing.assert_array_equal(frames.shear_basis(k).sum(axis=0), shear(k))


@pytest.mark.parametrize("solution", frames.LAB_SOLUTIONS)
def test_frequencies_of_the_laboratory_frame(solution):
    w = np.linalg.eigvalsh(shear(np.array(solution.split(), float)) / frames.LAB_MASS)
    measured = [0.88289843, 2.74773779, 4.29976448, 5.52947434]
    # Stiffnesses have seven digits.
    np.testing.assert_allclose(np.sqrt(w) / (2 * np.pi), measured, rtol=0, atol=5e-7)
    np.testing.assert_array_equal(gallery.load("T8").targets, measured)


def test_nominal_laboratory_frame():
    w = np.linalg.eigvalsh(shear(np.full(4, 10.0)) / frames.LAB_MASS)
    published = [0.98898534, 2.8476698, 4.36288325, 5.35186859]
    np.testing.assert_allclose(np.sqrt(w) / (2 * np.pi), published, rtol=0, atol=6e-9)


def vogl(kpoint, parameters):
    """H(k) as in the paper, from the four sums g0..g3."""
    Esa, Epa, Esc, Epc, Es2a, Es2c = parameters[:6]
    Vss, Vxx, Vxy, Vsapc, Vscpa, Vs2apc, Vpas2c = parameters[6:]
    x = np.pi * np.asarray(kpoint) / 2
    (c1, c2, c3), (s1, s2, s3) = np.cos(x), np.sin(x)
    g0 = c1 * c2 * c3 - 1j * s1 * s2 * s3
    g1 = -c1 * s2 * s3 + 1j * s1 * c2 * c3
    g2 = -s1 * c2 * s3 + 1j * c1 * s2 * c3
    g3 = -s1 * s2 * c3 + 1j * c1 * c2 * s3
    B = np.array(
        [
            [Vss * g0, Vsapc * g1, Vsapc * g2, Vsapc * g3, 0],
            [-Vscpa * g1, Vxx * g0, Vxy * g3, Vxy * g2, -Vpas2c * g1],
            [-Vscpa * g2, Vxy * g3, Vxx * g0, Vxy * g1, -Vpas2c * g2],
            [-Vscpa * g3, Vxy * g2, Vxy * g1, Vxx * g0, -Vpas2c * g3],
            [0, Vs2apc * g1, Vs2apc * g2, Vs2apc * g3, 0],
        ]
    )
    anion, cation = np.diag([Esa, *[Epa] * 3, Es2a]), np.diag([Esc, *[Epc] * 3, Es2c])
    return np.block([[anion, B], [B.conj().T, cation]])


def all_thirteen(silicon):
    Es, Ep, Es2, Vss, Vxx, Vxy, Vsp, Vs2p = silicon
    return [Es, Ep, Es, Ep, Es2, Es2, Vss, Vxx, Vxy, Vsp, Vsp, Vs2p, Vs2p]


@pytest.mark.parametrize("name", ["gaas-bands", "si-bands"])
def test_published_bands(name):
    entry = gallery.load(name)
    r = entry.answer if name == "gaas-bands" else all_thirteen(entry.answer)
    points = [[0, 0, 0], [1, 0, 0], [0.5, 0.5, 0.5]]
    levels = np.concatenate([np.linalg.eigvalsh(vogl(k, r)) for k in points])
    np.testing.assert_allclose(
        levels, entry.levels, rtol=0, atol=5e-6
    )  # printed digits
    np.testing.assert_allclose(entry.targets, levels, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kpoint", [(0.3, -0.1, 0.7), (0.73, 0, 0)])
def test_hamiltonians_anywhere_in_the_zone(kpoint, rng):
    r = rng.normal(size=13)
    basis = tight_binding.sp3s_basis()
    H = tight_binding.hamiltonian(basis, r, kpoint)
    np.testing.assert_allclose(H, vogl(kpoint, r), rtol=0, atol=1e-14)
    H = tight_binding.bloch(basis, kpoint).assemble(r).numpy()
    np.testing.assert_allclose(H, vogl(kpoint, r), rtol=0, atol=1e-14)
    r = rng.normal(size=8)
    H = tight_binding.hamiltonian(tight_binding.silicon_basis(), r, kpoint)
    np.testing.assert_allclose(H, vogl(kpoint, all_thirteen(r)), rtol=0, atol=1e-14)


def test_gaps_of_gaas_and_silicon():
    gaas, silicon = gallery.load("gaas-bands"), gallery.load("si-bands")
    assert gaas.targets[4] - gaas.targets[3] == pytest.approx(1.55, abs=0.005)
    w = np.linalg.eigvalsh(vogl([0.73, 0, 0], all_thirteen(silicon.answer)))
    assert w[4] - silicon.targets[3] == pytest.approx(1.1713, abs=5e-5)


def test_stevens_operators_against_angular_momentum():
    J = 3.5
    m = np.arange(-J, J + 1)
    Jz = np.diag(m)
    up = np.diag(np.sqrt(J * (J + 1) - m[:-1] * (m[:-1] + 1)), -1)
    operators = crystal_field.stevens_operators(7)
    for name, operator in operators.items():
        assert np.trace(operator) == pytest.approx(0, abs=1e-9), name
    # Tensor operators: O40 and O60 are orthogonal, and [Jz, O44] turns by four.
    assert np.sum(operators["O40"] * operators["O60"]) == pytest.approx(0, abs=1e-6)
    O44 = operators["O44"]
    np.testing.assert_allclose(
        Jz @ (Jz @ O44 - O44 @ Jz) - (Jz @ O44 - O44 @ Jz) @ Jz, 16 * O44
    )
    # The cubic combinations commute with a quarter turn about x.
    Jx = (up + up.T) / 2
    turn = scipy.linalg.expm(-0.5j * np.pi * Jx)
    for cubic in (
        operators["O40"] + 5 * O44,
        operators["O60"] - 21 * operators["O64"],
    ):
        np.testing.assert_allclose(turn @ cubic, cubic @ turn, rtol=0, atol=1e-8)


def test_levels_of_cerium():
    operators = crystal_field.stevens_operators(5)
    w = np.linalg.eigvalsh(operators["O40"] + 5 * operators["O44"])
    np.testing.assert_allclose(w - w[0], [0, 0, 360, 360, 360, 360], rtol=0, atol=1e-11)
    # Rank 6 has no place in J = 5/2, not even as rounding.
    assert not operators["O60"].any()
    assert not operators["O64"].any()


def test_additive_problem():
    printed = np.array(classic.FNO_PRINTED.split(), float)
    levels = np.linalg.eigvalsh(classic.FNO_OFFSET + np.diag(printed))
    assert np.abs(levels - np.arange(10, 81, 10)).max() == pytest.approx(2.83e-9, 1e-2)
    np.testing.assert_allclose(printed, classic.FNO_ANSWER, rtol=0, atol=5e-9)
    levels = np.linalg.eigvalsh(classic.FNO_OFFSET + np.diag(classic.FNO_ANSWER))
    np.testing.assert_allclose(levels, np.arange(10, 81, 10), rtol=0, atol=1e-12)


def test_multiple_levels():
    # As published: A(c) = sum_k c_k (b_kk e_k e_k^T + sum_j<k b_kj (e_k e_j^T + ...)).
    A = classic.fno_multiple_basis().sum(axis=0)
    levels = np.linalg.eigvalsh(A)
    published = [
        1,
        1,
        1,
        2.12075361,
        9.21886818,
        17.28136579,
        35.70821864,
        722.68079377,
    ]
    np.testing.assert_allclose(levels, published, rtol=0, atol=6e-9)
    for k, B in enumerate(classic.fno_multiple_basis()):
        assert not B[k + 1 :].any()
        assert not B[:, k + 1 :].any()
        assert not B[:k, :k].any()
        np.testing.assert_array_equal(B[k, : k + 1], A[k, : k + 1])
        np.testing.assert_array_equal(B[: k + 1, k], A[: k + 1, k])


def test_multiple_levels_well_posed():
    entry = gallery.load("fno-multiple-5")
    A = np.tensordot(entry.answer, classic.fno_multiple_basis(), 1)
    levels = np.linalg.eigvalsh(A)
    # Eight digits of c, times |dA/dc|: 1e1 below, 1e3 at the top.
    np.testing.assert_allclose(levels[:5], [1, 1, 1, 2.1208, 9.2189], rtol=0, atol=2e-7)
    others = [17.28243634, 35.7090455, 722.69559101]
    np.testing.assert_allclose(levels[5:], others, rtol=0, atol=4e-6)


@pytest.mark.parametrize("order", [4, 6, 8])
def test_toeplitz_answers(order):
    T = scipy.linalg.toeplitz(gallery.load(f"toeplitz-{order}").answer)
    np.testing.assert_allclose(
        np.linalg.eigvalsh(T), range(1, order + 1), rtol=0, atol=1e-12
    )


def tridiagonal(diagonal, beside):
    return np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)


def test_jacobi_matrix_of_two_spectra():
    entry = gallery.load("T12")
    A = tridiagonal(entry.answer[:10], entry.answer[10:])
    both = np.r_[np.linalg.eigvalsh(A), np.linalg.eigvalsh(A[1:, 1:])]
    np.testing.assert_allclose(entry.targets, both, rtol=0, atol=1e-14)


def test_clement_matrix():
    entry = gallery.load("T13")
    beside = np.sqrt([7, 12, 15, 16, 15, 12, 7])
    levels = np.linalg.eigvalsh(tridiagonal(np.zeros(8), beside))
    np.testing.assert_allclose(entry.targets, levels, rtol=0, atol=1e-13)
    np.testing.assert_allclose(entry.answer, [0, 0, 0, 0, *beside[:4]])


def test_complete_graph():
    levels = np.linalg.eigvalsh(6 * np.eye(6) - np.ones([6, 6]))
    np.testing.assert_allclose(gallery.load("T14").targets, levels, rtol=0, atol=1e-14)
