"""Loads exported SavedModels."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import tensorflow as tf

from eigenfit import Gradient, Solution
from eigenfit.tensors.batching import batch_rank, flatten, unflatten
from eigenfit.tensors.types import TensorLike
from eigenfit.tensors.validation import as_tensor, broadcast_batch
from eigenfit_export.loading.manifest_reader import (
    MANIFEST,
    newest_version,
    read_manifest,
)
from eigenfit_export.naming import join_complex, split_complex
from eigenfit_export.signatures import (
    FIT_FROM_START,
    FIT_WEIGHTED,
    FIT_WEIGHTED_FROM_RANDOM,
    SERVING_DEFAULT,
)

_DEFAULT_TOLERANCES = {1: 1e-8}
"""By format of the manifest; later models take 0 for a default of their own, which is
relative to the targets."""


def load_model(path: str | os.PathLike[str]) -> LoadedSolver:
    """Loads a solver that was exported as a SavedModel.

    Args:
        path: Folder of a version, or the one above it for the newest version.

    Raises:
        FileNotFoundError: If there is no model.
        ValueError: If the SavedModel was not written by eigenfit.
    """
    base = Path(path)
    folder = newest_version(base)
    if folder is None:
        raise FileNotFoundError(
            f"No SavedModel in {base}: it has neither saved_model.pb nor a version "
            f"folder such as {base / '1'}. Write one with save_model."
        )
    try:
        manifest = read_manifest(folder)
    except FileNotFoundError:
        raise ValueError(
            f"{folder} is not a model of eigenfit: it has no {MANIFEST}. Write one "
            f"with save_model."
        ) from None
    return LoadedSolver(tf.saved_model.load(str(folder)), manifest)


class LoadedSolver:
    """The functions of a Solver, loaded from a SavedModel.

    Attributes:
        signatures: The exported functions by name; see `signatures_of`.
        manifest: Manifest of the export: problem, method, limits and files.

    Example:
        >>> import tempfile
        >>> import eigenfit as ef
        >>> from eigenfit_export import load_model, save_model
        >>> solver = ef.Solver(ef.Problem(ef.Additive([[0.0, 1.0], [1.0, 0.0]])))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_model(solver, folder, warmup_batches=(), start=[0.0, 4.0]).name
        ...     model = load_model(folder)
        '1'
        >>> model.fit(targets=[0.0, 4.0]).raise_for_result().parameters.numpy().round(4)
        array([0.2679, 3.7321])
        >>> starts, solution = model.fit_from_random([1, 2, 3], [0.0, 4.0])
        >>> starts.shape.as_list(), solution.success.tolist()
        ([3, 2], [True, True, True])
        >>> model.eigenvalues([0.0, 0.0]).numpy().tolist()
        [-1.0, 1.0]
        >>> model.gradient([0.0, 0.0], [-1.0, 2.0]).gradient.numpy().round(9).tolist()
        [-1.0, -1.0]
        >>> slope = model.eigengradient([[0.0, 1.0], [1.0, 0.0]], -1)["gradient"]
        >>> slope.numpy().round(9).tolist()  # v v^T of the highest level
        [[0.5, 0.5], [0.5, 0.5]]
        >>> r, targets = [0.0, 0.0], [-1.0, 2.0]
        >>> product = model.hessian_vector_product(r, targets, [1.0, 0.0])
        >>> product.numpy().round(9).tolist()
        [0.5, 1.5]
        >>> state = model.step(model.init([0.0, 4.0], [0.0, 4.0]), [0.0, 4.0])
    """

    def __init__(self, model: Any, manifest: dict[str, Any]) -> None:
        self._model = model  # keeps alive what the functions capture
        self.signatures = dict(model.signatures)
        self.manifest = manifest

    def fit(
        self,
        initial: TensorLike | None = None,
        targets: TensorLike | None = None,
        *,
        weights: TensorLike | None = None,
        tolerance: TensorLike | None = None,
        max_steps: TensorLike | None = None,
    ) -> Solution:
        """Fits parameters to targets; see `eigenfit.Solver.fit`.

        Without `initial` the fit begins at the start with which the model was exported.
        `weights`, `[..., m]` and positive, replace the weights and standard deviations
        of the problem; the model must have been exported with `fit_weighted`.

        A member whose targets do not ascend, or whose limits are out of range, gets
        `Result.invalid_input`. `max_steps` above the limit of the export is clipped.

        Raises:
            TypeError: If `targets` is missing, or `weights` come without `initial`.
            ValueError: If a shape does not fit, or `initial` is left out and the model
                was exported without a start.
        """
        if targets is None:
            raise TypeError("`targets` must be given.")
        given = {"targets": targets, **self._limits(tolerance, max_steps)}
        if initial is not None:
            name = SERVING_DEFAULT
            if weights is not None:
                name, given["weights"] = FIT_WEIGHTED, weights
            return self._solution(self._call(name, initial=initial, **given))
        if weights is not None:
            raise TypeError("`initial` must be given with `weights`.")
        if FIT_FROM_START not in self.signatures:
            raise ValueError(
                "`initial` must be given: the model was exported without a start. Give "
                "it, call fit_from_random, or export with `start` (in a problem file "
                "[start] parameters)."
            )
        answer = self._call(FIT_FROM_START, **given)
        del answer["initial"]
        return self._solution(answer)

    def fit_from_random(
        self,
        seed: TensorLike,
        targets: TensorLike,
        *,
        weights: TensorLike | None = None,
        tolerance: TensorLike | None = None,
        max_steps: TensorLike | None = None,
    ) -> tuple[tf.Tensor, Solution]:
        """Fits from starts drawn inside the model.

        Args:
            seed: `[...]` integer; a member's draw does not depend on the others.
            targets: Values to fit, `[..., m]`.
            weights: As for `fit`.
            tolerance: As for `fit`.
            max_steps: As for `fit`.

        Returns:
            The starts `[..., p]` and the solution.
        """
        given = {"targets": targets, **self._limits(tolerance, max_steps)}
        name = "fit_from_random"
        if weights is not None:
            name, given["weights"] = FIT_WEIGHTED_FROM_RANDOM, weights
        answer = self._call(name, seed=seed, **given)
        return answer.pop("initial"), self._solution(answer)

    def eigenvalues(self, parameters: TensorLike) -> tf.Tensor:
        """Computes `[..., N]` from `[..., p]`; see `eigenfit.Solver.eigenvalues`."""
        return self._call("eigenvalues", parameters=parameters)["eigenvalues"]

    def gradient(self, parameters: TensorLike, targets: TensorLike) -> Gradient:
        """Computes loss, gradient and eigenvalues; see `eigenfit.Solver.gradient`."""
        return Gradient(
            **self._call("gradient", parameters=parameters, targets=targets)
        )

    def eigengradient(
        self, matrix: TensorLike, level: TensorLike
    ) -> dict[str, tf.Tensor]:
        """Computes the derivative of a level by the matrix.

        Args:
            matrix: `[..., n, n]`; only the lower triangle is read.
            level: Index of the level, `[...]` integer; negative ones count from the
                top.

        Returns:
            `eigenvalues` `[..., n]`, `gradient` and `gradient_lower` `[..., n, n]`,
            NaN where there is no such level; see `signatures_of`.
        """
        specs = self.signatures["eigengradient"].structured_input_signature[1]
        arguments = {"matrix": matrix}
        if "matrix" not in specs:
            dtype = specs["matrix_real"].dtype
            wide = tf.complex128 if dtype == tf.float64 else tf.complex64
            arguments = split_complex({"matrix": tf.convert_to_tensor(matrix, wide)})
        return join_complex(self._call("eigengradient", **arguments, level=level))

    def hessian_vector_product(
        self, parameters: TensorLike, targets: TensorLike, vector: TensorLike
    ) -> tf.Tensor:
        """Computes the Hessian of the loss times a vector, `[..., p]`."""
        return self._call(
            "hessian_vector_product",
            parameters=parameters,
            targets=targets,
            vector=vector,
        )["product"]

    def init(self, initial: TensorLike, targets: TensorLike) -> dict[str, tf.Tensor]:
        """Returns the method's first state, by name; see `eigenfit.Solver.init`."""
        return self._call("init", initial=initial, targets=targets)

    def step(
        self, state: dict[str, tf.Tensor], targets: TensorLike
    ) -> dict[str, tf.Tensor]:
        """Takes one step of the method; see `eigenfit.Solver.step`."""
        return self._call("step", **state, targets=targets)

    def _limits(self, tolerance: Any, max_steps: Any) -> dict[str, Any]:
        steps = self.manifest["default_max_steps"] if max_steps is None else max_steps
        if tolerance is None:
            tolerance = _DEFAULT_TOLERANCES.get(self.manifest["format"], 0.0)
        return {"tolerance": tolerance, "max_steps": steps}

    def _solution(self, answer: dict[str, tf.Tensor]) -> Solution:
        answer = join_complex(answer)
        names = [block["matrix"] for block in self.manifest["blocks"]]
        matrices = tuple(answer.pop(name) for name in names)
        (matrix,) = matrices if len(matrices) == 1 else (matrices,)
        return Solution(matrix=matrix, **answer)

    def _call(self, name: str, **arguments: Any) -> dict[str, tf.Tensor]:
        if name not in self.signatures:
            raise ValueError(f"The model was exported without {name}. Export it again.")
        function = self.signatures[name]
        named: dict[str, tuple[tf.Tensor, int]] = {}
        for key, spec in function.structured_input_signature[1].items():
            event = spec.shape[1:]
            last = event[-1] if event.rank else None
            value = as_tensor(key, arguments[key], spec.dtype, last)
            named[key] = (value, event.rank)
        batch, values = broadcast_batch(**named)
        flat = flatten(values, batch_rank(batch))
        return unflatten(function(**dict(zip(named, flat, strict=True))), batch)
