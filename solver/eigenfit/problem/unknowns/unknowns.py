"""What a fit varies: parameters that are neither fixed nor tied, in their bounds."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from eigenfit.problem.unknowns.parameters import Parameters, Resolved
from eigenfit.problem.unknowns.ties import Ties


class Unknowns(tf.Module):
    """The part of a problem that knows its parameters but no matrices.

    Attributes:
        known: What was known of the parameters before the fit.
        parameter_names: Names of the unknowns.
        all_names: Names of all parameters of the structures, fixed and tied included.
        bounds: `(lower, upper)`, `[p]` each, or None.
        ties: Of all parameters to the unknowns.
        scales: `[p]`, typical sizes of the unknowns, or None.
        periods: `[p]`, infinite for unknowns without a period; None if none has one.
    """

    @property
    def num_parameters(self) -> int:
        """Number p of unknowns."""
        return len(self.parameter_names)

    @property
    def parameter_dtype(self) -> tf.DType:
        """The real dtype of parameters, targets, eigenvalues and loss."""
        raise NotImplementedError

    def expand(self, parameters: tf.Tensor) -> tf.Tensor:
        """Computes all parameters `[..., P]`, fixed and tied ones included."""
        parameters = tf.convert_to_tensor(parameters, self.parameter_dtype)
        return self.ties.expand(parameters)

    def limit(self, parameters: tf.Tensor) -> tf.Tensor:
        """Moves parameters `[..., p]` to the nearest point inside the bounds."""
        if self.bounds is None:
            return parameters
        lower, upper = (tf.constant(x, parameters.dtype) for x in self.bounds)
        return tf.clip_by_value(parameters, lower, upper)

    def inside(self, parameters: tf.Tensor) -> tf.Tensor:
        """Returns which members have parameters `[..., p]` within bounds: `[...]`."""
        if self.bounds is None:
            return tf.ones(tf.shape(parameters)[:-1], tf.bool)
        return tf.reduce_all(self.limit(parameters) == parameters, axis=-1)

    def check_parameters(self, name: str, parameters: np.ndarray) -> None:
        """Rejects parameters `[..., p]` outside the bounds.

        Raises:
            ValueError: Naming the first such parameter.
        """
        if self.bounds is None:
            return
        # In the precision of the parameters: a solution on a bound is a valid start.
        dtype = self.parameter_dtype.as_numpy_dtype
        lower, upper = (x.astype(dtype) for x in self.bounds)
        outside = (parameters < lower) | (parameters > upper)
        if outside.any():
            index = tuple(int(i) for i in np.argwhere(outside)[0])
            k = index[-1]
            where = f" of member {index[:-1]}" if index[:-1] else ""
            raise ValueError(
                f"`{name}`{where}: {self.parameter_names[k]} = {parameters[index]:g} "
                f"lies outside its bounds ({lower[k]:g}, {upper[k]:g}). Start inside."
            )

    def on_bounds(self, parameters: tf.Tensor) -> tf.Tensor:
        """Marks parameters `[..., p]` on their lower (-1) or upper (1) bound."""
        parameters = tf.convert_to_tensor(parameters, self.parameter_dtype)
        if self.bounds is None:
            return tf.zeros_like(parameters, tf.int32)
        lower, upper = (tf.constant(x, parameters.dtype) for x in self.bounds)
        on_upper = tf.cast(parameters >= upper, tf.int32)
        return on_upper - tf.cast(parameters <= lower, tf.int32)

    def _resolve(self, parameters: Parameters | None, number: int) -> Resolved:
        # Applies what is known to structures with `number` parameters.
        if parameters is None:
            parameters = Parameters()
        if not isinstance(parameters, Parameters):
            raise TypeError(
                f"`parameters` must be Parameters(...), got {parameters!r}."
            )
        resolved = parameters.resolve(number)
        self.known = parameters
        self.all_names = resolved.all_names
        self.parameter_names = resolved.names
        self.bounds = resolved.bounds
        self.scales = resolved.scales
        self.periods = resolved.periods
        self.ties = Ties(resolved.matrix, resolved.offset)
        return resolved
