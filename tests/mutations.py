"""Breaks the code in thirty ways, one at a time, and sees that a test fails each time.

Not part of the test suite, for it takes about ten minutes:

    python tests/mutations.py            # all
    python tests/mutations.py 3 17       # some, by number

Each change is made in a copy of the checkout, where the tests beside it run until the
first one fails. Exits with 1 if one passed, or if a line to change was not found: then
bring the table up to date.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
SOLVER, EXPORT = "solver/eigenfit/", "export/eigenfit_export/"
SERVING = "serving/eigenfit_serving/"


class Mutation(NamedTuple):
    """A change of one line, and the tests that must notice."""

    path: str
    old: str
    new: str
    tests: str


MUTATIONS = [
    # Sign flips, dropped terms and factors of the solver.
    Mutation(
        SOLVER + "problem/engines/one_matrix.py",
        "        return from_spectrum(point.eigenvectors, slope)",
        "        return from_spectrum(point.eigenvectors, -slope)",
        "tests/eigen/test_hessian.py tests/test_properties.py",
    ),
    Mutation(
        SOLVER + "problem/engines/one_matrix.py",
        "        return H + divide(C)",
        "        return H",
        "tests/structures/test_second_order.py tests/eigen/test_hessian.py",
    ),
    Mutation(
        SOLVER + "problem/engines/many_matrices.py",
        "        return 2 * tf.linalg.matvec(J, point.residual, transpose_a=True)",
        "        return tf.linalg.matvec(J, point.residual, transpose_a=True)",
        "tests/problem/test_joint.py",
    ),
    Mutation(
        SOLVER + "problem/engines/second_order.py",
        "        start = end\n",
        "        start = end + 1\n",
        "tests/problem/test_joint.py",
    ),
    Mutation(
        SOLVER + "problem/unknowns/ties.py",
        "        return tf.tensordot(unknowns, T, axes=[[-1], [1]]) + fixed",
        "        return tf.tensordot(unknowns, T, axes=[[-1], [1]])",
        "tests/problem/test_joint.py tests/problem/test_parameters.py",
    ),
    Mutation(
        SOLVER + "problem/unknowns/priors.py",
        "        return tf.concat([residual, (own - mean) / sigma], axis=-1)",
        "        return tf.concat([residual, (own + mean) / sigma], axis=-1)",
        "tests/problem/test_priors.py",
    ),
    Mutation(
        SOLVER + "problem/terms.py",
        "        own.roots, own.has_sigma = tf.sqrt(weights), False",
        "        own.roots, own.has_sigma = weights, False",
        "tests/test_member_weights.py",
    ),
    Mutation(
        SOLVER + "problem/sizes.py",
        "    errors = [_level_errors(w) for w in problem.split(eigenvalues)]",
        "    errors = [0 * _level_errors(w) for w in problem.split(eigenvalues)]",
        "tests/fitting/test_verdicts.py",
    ),
    Mutation(
        SOLVER + "observations/levels.py",
        "        return self._scatter(2 * self.weighted(residual), order)",
        "        return self._scatter(2 * residual, order)",
        "tests/observations/test_levels.py tests/test_properties.py",
    ),
    Mutation(
        SOLVER + "observations/frequencies.py",
        "        return J / (8 * math.pi**2 * f)[..., tf.newaxis]",
        "        return J / (4 * math.pi**2 * f)[..., tf.newaxis]",
        "tests/observations/test_derivatives.py",
    ),
    Mutation(
        SOLVER + "observations/combinations.py",
        "            for end, sign in zip(pair, (1.0, -1.0), strict=True):",
        "            for end, sign in zip(pair, (-1.0, 1.0), strict=True):",
        "tests/problem/test_joint.py tests/observations",
    ),
    Mutation(
        SOLVER + "structures/generalized.py",
        "        half = tf.linalg.matmul(self._inverse, G, adjoint_a=True)",
        "        half = tf.linalg.matmul(self._inverse, G)",
        "tests/structures/test_generalized.py",
    ),
    Mutation(
        SOLVER + "structures/free_entries/toeplitz.py",
        "        below = tf.reverse(sums[..., : n - 1], axis=[-1])",
        "        below = sums[..., : n - 1]",
        "tests/structures/test_structures.py",
    ),
    Mutation(
        SOLVER + "methods/stepping/damping.py",
        "        mu=tf.where(accepted, damping.mu * shrink, grown),",
        "        mu=tf.where(accepted, grown, damping.mu * shrink),",
        "tests/methods tests/fitting/test_solver.py",
    ),
    Mutation(
        SOLVER + "fitting/loop.py",
        "    met = (norm <= data.enough) & sure",
        "    met = norm <= data.enough",
        "tests/fitting/test_verdicts.py",
    ),
    Mutation(
        SOLVER + "fitting/verdicts.py",
        "    bends_down = w[:, 0] < -least  # False for NaN",
        "    bends_down = w[:, -1] < -least  # False for NaN",
        "tests/fitting/test_verdicts.py",
    ),
    Mutation(
        SOLVER + "analysis/covariance.py",
        "        result[: problem.num_targets] = ~given",
        "        result[: problem.num_targets] = given",
        "tests/analysis",
    ),
    Mutation(
        SOLVER + "analysis/uncertainty.py",
        "    freedom = np.maximum(problem.num_data - rank, 0)",
        "    freedom = np.maximum(problem.num_targets - rank, 0)",
        "tests/analysis",
    ),
    Mutation(
        SOLVER + "searches/distinct.py",
        "        turns = np.where(known, np.ceil((x - middle) / T - 0.5), 0.0)",
        "        turns = np.where(known, np.floor((x - middle) / T - 0.5), 0.0)",
        "tests/problem/test_periods.py",
    ),
    Mutation(
        SOLVER + "tensors/validation.py",
        "            shape.rank == 0 or not shape[-1:].is_compatible_with([last])",
        "            shape.rank == 0 and not shape[-1:].is_compatible_with([last])",
        "tests/fitting/test_bad_input.py",
    ),
    # Export.
    Mutation(
        EXPORT + "versions.py",
        "default=0) + 1)",
        "default=0) + 2)",
        "tests/export/test_versions.py",
    ),
    Mutation(
        EXPORT + "philox.py",
        "    counter = (groups, zeros, scrambled[2] + zeros, scrambled[3] + zeros)",
        "    counter = (groups, zeros, scrambled[3] + zeros, scrambled[2] + zeros)",
        "export/eigenfit_export/philox.py",
    ),
    Mutation(
        EXPORT + "warmup.py",
        "        members = np.repeat(array[:1], batch, axis=0)",
        "        members = np.repeat(array[:1], 1, axis=0)",
        "tests/export/test_warmup.py",
    ),
    Mutation(
        EXPORT + "starts.py",
        "        if not (np.asarray(low) < np.asarray(high)).all():",
        "        if not (np.asarray(low) < np.asarray(high)).any():",
        "tests/export/test_savedmodel.py",
    ),
    # Serving.
    Mutation(
        SERVING + "server/budget.py",
        "            self._held += more\n",
        "            self._held -= more\n",
        "tests/serving/server/test_budget.py",
    ),
    Mutation(
        SERVING + "server/keys.py",
        "if any([hmac.compare_digest(key, shown) for key in self._keys]):",
        "if not all([hmac.compare_digest(key, shown) for key in self._keys]):",
        "tests/serving/server/test_rest_security.py",
    ),
    Mutation(
        SERVING + "client/retries.py",
        "        if self._made > self._retries.number:",
        "        if self._made >= self._retries.number:",
        "tests/serving/client",
    ),
    Mutation(
        SERVING + "batch/plan/parts.py",
        "        following = min(first - first % size + size, end)",
        "        following = min(first + size, end)",
        "serving/eigenfit_serving/batch/plan/parts.py",
    ),
    Mutation(
        SOLVER + "reports/record.py",
        "        return self.result.is_success and not met_on_demand",
        "        return self.result.is_success",
        "tests/serving/test_verdicts.py",
    ),
    Mutation(
        SERVING + "protocol/status.py",
        "        self.http_status = http_status or self.http_status",
        "        self.http_status = self.http_status or http_status",
        "tests/serving/server/test_rest_limits.py tests/serving/server/test_budget.py",
    ),
]


def survived(mutation: Mutation, copy: Path) -> str:
    """Says what went wrong, or nothing if a test failed as it should."""
    path = copy / mutation.path
    source = path.read_text("utf-8")
    if source.count(mutation.old) != 1:
        return f"the line is there {source.count(mutation.old)} times"
    path.write_text(source.replace(mutation.old, mutation.new), "utf-8")
    packages = [str(copy / x) for x in ("solver", "export", "serving")]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", *mutation.tests.split()],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(packages)},
        capture_output=True,
        text=True,
        check=False,
    )
    path.write_text(source, "utf-8")
    if run.returncode == 1:
        return ""
    return "no test failed" if not run.returncode else run.stdout[-500:]


def main() -> int:
    """Runs the mutations that are asked for; returns the exit code."""
    chosen = [int(x) for x in sys.argv[1:]] or range(1, len(MUTATIONS) + 1)
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "copy")
        ignored = shutil.ignore_patterns(".git", ".*cache*", "__pycache__")
        shutil.copytree(ROOT, copy, ignore=ignored)
        for number in chosen:
            mutation = MUTATIONS[number - 1]
            began = time.monotonic()
            problem = survived(mutation, copy)
            bad += bool(problem)
            seconds = time.monotonic() - began
            what = problem or "caught"
            print(f"{number:3} {mutation.path}: {what} ({seconds:.0f} s)", flush=True)
    print(f"{len(chosen) - bad} of {len(chosen)} mutations caught")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
