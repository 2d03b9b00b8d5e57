"""Writes SavedModels in the layout of TensorFlow Serving."""

from __future__ import annotations

import tensorflow as tf

from eigenfit_export.formats.job import Job
from eigenfit_export.manifest import Artefact, Check, describe
from eigenfit_export.signatures import FIT_XLA, SERVING_DEFAULT, signatures_of
from eigenfit_export.warmup import write_warmup


def write_savedmodel(job: Job) -> list[Artefact]:
    """Writes the SavedModel and its warm-up requests into the folder of a version."""
    job.progress("SavedModel")
    only = job.only
    listed = signatures_of(
        job.solver,
        job.max_steps_limit,
        start=job.start,
        weighted=only is not None,
        compiled_default=job.compiled_default,
    )
    signatures = [x for x in listed if only is None or x.name in only]
    functions = {signature.name: signature.traced for signature in signatures}
    # The same function under two names.
    default = FIT_XLA if job.compiled_default else "fit"
    if {default, SERVING_DEFAULT} <= functions.keys():
        functions[SERVING_DEFAULT] = functions[default]
    module = tf.Module()
    # Kept on the module: a SavedModel stores what is reachable from it.
    module.functions = functions
    tf.saved_model.save(module, str(job.folder), signatures=functions)
    if job.warmup_batches:
        write_warmup(job.folder, signatures, job.probes, job.warmup_batches)
    described = {}
    for signature in signatures:
        outputs = functions[signature.name].get_concrete_function().structured_outputs
        described[signature.name] = {
            "inputs": [describe(x.name, x.dtype, x.shape) for x in signature.inputs],
            "outputs": [describe(k, x.dtype, x.shape) for k, x in outputs.items()],
            "compiled_by_xla": signature.is_compiled,
        }
    checks = tuple(
        Check.of(x.name, x.name, job.probes[x.name])
        for x in signatures
        if x.name in job.probes
    )
    return [Artefact("savedmodel", ".", checks, described)]
