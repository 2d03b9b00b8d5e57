"""Least squares whose rows differ by many orders of magnitude."""

from __future__ import annotations

import numpy as np


def solve_graded(
    A: np.ndarray, B: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Factors `A = Q R P^T`, accurate in each row, however large the others are.

    Rows are sorted by size and columns exchanged, which makes Householder's method
    stable row by row (A. J. Cox & N. J. Higham, in Numerical Analysis 1997, Pitman
    Research Notes 380, 57-73): data of 1e-3 and of 1e5 in one problem do not spoil
    each other. Columns of zeros come last and are left out.

    Args:
        A: `[..., m, p]`, finite.
        B: `[..., m, k]`, right-hand sides; none by default.

    Returns:
        `P R^-1`, `[..., p, p]`, with zeros for columns of zeros, so that its product
        with the first p rows of `Q^T B` solves the problem; and `Q^T B`, `[..., m, k]`.
    """
    *batch, m, p = A.shape
    if m < p:
        A = np.concatenate([A, np.zeros([*batch, p - m, p])], axis=-2)
    order = np.argsort(-np.abs(A).max(axis=-1, initial=0.0), axis=-1, kind="stable")
    A = np.take_along_axis(A, order[..., np.newaxis], axis=-2)
    if B is None:
        B = np.zeros([*batch, m, 0])
    if m < p:
        B = np.concatenate([B, np.zeros([*batch, p - m, B.shape[-1]])], axis=-2)
    B = np.take_along_axis(B, order[..., np.newaxis], axis=-2)
    places = np.zeros([*batch, p], int) + np.arange(p)
    for k in range(p):
        length = norms(A[..., k:, k:], axis=-2)
        best = k + np.argmax(length, axis=-1)[..., np.newaxis]
        swap = np.zeros([*batch, p], int) + np.arange(p)
        np.put_along_axis(swap, best, k, axis=-1)
        swap[..., k] = best[..., 0]
        A = np.take_along_axis(A, swap[..., np.newaxis, :], axis=-1)
        places = np.take_along_axis(places, swap, axis=-1)
        size = length.max(axis=-1)[..., np.newaxis]
        v = A[..., k:, k] / np.where(size > 0, size, 1.0)  # of norm 1, or 0
        sign = np.where(v[..., :1] < 0, -1.0, 1.0)
        v[..., :1] += np.where(size > 0, sign, 0.0)
        twice = 1 / np.where(size > 0, np.abs(v[..., :1]), 1.0)  # 2 / v^T v
        for X in (A[..., k:, k:], B[..., k:, :]):
            X -= (twice * v)[..., np.newaxis] * (v[..., np.newaxis, :] @ X)
    R = np.triu(A[..., :p, :])
    diagonal = np.diagonal(R, axis1=-2, axis2=-1)[..., np.newaxis]
    zero = diagonal == 0
    divisor = np.where(zero, 1.0, diagonal)
    R = np.where(zero, np.eye(p), R / divisor)
    inverse = np.linalg.inv(R) * np.where(zero, 0.0, 1 / divisor)[..., 0][..., None, :]
    back = np.zeros_like(inverse)
    np.put_along_axis(back, places[..., np.newaxis], inverse, axis=-2)
    return back, B[..., :m, :] if m < p else B


def norms(array: np.ndarray, axis: int) -> np.ndarray:
    """Computes Euclidean norms along an axis, whatever the size of the numbers."""
    largest = np.abs(array).max(axis=axis, initial=0.0, keepdims=True)
    unit = np.where((largest > 0) & np.isfinite(largest), largest, 1.0)
    squares = np.sum((array / unit) ** 2, axis=axis)
    return np.sqrt(squares) * np.squeeze(unit, axis)
