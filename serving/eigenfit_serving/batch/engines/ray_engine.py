"""The engine of clusters: Ray Data, with an actor for each GPU or share of the cores.

The data set is the list of parts. Each actor reads its parts and writes the answers
itself, so that rows never pass through the driver or the object store; all machines
must see model, input and output under the same paths.
"""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import tempfile
from collections.abc import Generator, Iterator
from dataclasses import asdict
from typing import Any

from eigenfit_serving.batch.answers.output import CODE_NAMES
from eigenfit_serving.batch.engines.worker import Event, Worker
from eigenfit_serving.batch.plan.parts import TRIES, Part, Pending
from eigenfit_serving.batch.processes import module_path, quiet_variables
from eigenfit_serving.batch.settings import Job
from eigenfit_serving.batch.tables.writing import writable
from eigenfit_serving.errors import InputError

_NONE = [0] * len(CODE_NAMES)


class RayEngine:
    """Solves parts in actors.

    Args:
        workers: Number of actors; None for as many as the cluster has cores for.
        gpus: Number of GPUs that they share; 0 for none.
        cores: Cores per actor.
        address: Address of a cluster, "auto" or "host:6379"; None starts a local one,
            which ends with the run.
    """

    name = "ray"

    def __init__(
        self,
        workers: int | None,
        gpus: int = 0,
        cores: int = 1,
        address: str | None = None,
    ) -> None:
        self.workers, self.cores = workers, cores
        self._gpus, self._address = gpus, address

    def run(self, job: Job, pending: Pending) -> Generator[Event, None, None]:
        """Solves all parts, as `LocalEngine.run` does."""
        ray = _imported()
        begins = not ray.is_initialized()
        try:
            with self._started(ray) if begins else contextlib.nullcontext():
                self._claim(ray.cluster_resources())
                yield Event(ready=True)
                # Another pass for parts that killed their actors.
                while pending.waiting:
                    yield from self._pass(ray, job, pending)
        except ray.exceptions.RayError as error:
            raise InputError(
                f"engine = ray: failed; go on with --resume. Its last words: "
                f"{_last_line(str(error))}"
            ) from error

    def _claim(self, found: dict[str, float]) -> None:
        # Ray would wait for resources that do not exist.
        number = int(found.get("CPU", 0)) // self.cores
        if self._gpus > found.get("GPU", 0):
            raise InputError(
                f"gpus = {self._gpus}: the cluster has {found.get('GPU', 0):g}. Give "
                f"fewer, or start its machines first."
            )
        if self.workers is None:
            self.workers = max(1, number)
        if self.workers > number:
            raise InputError(
                f"workers = {self.workers}: the cluster has {found.get('CPU', 0):g} "
                f"cores, enough for {number} workers. Give fewer, or start its "
                f"machines first."
            )

    @contextlib.contextmanager
    def _started(self, ray: Any) -> Iterator[None]:
        with tempfile.TemporaryDirectory() as empty:
            # Otherwise actors would look for modules in the current folder.
            environment: dict[str, Any] = {"working_dir": empty}
            local: dict[str, Any] = {}
            if not self._address:
                environment["env_vars"] = {"PYTHONPATH": module_path()}
                local = {
                    "num_cpus": max(1, (self.workers or 1) * self.cores),
                    "num_gpus": self._gpus or None,
                    "include_dashboard": False,
                }
            try:
                context = ray.init(
                    address=self._address,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    configure_logging=True,
                    runtime_env=environment,
                    **local,
                )
            except Exception as error:
                where = self._address or "this machine"
                text = " ".join(str(error).split())[:300]
                raise InputError(f"engine = ray: cannot use {where}: {text}") from error
            with context:  # Its exit ends Ray, or leaves the cluster.
                yield

    def _pass(self, ray: Any, job: Job, pending: Pending) -> Iterator[Event]:
        from ray.data import ActorPoolStrategy, DataContext

        context = DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        environment = quiet_variables(job.threads)
        if job.gpu:
            del environment["CUDA_VISIBLE_DEVICES"]  # Ray sets which GPUs they see.
        workers = self.workers or 1
        parts = {part.first: part for part in pending.waiting}
        pending.waiting.clear()
        items = [asdict(part) for part in parts.values()]
        rows = ray.data.from_items(items, override_num_blocks=len(items))
        answers = rows.map(
            PartActor,
            fn_constructor_args=[job],
            # Ray replaces actors that die, and repeats their tasks.
            compute=ActorPoolStrategy(
                size=min(workers, len(parts)), max_tasks_in_flight_per_actor=2
            ),
            num_cpus=self.cores,
            num_gpus=self._gpus / workers if self._gpus else None,
            runtime_env={"env_vars": environment},
        )
        for answer in answers.iter_rows():
            if answer["fault"]:
                raise InputError(answer["fault"])
            part, deaths = parts[answer["first"]], int(answer["deaths"])
            counts = list(map(int, answer["counts"]))
            if any(counts):
                pending.deaths += deaths
                yield Event(part, counts)
            else:
                pending.lost(part, deaths)


class PartActor:
    """A worker that runs as an actor of Ray."""

    def __init__(self, job: Job) -> None:
        self._job, self._fault = job, ""
        try:
            self._worker = Worker(job, f"{platform.node()}/{os.getpid()}")
        except InputError as error:
            # If this raised, Ray would restart the actor again and again.
            self._fault = str(error)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Solves a part.

        Returns:
            Its `first` row, `counts` by code (all 0 if it has killed too many actors),
            `deaths` so far, and a `fault` that ends the run.
        """
        part, deaths, counts, fault = Part(**row), 0, _NONE, self._fault
        if not fault:
            try:
                deaths, counts = self._work(part)
            except InputError as error:
                fault = str(error)
        return dict(first=part.first, counts=counts, deaths=deaths, fault=fault)

    def _work(self, part: Part) -> tuple[int, list[int]]:
        # Ray repeats endlessly what kills actors, so each try leaves a mark.
        marks = self._job.drafts / f"{part.name}.tries"
        with writable(self._job.parts):
            with marks.open("ab") as file:
                file.write(b".")
                deaths = file.tell() - 1
            counts = _NONE if deaths == TRIES else self._worker.work(part)
            marks.unlink(missing_ok=True)
        return deaths, counts


def _last_line(text: str) -> str:
    # The last line of a traceback, skipping lines of position marks.
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line.strip("^~ ")]
    return lines[-1][:300] if lines else "none"


def _imported() -> Any:
    # Set before Ray is imported, so that it sends nothing anywhere: neither usage
    # statistics nor the working folder.
    for name, value in {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
        "RAY_BACKEND_LOG_LEVEL": "fatal",
        # For a cluster that we start: at Ray's niceness of 15, a busy neighbour leaves
        # workers 5 % of a core.
        "RAY_worker_niceness": "0",
    }.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise InputError(
            f"engine = ray: needs Ray ({error}). Install it: "
            f'pip install "eigenfit[batch]"'
        ) from None
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return ray
