"""Files that configure the server, in the text format of protocol buffers."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from eigenfit_serving.errors import InputError
from eigenfit_serving.files import replacing
from eigenfit_serving.protocol.messages import ModelServerConfig
from eigenfit_serving.protocol.status import Code, ServingError, invalid
from eigenfit_serving.protocol.text import parse_text
from eigenfit_serving.server.options import Options
from eigenfit_serving.server.versions import PLATFORM

logger = logging.getLogger(__name__)


def read_message(message_class: Any, path: str) -> Any:
    """Reads a protobuf message from a file.

    Raises:
        ServingError: NOT_FOUND or UNKNOWN if it cannot be read, INVALID_ARGUMENT if it
            cannot be parsed.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        return parse_text(message_class, text, path)
    except OSError as error:
        code = Code.NOT_FOUND if isinstance(error, FileNotFoundError) else Code.UNKNOWN
        raise ServingError(code, f"{path}; {error.strerror or error}") from None
    except ValueError as error:
        raise invalid(f"Invalid protobuf file: '{path}': {error}") from None


def model_config(options: Options) -> Any:
    """Makes the initial `ModelServerConfig` of a server.

    Raises:
        ServingError: If a file is wrong, or there is nothing to serve.
    """
    if options.model_config_file:
        return read_message(ModelServerConfig, options.model_config_file)
    if not options.model_base_path:
        raise invalid(
            "Both server_options.model_base_path and "
            "server_options.model_config_file are empty!"
        )
    name, path = options.model_name, options.model_base_path
    entry = {"name": name, "base_path": path, "model_platform": PLATFORM}
    return ModelServerConfig(model_config_list={"config": [entry]})


def write_kept(path: str, config: Any) -> None:
    """Writes the `ModelServerConfig` in use to the state file.

    Raises:
        ServingError: INTERNAL, if it cannot be written.
    """
    try:
        with replacing("--model_config_state", Path(path)) as draft:
            draft.write_text(text_format.MessageToString(config), encoding="utf-8")
    except InputError as error:
        text = f"The configuration is in use, but not kept: {error}"
        raise ServingError(Code.INTERNAL, text) from None


def read_kept(path: str) -> Any:
    """Reads the `ModelServerConfig` that was kept; None if there is no such file."""
    if not path or not Path(path).exists():
        return None
    logger.info("The models are those of %s", path)
    return read_message(ModelServerConfig, path)


class ConfigPoller:
    """Polls the file of models every few seconds, and has its changes applied."""

    def __init__(
        self, path: str, seconds: float, reload: Callable[[Any], None]
    ) -> None:
        self._path, self._seconds, self._reload = path, seconds, reload
        self._applied = self._seen = None
        self._said = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="config", daemon=True)

    def start(self, applied: Any) -> None:
        """Starts polling, with the configuration that is in force."""
        self._applied = self._seen = applied
        self._thread.start()

    def stop(self) -> None:
        """Stops polling; does not wait for a configuration that is being applied."""
        self._stop.set()

    def look(self) -> None:
        """Applies the file if it has changed; logs what is wrong with it."""
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
            text = f"{error.code.name}: {error.message}"
            if text != self._said:
                logger.error("Not all of %s is in force: %s", self._path, text)
            self._said = text

    def _run(self) -> None:
        while not self._stop.wait(self._seconds):
            try:
                self.look()
            except Exception:
                logger.exception("Looking at %s failed; going on", self._path)
