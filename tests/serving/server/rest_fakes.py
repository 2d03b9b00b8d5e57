"""A REST server of models that are Python functions, and a client of few lines."""

import contextlib
import http.client
import threading
import unittest.mock
from dataclasses import dataclass, field
from typing import Any

from eigenfit_serving.protocol.messages import (
    DataType,
    ModelVersionStatus,
    SignatureDef,
)
from eigenfit_serving.protocol.status import Code, RefusedError, ServingError
from eigenfit_serving.server.budget import Budget
from eigenfit_serving.server.options import Options
from eigenfit_serving.server.rest.server import RestServer


def signature(inputs, outputs=None):
    """Makes a SignatureDef of dtypes, `{"x": "DT_FLOAT"}`."""
    message = SignatureDef(method_name="tensorflow/serving/predict")
    for target, names in ((message.inputs, inputs), (message.outputs, outputs or {})):
        for name, dtype in names.items():
            target[name].dtype = DataType.Value(dtype)
            target[name].name = f"{name}:0"
            target[name].tensor_shape.dim.add().size = -1
    return message


@dataclass
class FakeServable:
    name: str
    version: int
    signatures: dict[str, Any]
    path: str = ""


def outcome(call, *arguments):
    """Gives what a call gives, and None, or None and how it was refused."""
    try:
        return call(*arguments), None
    except ServingError as error:
        return None, error


def echo(servable, signature_name, inputs, context):
    return inputs


@dataclass
class FakeRunner:
    """Runs a function in the place of every signature."""

    predict: Any = echo

    def __call__(self, servable, signature, inputs, output_filter, context, options):
        return self.predict(servable, signature, inputs, context)


@dataclass
class FakeModels:
    """A `ModelSource` of servables."""

    servables: list[FakeServable]
    states: dict[tuple[str, int], str] = field(default_factory=dict)

    @contextlib.contextmanager
    def acquire(self, spec):
        found = [
            x
            for x in self.servables
            if x.name == spec.name and spec.version in (None, x.version)
        ]
        if spec.label is not None:
            text = f"Unrecognized servable version label: {spec.label}"
            raise ServingError(Code.INVALID_ARGUMENT, text)
        if not found:
            which = "Latest({})" if spec.version is None else "Specific({}, {})"
            which = which.format(spec.name, spec.version)
            text = f"Servable not found for request: {which}"
            raise ServingError(Code.NOT_FOUND, text)
        yield max(found, key=lambda x: x.version)

    def status(self, name, version=None):
        found = [
            ModelVersionStatus(
                version=x.version,
                state=self.states.get((name, x.version), "AVAILABLE"),
                status={"error_code": Code.OK},
            )
            for x in sorted(self.servables, key=lambda x: -x.version)
            if x.name == name and version in (None, x.version)
        ]
        if not found and version is not None:
            text = f"Could not find version {version} of model {name}"
            raise ServingError(Code.NOT_FOUND, text)
        if not found:
            text = f"Could not find any versions of model {name}"
            raise ServingError(Code.NOT_FOUND, text)
        return found

    def names(self):
        return sorted({x.name for x in self.servables})


class FakeGate:
    """A `Gate` that remembers."""

    def __init__(self):
        self.draining = False
        self.contexts, self.codes, self.reasons = [], [], []
        self.noted = []
        self.budget = Budget(1 << 40)
        self.ended = threading.Event()

    @contextlib.contextmanager
    def admit(self, context):
        if self.draining:
            raise ServingError(Code.UNAVAILABLE, "The server is shutting down.")
        self.contexts.append(context)
        code = Code.OK
        try:
            yield
        except ServingError as error:
            code = error.code
            if isinstance(error, RefusedError):
                self.reasons.append(error.reason)
            raise
        finally:
            self.codes.append(code)
            self.ended.set()

    def refuse(self, context, error):
        if isinstance(error, RefusedError):
            self.reasons.append(error.reason)
        self.note(context, error.code)

    def note(self, context, code):
        self.noted.append((code, context))

    def render(self) -> bytes:
        return b"# metrics\n"


MODELS = (
    FakeServable("float", 3, {"serving_default": signature({"x": "DT_FLOAT"})}),
    FakeServable("float", 7, {"serving_default": signature({"x": "DT_FLOAT"})}),
    FakeServable(
        "two",
        1,
        {"serving_default": signature({"b": "DT_DOUBLE", "a": "DT_INT32"})},
    ),
    FakeServable("text", 1, {"serving_default": signature({"s_bytes": "DT_STRING"})}),
    FakeServable("half", 1, {"serving_default": signature({"x": "DT_HALF"})}),
    FakeServable("none", 1, {"serving_default": signature({})}),
    FakeServable("a b/c", 1, {"serving_default": signature({"x": "DT_BOOL"})}),
)


@dataclass
class Answer:
    status: int
    headers: Any
    body: bytes

    @property
    def text(self):
        return self.body.decode()


class Client:
    """Makes one request a connection."""

    def __init__(self, port):
        self.port = port

    def __call__(self, method, path, body=None, timeout=20, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            data = body.encode() if isinstance(body, str) else body
            connection.request(method, path, data, sent)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()


def runs(runner):
    """Has models run by a function in the place of `predict`."""
    return unittest.mock.patch("eigenfit_serving.server.rest.handlers.predict", runner)


@contextlib.contextmanager
def running(models=MODELS, gate=None, runner=None, **options):
    """Runs a server; gives its client."""
    settings = Options(**{"page": False, **options})
    source = models if isinstance(models, FakeModels) else FakeModels(list(models))
    gate = gate or FakeGate()
    gate.budget = Budget(settings.max_pending_body_bytes)
    server = RestServer(source, gate, settings)
    client = Client(server.start())
    with runs(runner or FakeRunner()):
        try:
            yield client
        finally:
            server.stop(grace=1)
