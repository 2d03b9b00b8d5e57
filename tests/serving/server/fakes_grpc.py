"""Stand-ins for the parts around the gRPC server."""

import contextlib
import threading

from eigenfit_serving.protocol.messages import ModelVersionStatus
from eigenfit_serving.protocol.status import Code, ServingError
from eigenfit_serving.server.budget import Budget
from eigenfit_serving.server.interfaces import ModelSpec, RequestContext


class Models:
    """A fixed set of servables, by name and version."""

    def __init__(self, *servables, labels=None):
        self.versions = {}
        for servable in servables:
            self.versions.setdefault(servable.name, {})[servable.version] = servable
        self.labels = labels or {}
        self.configs = []
        self.fault = None

    @contextlib.contextmanager
    def acquire(self, spec: ModelSpec):
        versions = self.versions.get(spec.name)
        if spec.label is not None:
            if spec.label not in self.labels:
                text = f"Unrecognized servable version label: {spec.label}"
                raise ServingError(Code.INVALID_ARGUMENT, text)
            version = self.labels[spec.label]
        else:
            version = spec.version
        if not versions or (version is not None and version not in versions):
            what = f"Latest({spec.name})"
            if version is not None:
                what = f"Specific({spec.name}, {version})"
            text = f"Servable not found for request: {what}"
            raise ServingError(Code.NOT_FOUND, text)
        yield versions[max(versions) if version is None else version]

    def status(self, name, version=None):
        found = sorted(self.versions.get(name, ()), reverse=True)
        if not found:
            text = f"Could not find any versions of model {name}"
            raise ServingError(Code.NOT_FOUND, text)
        if version is not None and version not in found:
            text = f"Could not find version {version} of model {name}"
            raise ServingError(Code.NOT_FOUND, text)
        states = [
            ModelVersionStatus(
                version=x, state="AVAILABLE" if self.versions[name][x] else "LOADING"
            )
            for x in found
            if version in (None, x)
        ]
        if version is None:
            error = {"error_code": Code.UNKNOWN, "error_message": "It was no model."}
            states.append(ModelVersionStatus(version=0, state="END", status=error))
        return states

    def names(self):
        return list(self.versions)

    def reload(self, config):
        if self.fault is not None:
            raise self.fault
        self.configs.append(config)


class Gate:
    """Lets everything in and remembers it."""

    def __init__(self):
        self.contexts: list[RequestContext] = []
        self.errors = []
        self.rejected = []
        self.noted = []
        self.draining = False
        self.budget = Budget(0)
        self.admitted = threading.Event()

    @contextlib.contextmanager
    def admit(self, context):
        self.contexts.append(context)
        self.admitted.set()
        try:
            yield
        except BaseException as error:
            self.errors.append(error)
            raise

    def refuse(self, context, error):
        self.rejected.append(error.reason)
        self.noted.append((error.code, context))

    def render(self):
        return b""
