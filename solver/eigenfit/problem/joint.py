"""Problems with several matrices, any observations, and priors."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from eigenfit.eigen import decompose, eigh, eigvalsh, rounding_width
from eigenfit.observations import AbstractObservation, Spectrum
from eigenfit.observations.base import over
from eigenfit.problem.blocks import Block, block_of, checked_blocks, group, labels_of
from eigenfit.problem.differenced import differenced_hessian
from eigenfit.problem.evaluations import JointEvaluation
from eigenfit.problem.parameters import Parameters
from eigenfit.problem.priors import PriorRows
from eigenfit.problem.problem import Problem, derivative_norms, matrix_norm
from eigenfit.problem.second_order import spectral_hessian
from eigenfit.problem.terms import Terms
from eigenfit.structures import AbstractStructure


class JointProblem(Problem):
    """The `Problem` of several blocks, of observations other than levels, or priors.

    The targets are those of each block in turn, in the order of its observations, and
    then those of the joint observations. Levels `[..., N]` are listed block by block.
    Matrices of the same order are decomposed in one batch.

    Args:
        structure: A list of `Block`s with the same parameters, or one structure.
        observation: The observation of a single structure.
        parameters: Names, bounds, ties and the like.
        observations: Observations of the levels of several blocks, or several
            observations of one structure.
        name: Name of the `tf.Module`.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If blocks have different parameters or the same label, or an
            observation does not fit.

    Example:
        Two matrices with a common coupling:

        >>> from eigenfit import Affine, Block, Levels
        >>> coupling = [[0.0, 1.0], [1.0, 0.0]]
        >>> blocks = [
        ...     Block(Affine([coupling], offset=np.diag([0.0, gap])), Levels([0]))
        ...     for gap in (1.0, 2.0)
        ... ]
        >>> problem = Problem(blocks)
        >>> problem.num_targets, problem.num_levels
        (2, 4)
        >>> problem.eigenvalues([0.0]).numpy().tolist()
        [0.0, 1.0, 0.0, 2.0]
    """

    is_plain = False

    def __init__(
        self,
        structure: AbstractStructure | Sequence[Any],
        observation: AbstractObservation | None = None,
        *,
        parameters: Parameters | None = None,
        observations: Sequence[AbstractObservation] | None = None,
        name: str | None = None,
    ) -> None:
        tf.Module.__init__(self, name=name)
        if isinstance(structure, AbstractStructure):
            block, observations = block_of(structure, observation, observations)
            structure = [block]
        elif observation is not None:
            raise TypeError(
                "`observation` is of a single structure. Give each Block its own, and "
                "joint ones as `observations=[...]`."
            )
        self._blocks = tuple(checked_blocks(structure))
        structures = [block.structure for block in self.blocks]
        self.labels = labels_of(self.blocks)
        self.groups, self._places = group(structures)
        orders = [s.order for s in structures]
        self._starts = tuple(int(k) for k in np.cumsum([0, *orders]))
        resolved = self._resolve(parameters, structures[0].num_parameters)
        self.prior = None if resolved.prior is None else PriorRows(*resolved.prior)
        self._terms = Terms(self.blocks, self.labels, observations or ())
        self.num_targets = self._terms.num_targets
        self.has_modes = self._terms.has_modes
        self.block_ties = self.tie_matrix

    def __repr__(self) -> str:
        blocks = ", ".join(map(repr, self.blocks[:3]))
        more = f", ... {len(self.blocks)} blocks" if len(self.blocks) > 3 else ""
        joint = [t.observation for t in self._terms if t.block is None]
        return f"Problem([{blocks}{more}]{f', observations={joint}' if joint else ''})"

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The matrices, each with its observations."""
        return self._blocks

    @property
    def structure(self) -> AbstractStructure:
        """The structure of the first block."""
        return self.blocks[0].structure

    @property
    def order(self) -> int:
        """Order of the largest matrix."""
        return max(block.structure.order for block in self.blocks)

    @property
    def num_levels(self) -> int:
        """Total number N of levels of all matrices."""
        return self._starts[-1]

    @property
    def num_priors(self) -> int:
        """Number q of priors."""
        return 0 if self.prior is None else len(self.prior.rows)

    @property
    def has_sigma(self) -> bool:
        """Whether all targets have standard deviations."""
        return self._terms.has_sigma

    @property
    def observations(self) -> tuple[AbstractObservation, ...]:
        """All observations, in the order of their targets."""
        return tuple(term.observation for term in self._terms)

    @property
    def terms(self) -> tuple[tuple[str | None, AbstractObservation, slice], ...]:
        """Block label (None for joint), observation and target slice of each term."""
        return tuple(
            (
                None if t.block is None else self.labels[t.block],
                t.observation,
                t.targets,
            )
            for t in self._terms
        )

    def split(self, eigenvalues: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Splits levels by block; see the base class."""
        return tuple(
            eigenvalues[..., a:b]
            for a, b in zip(self._starts[:-1], self._starts[1:], strict=True)
        )

    def matrix(self, parameters: tf.Tensor) -> Any:
        """Builds the matrices; see the base class."""
        r = self.expand(parameters)
        built = tuple(block.structure.assemble(r) for block in self.blocks)
        return built[0] if len(built) == 1 else built

    def pull_matrix(
        self, parameters: tf.Tensor, G: tf.Tensor | Sequence[tf.Tensor]
    ) -> tf.Tensor:
        """Applies the adjoint of the derivative of `matrix`; see the base class."""
        r = self.expand(parameters)
        each = G if isinstance(G, (tuple, list)) else (G,)
        pulled = [
            block.structure.pullback(r, g)
            for block, g in zip(self.blocks, each, strict=True)
        ]
        return self._unknowns(tf.add_n(pulled))

    def with_weights(self, weights: tf.Tensor) -> JointProblem:
        """Gives each observation its own weights; see the base class."""
        own = copy.copy(self)
        own.member_weights, own._terms = weights, self._terms.with_weights(weights)
        return own

    def ordered(self, targets: tf.Tensor) -> tf.Tensor:
        """Asks each observation; see the base class."""
        return self._terms.ordered(targets)

    def check_targets(self, targets: np.ndarray) -> None:
        """Asks each observation; see the base class."""
        self._terms.check_targets(targets)

    def squared_norms(self) -> None:
        """Returns None: the scales are taken from the Jacobian."""

    def most_squared(self, parameters: tf.Tensor) -> tf.Tensor | None:
        """Adds up the bounds of all blocks and the priors; see the base class.

        None also where values are not linear in the levels.
        """
        if not all(x.is_linear for x in self.observations):
            return None
        total = tf.zeros_like(parameters)
        for k, block in enumerate(self.blocks):
            squares = derivative_norms(block.structure, self.expand(parameters))
            if squares is None:
                return None
            if self.tie_matrix is not None:
                T = tf.constant(self.tie_matrix**2, squares.dtype)
                squares = tf.tensordot(squares, T, axes=1)
            total += self._terms.largest_root(k) ** 2 * squares
        if self.prior is not None:
            rows = self.prior.extend_jacobian(tf.zeros_like(total)[..., tf.newaxis, :])
            total += tf.reduce_sum(tf.square(rows), axis=-2)
        return self.in_own_unit(total, 2)

    def roots(self) -> np.ndarray:
        """Returns the square roots of the weights of all targets, `[m]`."""
        return self._terms.roots

    @property
    def num_data(self) -> int:
        """Number of data that can disagree with a model; see the base class."""
        lost = sum(
            t.observation.num_trivial(t.order) + t.observation.num_free
            for t in self._terms
        )
        return self.num_targets + self.num_priors - lost

    @property
    def has_errors(self) -> bool:
        """Whether some target has a standard deviation, or there are priors."""
        return self.num_priors > 0 or any(x.has_sigma for x in self.observations)

    @property
    def parts(self) -> tuple[slice, ...]:
        """Slice of the targets that belongs to each observation."""
        return tuple(term.targets for term in self._terms)

    def _norms(self, parameters: tf.Tensor) -> list[tf.Tensor]:
        r = self.expand(parameters)
        norms = [matrix_norm(g.assemble(r)) for g in self.groups]  # [..., B, 1] each
        return [norms[number][..., place, :] for number, place in self._places]

    def _sizes(self, norms: list[tf.Tensor], targets: tf.Tensor) -> tf.Tensor:
        largest = functools.reduce(tf.maximum, norms)
        sizes = self._terms.natural_sizes(
            lambda block: largest if block is None else norms[block], targets
        )
        return sizes * tf.convert_to_tensor(self._terms.roots, sizes.dtype)

    def value_errors(
        self, eigenvalues: tf.Tensor, errors: tf.Tensor, targets: tf.Tensor
    ) -> tf.Tensor:
        """Asks each observation; see the base class."""
        own = self._terms.rounding(
            self._of_block(eigenvalues), self._of_block(errors), targets
        )
        return own * tf.convert_to_tensor(self._terms.roots, own.dtype)

    def _of_block(self, w: tf.Tensor) -> Callable[[int | None], tf.Tensor]:
        # Returns those of the N numbers that belong to a block, or all.
        blocks = self.split(w)
        return lambda block: w if block is None else blocks[block]

    def weighted(self, residual: tf.Tensor) -> tf.Tensor:
        """Drops priors and multiplies by the weight roots; see the base class."""
        own = residual[..., : self.num_targets]
        return own * tf.convert_to_tensor(self._terms.roots, own.dtype)

    def eigenvalues(self, parameters: tf.Tensor) -> tf.Tensor:
        """Computes all levels `[..., N]`, block after block; differentiable twice."""
        r = self.expand(parameters)
        return self._in_order([eigvalsh(g.assemble(r)) for g in self.groups])

    def loss(self, parameters: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Computes the loss, `[...]`, priors included; differentiable.

        It is twice differentiable unless mode shapes are observed; the second
        derivative is NaN where levels of a block coincide (`hessian` is exact there).
        """
        parameters = tf.convert_to_tensor(parameters, self.parameter_dtype)
        targets = tf.convert_to_tensor(targets, self.parameter_dtype)
        r = self.expand(parameters)
        if self.has_modes:
            pairs = [eigh(g.assemble(r)) for g in self.groups]
            w = self._in_order([w for w, _ in pairs])
            residual = self._residual(parameters, w, [V for _, V in pairs], targets)
        else:
            w = self._in_order([eigvalsh(g.assemble(r)) for g in self.groups])
            residual = self._residual(parameters, w, None, targets)
        return tf.reduce_sum(tf.square(residual), axis=-1)

    def evaluate(self, parameters: tf.Tensor, targets: tf.Tensor) -> JointEvaluation:  # type: ignore[override]
        """Decomposes all matrices and compares their values; see the base class."""
        parameters = tf.convert_to_tensor(parameters, self.parameter_dtype)
        targets = tf.convert_to_tensor(targets, self.parameter_dtype)
        r = self.expand(parameters)
        pairs = [decompose(g.assemble(r)) for g in self.groups]
        w, Vs = self._in_order([w for w, _ in pairs]), tuple(V for _, V in pairs)
        residual = self._residual(parameters, w, Vs, targets)
        loss = tf.reduce_sum(tf.square(residual), axis=-1)
        return JointEvaluation(parameters, w, Vs, residual, loss, targets)

    def values(self, parameters: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Computes the values to compare with the targets; see the base class."""
        point = self.evaluate(parameters, targets)
        r = self.expand(point.parameters)
        return self._values(r, point.eigenvalues, point.eigenvectors, point.targets)

    def gradient_at(self, point: JointEvaluation) -> tf.Tensor:  # type: ignore[override]
        """Computes `2 J^T residual`, `[..., p]`, without a decomposition."""
        J = self.jacobian_at(point)
        return 2 * tf.linalg.matvec(J, point.residual, transpose_a=True)

    def level_jacobian_at(self, point: JointEvaluation) -> tf.Tensor:  # type: ignore[override]
        """Computes the derivatives of all levels, `[..., N, p]`."""
        return self._unknowns(self._level_jacobian(point))

    def jacobian_at(self, point: JointEvaluation) -> tf.Tensor:  # type: ignore[override]
        """Computes the Jacobian of the residual, `[..., m + q, p]`."""
        r = self.expand(point.parameters)
        levels = self._level_jacobian(point)

        def spectrum(block: int | None) -> Spectrum:
            return self._spectrum(block, r, point, levels)

        J = self._terms.differentiate(spectrum, point.targets)
        roots = tf.convert_to_tensor(self._terms.roots[..., np.newaxis], J.dtype)
        J = self._unknowns(J * roots)
        J = J if self.prior is None else self.prior.extend_jacobian(J)
        return self.in_own_unit(J)

    def target_jacobian_at(self, point: JointEvaluation) -> tf.Tensor:  # type: ignore[override]
        """Computes the derivative of the residual by the targets, `[..., m + q, m]`."""
        B = super().target_jacobian_at(point)  # type: ignore[arg-type]
        r = self.expand(point.parameters)
        change = self._terms.differentiate_by_targets(
            self._of_block(point.eigenvalues),
            self._modes_of(r, point.eigenvectors),
            point.targets,
        )
        if change is not None:
            roots = tf.convert_to_tensor(self._terms.roots[..., np.newaxis], B.dtype)
            B += self.in_own_unit(roots * change)
        return tf.pad(B, [[0, 0]] * (B.shape.rank - 2) + [[0, self.num_priors], [0, 0]])

    def hessian_at(  # type: ignore[override]
        self, point: JointEvaluation, targets: tf.Tensor, positive: bool = False
    ) -> tf.Tensor:
        """Computes the Hessian of the loss; see the base class.

        Raises:
            ValueError: If mode shapes are observed, or `positive` is asked for.
        """
        del targets
        if positive:
            raise ValueError("`positive` is for a single matrix with Levels.")
        if self.has_modes:
            raise ValueError(
                "Second derivatives of mode shapes are not computed. Near a solution "
                "that meets its targets, 2 J^T J of `jacobian` is the Hessian."
            )
        return spectral_hessian(self, point)

    def hessian_at_solution(  # type: ignore[override]
        self, point: JointEvaluation, targets: tf.Tensor
    ) -> tf.Tensor:
        """Computes the Hessian where the gradient vanishes; see the base class.

        If mode shapes are observed, it is computed by differences of the gradient.
        """
        if self.has_modes:
            return differenced_hessian(self, point, targets)
        return self.hessian_at(point, targets)

    def hessian_vector_product_at(  # type: ignore[override]
        self,
        point: JointEvaluation,
        targets: tf.Tensor,
        vector: tf.Tensor,
        positive: bool = False,
    ) -> tf.Tensor:
        """Computes the product of `hessian_at` with a vector; see the base class."""
        vector = tf.convert_to_tensor(vector, self.parameter_dtype)
        return tf.linalg.matvec(self.hessian_at(point, targets, positive), vector)

    def at_kink(self, point: JointEvaluation, targets: tf.Tensor) -> tf.Tensor:  # type: ignore[override]
        """Returns which members have coinciding levels in a block: `[...]`."""
        kink = tf.zeros_like(point.loss, tf.bool)
        for w in self.split(point.eigenvalues):
            if w.shape[-1] > 1:
                close = w[..., 1:] - w[..., :-1] <= rounding_width(w)[..., tf.newaxis]
                kink |= tf.reduce_any(close, axis=-1)
        return kink

    def levels_loss(self, w: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Computes the loss without priors as a function of levels `[..., N]`."""
        values = self._values(None, w, None, targets)
        roots = tf.convert_to_tensor(self._terms.roots, w.dtype)
        if roots.shape.rank > 1:
            roots = over(roots, values.shape.rank)
        residual = self.in_own_unit(roots * (values - targets))
        return tf.reduce_sum(tf.square(residual), axis=-1)

    def of_blocks(self, parameters: tf.Tensor) -> tf.Tensor:
        """Adds fixed and tied parameters; see the base class."""
        return self.expand(parameters)

    def eigenvectors_of(self, block: int, point: JointEvaluation) -> tf.Tensor:
        """Returns the eigenvectors of a block, `[..., n, n]` in columns."""
        number, place = self._places[block]
        return point.eigenvectors[number][..., place, :, :]

    def modes(self, parameters: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Computes the mode shapes of each block, `[..., n, n]` in columns."""
        r = self.expand(parameters)
        pairs = [decompose(g.assemble(r)) for g in self.groups]
        result = []
        for block, (number, place) in zip(self.blocks, self._places, strict=True):
            V = pairs[number][1][..., place, :, :]
            result.append(block.structure.modes(r, V))
        return tuple(result)

    def _unknowns(self, by_all: tf.Tensor) -> tf.Tensor:
        # Derivatives by all parameters, [..., P] -> by the unknowns, [..., p].
        if self.tie_matrix is None:
            return by_all
        return tf.tensordot(by_all, tf.constant(self.tie_matrix, by_all.dtype), axes=1)

    def _in_order(self, levels: list[tf.Tensor]) -> tf.Tensor:
        # [..., B, n] for each group -> [..., N], block after block.
        return tf.concat(
            [levels[number][..., place, :] for number, place in self._places], axis=-1
        )

    def _residual(
        self, parameters: tf.Tensor, w: tf.Tensor, Vs: Any, targets: tf.Tensor
    ) -> tf.Tensor:
        values = self._values(self.expand(parameters), w, Vs, targets)
        residual = (values - targets) * tf.convert_to_tensor(self._terms.roots, w.dtype)
        if self.prior is not None:
            residual = self.prior.extend(residual, parameters)
        return self.in_own_unit(residual)

    def _values(self, r: Any, w: tf.Tensor, Vs: Any, targets: tf.Tensor) -> tf.Tensor:
        modes = self._modes_of(r, Vs)
        return self._terms.measure(self._of_block(w), modes, targets)

    def _modes_of(self, r: Any, Vs: Any) -> Callable[[int], tf.Tensor]:
        # Returns a function for the mode shapes of a block.
        def modes(block: int) -> tf.Tensor:
            number, place = self._places[block]
            V = Vs[number][..., place, :, :]
            return self.blocks[block].structure.modes(r, V)

        return modes

    def _level_jacobian(self, point: JointEvaluation) -> tf.Tensor:
        # Derivatives by all parameters, [..., N, P].
        r = self.expand(point.parameters)
        each = [
            g.level_jacobian(r, V)
            for g, V in zip(self.groups, point.eigenvectors, strict=True)
        ]
        rows = [each[number][..., place, :, :] for number, place in self._places]
        return tf.concat(rows, axis=-2)

    def _spectrum(
        self, block: int | None, r: tf.Tensor, point: JointEvaluation, J: tf.Tensor
    ) -> Spectrum:
        if block is None:
            empty = point.eigenvalues[..., tf.newaxis]
            return Spectrum(self.structure, r, point.eigenvalues, empty, J)
        a, b = self._starts[block], self._starts[block + 1]
        return Spectrum(
            self.blocks[block].structure,
            r,
            point.eigenvalues[..., a:b],
            self.eigenvectors_of(block, point),
            J[..., a:b, :],
        )
