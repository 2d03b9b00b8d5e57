"""Files that configure the server, in the text format of protocol buffers."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from eigenfit_serving.errors import InputError
from eigenfit_serving.files import replacing
from eigenfit_serving.server.batching_parameters import (
    BatchingParameters,
    read_parameters,
)
from eigenfit_serving.server.interfaces import ModelSource
from eigenfit_serving.server.options import Options
from eigenfit_serving.server.status import Code, ServingError
from eigenfit_serving.server.versions import PLATFORM

logger = logging.getLogger(__name__)

PER_MODEL_FILE = "batching_params.pbtxt"


def read_message(message_class: Any, path: str) -> Any:
    """Reads a message from a file.

    Raises:
        ServingError: NOT_FOUND or INVALID_ARGUMENT.
    """
    from eigenfit_serving.protocol.text import parse_text

    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        code = Code.NOT_FOUND if isinstance(error, FileNotFoundError) else Code.UNKNOWN
        raise ServingError(code, f"{path}; {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise _invalid(f"Invalid protobuf file: '{path}': it is not UTF-8") from None
    try:
        return parse_text(message_class, text, path)
    except ValueError as error:
        raise _invalid(f"Invalid protobuf file: '{path}': {error}") from None


def model_config(options: Options) -> Any:
    """Makes the first `ModelServerConfig` of a server.

    Raises:
        ServingError: If a file is wrong, or there is nothing to serve.
    """
    from eigenfit_serving.protocol.messages import ModelServerConfig

    if options.model_config_file:
        return read_message(ModelServerConfig, options.model_config_file)
    if not options.model_base_path:
        raise _invalid(
            "Both server_options.model_base_path and "
            "server_options.model_config_file are empty!"
        )
    config = ModelServerConfig()
    config.model_config_list.config.add(
        name=options.model_name,
        base_path=options.model_base_path,
        model_platform=PLATFORM,
    )
    return config


class Keeping:
    """A `ModelSource` that keeps the configurations set by requests in a file.

    Args:
        path: Of the file; empty for none.
        models: What it stands before.
    """

    def __init__(self, path: str, models: ModelSource) -> None:
        self._path, self._models = path, models
        self.acquire = models.acquire
        self.status = models.status
        self.names = models.names

    def reload(self, config: Any) -> None:
        """Replaces the configuration and keeps it; see `ModelSource`.

        Raises:
            ServingError: INTERNAL, if it is in use but could not be kept.
        """
        from google.protobuf import text_format

        self._models.reload(config)
        if not self._path:
            return
        try:
            with replacing("--model_config_state", Path(self._path)) as draft:
                draft.write_text(text_format.MessageToString(config), encoding="utf-8")
        except InputError as error:
            text = f"The configuration is in use, but not kept: {error}"
            raise ServingError(Code.INTERNAL, text) from None

    def kept(self) -> Any:
        """Reads what was kept: a `ModelServerConfig`, or None if there is nothing.

        Raises:
            ServingError: If the file is wrong.
        """
        from eigenfit_serving.protocol.messages import ModelServerConfig

        if not self._path or not Path(self._path).exists():
            return None
        logger.info("The models are those of %s", self._path)
        return read_message(ModelServerConfig, self._path)


def batching_parameters(options: Options) -> BatchingParameters | None:
    """Reads how requests are joined; None if they are not.

    Raises:
        ServingError: If the file is wrong, or given without the flag.
    """
    if not options.enable_batching:
        if options.batching_parameters_file:
            raise _invalid(
                "server_options.batching_parameters_file is set without setting "
                "server_options.enable_batching to true."
            )
        return None
    if not options.batching_parameters_file:
        return BatchingParameters(thread_pool_name="model_server_batch_threads")
    from eigenfit_serving.protocol.messages import BatchingParameters as Message

    return read_parameters(read_message(Message, options.batching_parameters_file))


def model_batching_parameters(
    options: Options, common: BatchingParameters | None, path: str
) -> BatchingParameters | None:
    """Finds how the requests of one model are joined; None if they are not.

    Args:
        options: Whether each model has a file of its own.
        common: Of all models; the threads are theirs in any case.
        path: Folder of the version.

    Raises:
        ServingError: If its file is wrong.
    """
    if common is None or not options.enable_per_model_batching_parameters:
        return common
    file = Path(path) / PER_MODEL_FILE
    if not file.is_file():
        return None
    from eigenfit_serving.protocol.messages import BatchingParameters as Message

    own = read_parameters(read_message(Message, str(file)))
    return replace(
        own,
        num_batch_threads=common.num_batch_threads,
        thread_pool_name=common.thread_pool_name,
    )


class ConfigPoller:
    """Looks at the file of models from time to time, and has its changes applied.

    Args:
        path: Of the file.
        seconds: Between two looks.
        reload: Applies a `ModelServerConfig`.
    """

    def __init__(
        self, path: str, seconds: float, reload: Callable[[Any], None]
    ) -> None:
        self._path, self._seconds, self._reload = path, seconds, reload
        self._applied: Any = None
        self._seen: Any = None
        self._said = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="config", daemon=True)

    def start(self, applied: Any) -> None:
        """Starts to look.

        Args:
            applied: The configuration that is in force.
        """
        self._applied = self._seen = applied
        self._thread.start()

    def stop(self) -> None:
        """Ends it; does not wait for a configuration that is being applied."""
        self._stop.set()

    def look(self) -> None:
        """Applies the file if it has changed; logs what is wrong with it."""
        from eigenfit_serving.protocol.messages import ModelServerConfig

        try:
            config = read_message(ModelServerConfig, self._path)
            if config != self._applied:
                if config != self._seen:
                    logger.info("The models in %s have changed", self._path)
                self._seen = config
                self._reload(config)
                self._applied = config
            self._said = ""
        except ServingError as error:
            if error.message != self._said:
                self._said = error.message
                logger.error(
                    "Not all of %s is in force: %s: %s",
                    self._path,
                    error.code.name,
                    error.message,
                )

    def _run(self) -> None:
        while not self._stop.wait(self._seconds):
            try:
                self.look()
            except Exception:
                logger.exception("Looking at %s failed; going on", self._path)


def _invalid(message: str) -> ServingError:
    return ServingError(Code.INVALID_ARGUMENT, message)
