"""Runs StableHLO files with JAX; needs neither TensorFlow nor the rest of eigenfit.

This file may be copied to a machine that has only NumPy and JAX.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import zipfile
from typing import Any

import numpy as np

PROGRAM = "program.mlirbc"
SIGNATURE = "signature.json"
CONSTANT = "constants/{}.npy"


class StableHlo:
    """A function loaded from a file of `save_stablehlo`.

    Args:
        path: File to load.
        device: `"cpu"`, `"gpu"`, a JAX device, or None for JAX's default.

    Attributes:
        signature: `inputs` and `outputs`, each with `name`, `dtype` and `shape`.

    Raises:
        ImportError: If JAX is not installed.
        FileNotFoundError: If there is no such file.
        ValueError: If `save_stablehlo` did not write the file, or it is damaged.
    """

    def __init__(self, path: str | os.PathLike[str], device: Any = None) -> None:
        try:
            import jax
        except ImportError:
            raise ImportError(
                "JAX is needed to run StableHLO. Install it: pip install jax"
            ) from None
        try:
            with zipfile.ZipFile(path) as archive:
                self.signature: dict[str, Any] = json.loads(archive.read(SIGNATURE))
                program = archive.read(PROGRAM)
                constants = [
                    np.load(io.BytesIO(archive.read(CONSTANT.format(k))))
                    for k in range(self.signature["num_constants"])
                ]
        except (zipfile.BadZipFile, KeyError, ValueError) as error:
            raise ValueError(
                f"{os.fspath(path)} is no file of save_stablehlo, or damaged ({error})."
            ) from None
        if isinstance(device, str):
            device = jax.devices(device)[0]
        self._device = device if device is not None else jax.devices()[0]
        with jax.enable_x64(True):
            self._constants = [jax.device_put(x, self._device) for x in constants]
            self._call = self._compiled(program, self._constants)

    @property
    def batch(self) -> int:
        """Number of members in every call."""
        return self.signature["inputs"][0]["shape"][0]

    def __call__(self, **inputs: Any) -> dict[str, np.ndarray]:
        """Runs the function.

        Args:
            **inputs: Arrays that broadcast to the shapes in `signature`. `tolerance`
                and `max_steps` default to those of the solver; `initial` may be left
                out if the program was written with a start.

        Returns:
            The outputs by name.

        Raises:
            TypeError: If an input is missing or unknown.
            ValueError: If a shape does not fit.

        Example:
            >>> import tempfile
            >>> import eigenfit as ef
            >>> from eigenfit_export import save_stablehlo
            >>> solver = ef.Solver(ef.Problem(ef.Symmetric(2)))
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     path = save_stablehlo(solver, folder + "/fit.zip", batch=2)
            ...     fit = StableHlo(path)
            ...     answer = fit(
            ...         initial=[0.1, 0.9, 0.3],
            ...         targets=[[1.0, 1.0], [0.0, 2.0]],
            ...     )
            >>> answer["eigenvalues"].round(6).tolist(), answer["result"].tolist()
            ([[1.0, 1.0], [0.0, 2.0]], [0, 0])
        """
        import jax

        outputs = self.start(**inputs)
        with jax.enable_x64(True):
            return {name: np.asarray(value) for name, value in outputs.items()}

    def start(self, **inputs: Any) -> dict[str, Any]:
        """Like a call, but returns JAX arrays, which may not be computed yet."""
        import jax

        specs = self.signature["inputs"]
        names = [spec["name"] for spec in specs]
        inputs = {**self.signature.get("defaults", {}), **inputs}
        if set(inputs) != set(names):
            missing = sorted(set(names) - set(inputs))
            text = f"The inputs are {names}, got {list(inputs)}."
            if missing == ["initial"]:
                text += (
                    " The program was written without a start: give `initial`, or "
                    "write it with `start`."
                )
            raise TypeError(text)
        with jax.enable_x64(True):
            arguments = []
            for spec in specs:
                value = inputs[spec["name"]]
                if not isinstance(value, jax.Array):
                    value = np.asarray(value, spec["dtype"])
                if value.shape != tuple(spec["shape"]):
                    value = _broadcast(spec, value)
                arguments.append(jax.device_put(value, self._device))
            answer = self._call(*arguments, *self._constants)
        outputs = self.signature["outputs"]
        return {x["name"]: y for x, y in zip(outputs, answer, strict=True)}

    def _compiled(self, program: bytes, constants: list[Any]) -> Any:
        # Export a dummy function of the same types and swap our program in: JAX then
        # checks, compiles and calls it like one of its own.
        import jax
        from jax import export
        from jax import numpy as jnp

        inputs = [_spec(x) for x in self.signature["inputs"]]
        inputs += [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in constants]
        outputs = [_spec(x) for x in self.signature["outputs"]]

        def same_types(*arguments: Any) -> list[Any]:
            del arguments
            return [jnp.zeros(x.shape, x.dtype) for x in outputs]

        platform = export.default_export_platform()
        if self._device.platform == "cpu":
            platform = "cpu"
        jitted = jax.jit(same_types, keep_unused=True)
        shell = export.export(jitted, platforms=[platform])(*inputs)
        exported = dataclasses.replace(shell, mlir_module_serialized=program)
        return jax.jit(exported.call)


def run_stablehlo(
    path: str | os.PathLike[str], device: Any = None, **inputs: Any
) -> dict[str, np.ndarray]:
    """Loads a file of `save_stablehlo` and runs it once; see `StableHlo`."""
    return StableHlo(path, device)(**inputs)


def _spec(entry: dict[str, Any]) -> Any:
    import jax

    return jax.ShapeDtypeStruct(tuple(entry["shape"]), np.dtype(entry["dtype"]))


def _broadcast(spec: dict[str, Any], value: Any) -> np.ndarray:
    array = np.asarray(value)
    try:
        return np.broadcast_to(array, spec["shape"])
    except ValueError:
        raise ValueError(
            f"`{spec['name']}` must have shape {spec['shape']}, got "
            f"{list(array.shape)}. The program is compiled for that batch."
        ) from None
