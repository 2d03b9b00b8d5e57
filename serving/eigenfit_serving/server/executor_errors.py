"""What TensorFlow raises, as errors of the protocol."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from eigenfit_serving.server.interfaces import RequestContext
from eigenfit_serving.server.status import Code, ServingError

TIMED_OUT = "Timed out waiting for notification"
"""Of the runtime, when a deadline has passed."""

# What only eager execution adds, before and behind.
_EAGER = re.compile(r"^\{\{function_node [^}]*\}\} | \[Op:[^\]]*\]( name: \S*)?\s*$")


@contextmanager
def loading_errors(path: str) -> Iterator[None]:
    """Translates what is raised while a model is loaded.

    Raises:
        ServingError: In the place of any other exception.
    """
    import tensorflow as tf

    try:
        yield
    except ServingError:
        raise
    except tf.errors.OpError as error:
        raise ServingError(_code(error), _message(error)) from error
    except MemoryError as error:
        raise ServingError(Code.RESOURCE_EXHAUSTED, f"{path}: no memory.") from error
    except (OSError, RuntimeError, ValueError, TypeError, KeyError) as error:
        raise ServingError(Code.INVALID_ARGUMENT, f"{path}: {error}") from error


@contextmanager
def running_errors(context: RequestContext) -> Iterator[None]:
    """Translates what is raised while a model runs.

    Raises:
        ServingError: In the place of any other exception.
    """
    import tensorflow as tf

    try:
        yield
    except tf.errors.CancelledError as error:
        if context.remaining() == 0.0:
            raise ServingError(Code.DEADLINE_EXCEEDED, TIMED_OUT) from error
        context.check()
        raise ServingError(Code.CANCELLED, _message(error)) from error
    except tf.errors.OpError as error:
        raise ServingError(_code(error), _message(error)) from error
    except MemoryError as error:
        raise ServingError(
            Code.RESOURCE_EXHAUSTED, "There is no memory for the request."
        ) from error
    except (ValueError, TypeError) as error:
        raise ServingError(Code.INVALID_ARGUMENT, str(error)) from error


def _code(error) -> Code:
    try:
        return Code(error.error_code)
    except ValueError:
        return Code.UNKNOWN


def _message(error) -> str:
    return _EAGER.sub("", error.message or "")
