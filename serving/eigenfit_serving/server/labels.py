"""Names for versions: which numbers labels stand for, and when they may be given."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from eigenfit_serving.server.status import Code, ServingError
from eigenfit_serving.server.versions import ModelSettings

Labels = dict[str, dict[str, int]]
"""Numbers of versions by model and label."""


def find_label(labels: Labels, model: str, label: str) -> int:
    """Finds the version that a label stands for.

    Raises:
        ServingError: INVALID_ARGUMENT, if there is no such label.
    """
    try:
        return labels[model][label]
    except KeyError:
        raise ServingError(
            Code.INVALID_ARGUMENT, f"Unrecognized servable version label: {label}"
        ) from None


def assign_labels(
    models: Iterable[ModelSettings],
    old: Labels,
    is_available: Callable[[str, int], bool],
    allows_unavailable: bool,
) -> Labels:
    """Makes the labels of a configuration.

    Args:
        models: What is configured.
        old: Labels so far.
        is_available: Tells whether a version of a model serves.
        allows_unavailable: Whether a label that is new, or stands for the same version
            as before, may be given to a version that does not serve.

    Raises:
        ServingError: FAILED_PRECONDITION, if a version does not serve.
    """
    assigned: Labels = {}
    for model in models:
        for label, version in model.labels.items():
            was = old.get(model.name, {}).get(label, version)
            is_excused = allows_unavailable and was == version
            if not is_excused and not is_available(model.name, version):
                raise ServingError(
                    Code.FAILED_PRECONDITION,
                    f"Request to assign label to version {version} of model "
                    f"{model.name}, which is not currently available for inference",
                )
            assigned.setdefault(model.name, {})[label] = version
    return assigned
