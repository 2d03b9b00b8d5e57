"""Small servers of the two protocols, with a FakeTransport behind them."""

import contextlib
import http.server
import json
import re
import threading
from concurrent import futures

import grpc
import numpy as np
from tests.serving.client.fakes import SIGNATURES

from eigenfit_serving.client.calls import (
    GetMetadata,
    GetStatus,
    ListModels,
    Predict,
    Target,
)
from eigenfit_serving.client.errors import ServerError
from eigenfit_serving.protocol import grpc_api, messages, tensors
from eigenfit_serving.protocol.status import HTTP_STATUS

NUMBERS = {"f8": "DT_DOUBLE", "f4": "DT_FLOAT", "i4": "DT_INT32"}


def dtype_name(dtype):
    return NUMBERS[dtype.str[1:]]


def target_of(spec):
    version = spec.version.value if spec.HasField("version") else None
    return Target(spec.name, version, spec.version_label or None)


class GrpcService(grpc.GenericRpcHandler):
    def __init__(self, transport):
        self.transport = transport
        self.metadata = []
        self.hold = threading.Event()
        self.hold.set()

    def service(self, handler_call_details):
        details = handler_call_details
        self.metadata.append(dict(details.invocation_metadata))
        name = details.method.rsplit("/", 1)[1]
        methods = {**grpc_api.PREDICTION, **grpc_api.MODEL}

        def run(request, context):
            self.hold.wait(30.0)
            try:
                return getattr(self, name)(request)
            except ServerError as error:
                code = next(c for c in grpc.StatusCode if c.value[0] == error.code)
                context.abort(code, error.message)

        return grpc.unary_unary_rpc_method_handler(
            run,
            request_deserializer=methods[name].request.FromString,
            response_serializer=methods[name].response.SerializeToString,
        )

    def GetModelStatus(self, request):  # noqa: N802
        target = target_of(request.model_spec)
        response = messages.GetModelStatusResponse()
        for version, state, _, text in self.transport.send(GetStatus(target), None):
            added = response.model_version_status.add(version=version)
            added.state = messages.ModelVersionStatus.State.Value(state)
            added.status.error_message = text
        return response

    def GetModelMetadata(self, request):  # noqa: N802
        assert list(request.metadata_field) == ["signature_def"]
        target = target_of(request.model_spec)
        metadata = self.transport.send(GetMetadata(target), None)
        found = messages.SignatureDefMap()
        for name, signature in metadata.signatures.items():
            entry = found.signature_def[name]
            for kind in ("inputs", "outputs"):
                for key, spec in getattr(signature, kind).items():
                    info = getattr(entry, kind)[key]
                    info.dtype = messages.DataType.Value(dtype_name(spec.dtype))
                    for size in spec.shape:
                        info.tensor_shape.dim.add(size=-1 if size is None else size)
        response = messages.GetModelMetadataResponse()
        response.model_spec.version.value = metadata.version
        response.metadata["signature_def"].Pack(found)
        return response

    def Predict(self, request):  # noqa: N802
        inputs = {name: tensors.to_array(x) for name, x in request.inputs.items()}
        spec = request.model_spec
        call = Predict(target_of(spec), spec.signature_name, inputs)
        outputs = self.transport.send(call, None)
        response = messages.PredictResponse()
        response.model_spec.version.value = outputs.version
        for name, array in outputs.arrays.items():
            response.outputs[name].CopyFrom(tensors.from_array(array))
        return response


@contextlib.contextmanager
def grpc_served(transport, address="127.0.0.1:0", credentials=None):
    """Yields the service and its port."""
    service = GrpcService(transport)
    server = grpc.server(futures.ThreadPoolExecutor(4), [service])
    if credentials is None:
        port = server.add_insecure_port(address)
    else:
        port = server.add_secure_port(address, credentials)
    server.start()
    try:
        yield service, port
    finally:
        service.hold.set()
        server.stop(None).wait()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def served(self):
        assert isinstance(self.server, HttpServer)
        return self.server

    def do_GET(self):
        self._answer(None)

    def do_POST(self):
        size = int(self.headers["Content-Length"])
        self._answer(json.loads(self.rfile.read(size)))

    def _answer(self, body):
        self.served.seen.append(dict(self.headers))
        self.served.hold.wait(30.0)
        try:
            status, answer = 200, self._find(body)
        except ServerError as error:
            status, answer = HTTP_STATUS[error.code], {"error": error.message}
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _find(self, body):
        send = self.served.transport.send
        if self.path == "/v1/models":
            return {"models": send(ListModels(), None)}
        form = r"/v1/models/(\w+)(?:/versions/(\d+))?(/metadata|:predict)?"
        name, version, action = re.fullmatch(form, self.path).groups()
        target = Target(name, None if version is None else int(version))
        if action is None:
            found = send(GetStatus(target), None)
            return {
                "model_version_status": [
                    {"version": str(x.version), "state": x.state} for x in found
                ]
            }
        if action == "/metadata":
            metadata = send(GetMetadata(target), None)
            return {
                "model_spec": {"version": str(metadata.version)},
                "metadata": {
                    "signature_def": {
                        "signature_def": {
                            name: {
                                "inputs": infos(signature.inputs),
                                "outputs": infos(signature.outputs),
                            }
                            for name, signature in metadata.signatures.items()
                        }
                    }
                },
            }
        name = body["signature_name"]
        known = SIGNATURES[name].inputs
        inputs = {
            key: np.asarray(value, known[key].dtype)
            for key, value in body["inputs"].items()
        }
        arrays = send(Predict(target, name, inputs), None).arrays
        outputs = {key: array.tolist() for key, array in arrays.items()}
        return {"outputs": outputs if len(outputs) > 1 else outputs.popitem()[1]}

    def log_message(self, format, *args):
        pass


def infos(specs):
    return {
        name: {
            "dtype": dtype_name(spec.dtype),
            "tensor_shape": {
                "dim": [{"size": str(-1 if x is None else x)} for x in spec.shape]
            },
        }
        for name, spec in specs.items()
    }


class HttpServer(http.server.ThreadingHTTPServer):
    def __init__(self, transport, port):
        super().__init__(("127.0.0.1", port), Handler)
        self.transport, self.seen = transport, []
        self.hold = threading.Event()
        self.hold.set()

    def handle_error(self, request, client_address):
        pass  # such as a client that refuses it


@contextlib.contextmanager
def http_served(transport, port=0):
    """Yields the server and its port."""
    server = HttpServer(transport, port)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server, server.server_address[1]
    finally:
        server.hold.set()
        server.shutdown()
        server.server_close()
        thread.join()
