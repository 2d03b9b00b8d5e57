"""Servers in processes of their own, models to serve, and clients of both protocols."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import grpc
import tensorflow as tf

from eigenfit_serving.protocol.messages import (
    GetModelStatusRequest,
    GetModelStatusResponse,
    PredictRequest,
    PredictResponse,
)
from eigenfit_serving.protocol.tensors import from_array, to_array

START_SECONDS = 90
PREDICT = "/tensorflow.serving.PredictionService/Predict"
STATUS = "/tensorflow.serving.ModelService/GetModelStatus"


class Numbered(tf.Module):
    """Says its number for every row; `wait` does so once a file exists."""

    def __init__(self, number):
        super().__init__()
        self.number = tf.Variable(float(number))
        row = tf.TensorSpec([None], tf.float32, "x")
        self.say = tf.function(lambda x: {"y": 0 * x + self.number}, [row])

        def wait(path):
            def is_missing(turn, found):
                return tf.equal(found, 0)

            def look(turn, found):
                # Of this turn, lest the optimiser looks only once, before the loop.
                nothing = tf.strings.substr(tf.strings.as_string(turn), 0, 0)
                names = tf.strings.join([path, nothing[tf.newaxis]])
                return turn + 1, tf.size(tf.io.matching_files(names))

            _, found = tf.while_loop(is_missing, look, [0, 0])
            return {"y": self.number + 0 * tf.cast(found[tf.newaxis], tf.float32)}

        self.wait = tf.function(wait, [tf.TensorSpec([None], tf.string, "path")])


def save_version(base: Path, number: int) -> None:
    """Writes a version in one step, as an exporter should."""
    module = Numbered(number)
    draft = base.parent / f"draft-{base.name}-{number}"
    signatures = {"serving_default": module.say, "wait": module.wait}
    tf.saved_model.save(module, str(draft), signatures)
    base.mkdir(exist_ok=True)
    os.rename(draft, base / str(number))


class Server:
    """`python -m eigenfit_serving.server` with free ports."""

    def __init__(self, *flags, home: Path):
        self.log = home / f"server-{time.monotonic_ns()}.log"
        program = [sys.executable, "-m", "eigenfit_serving.server"]
        with self.log.open("w") as errors:
            self.process = subprocess.Popen(
                [*program, "--free_ports", "--port=0", "--rest_api_port=0", *flags],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self.lines: list[dict] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        ready = self.wait_line(lambda x: x.get("event") == "ready")
        self.grpc, self.rest = ready["grpc"].removeprefix("grpc://"), ready["rest"]

    def _read(self):
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(json.loads(line))
                self._changed.notify_all()

    def wait_line(self, condition, after=0):
        def found():
            return [x for x in self.lines[after:] if condition(x)]

        with self._changed:
            if not self._changed.wait_for(found, START_SECONDS):
                raise AssertionError(self.log.read_text())
            return found()[0]

    def wait_exit(self, timeout=60):
        code = self.process.wait(timeout)
        self._reader.join(10)
        return code

    def kill(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._reader.join(10)
        self.process.stdout.close()


class Grpc:
    """Predicts over gRPC; fails with `grpc.RpcError`."""

    def __init__(self, server):
        self.channel = grpc.insecure_channel(server.grpc)
        self._call = self.channel.unary_unary(
            PREDICT, PredictRequest.SerializeToString, PredictResponse.FromString
        )
        self._status = self.channel.unary_unary(
            STATUS,
            GetModelStatusRequest.SerializeToString,
            GetModelStatusResponse.FromString,
        )

    def predict(self, array, name="x", signature="", timeout=60):
        request = PredictRequest()
        request.model_spec.name = "m"
        request.model_spec.signature_name = signature
        request.inputs[name].CopyFrom(from_array(array))
        return to_array(self._call(request, timeout=timeout).outputs["y"]).tolist()

    def states(self):
        request = GetModelStatusRequest()
        request.model_spec.name = "m"
        found = self._status(request, timeout=60).model_version_status
        return {x.version: x.state for x in found}

    def close(self):
        self.channel.close()


class Rest:
    """Predicts over REST; fails with `urllib.error.URLError`."""

    def __init__(self, server):
        self.url = server.rest

    def predict(self, array, name="x", signature="", timeout=60):
        values = [x.decode() if isinstance(x, bytes) else x for x in array.tolist()]
        body = {"inputs": {name: values}}
        if signature:
            body["signature_name"] = signature
        return self.get("/v1/models/m:predict", json.dumps(body), timeout)["outputs"]

    def get(self, path, body=None, timeout=60):
        return json.loads(self.text(path, body, timeout))

    def text(self, path, body=None, timeout=60):
        request = urllib.request.Request(
            self.url + path, data=None if body is None else body.encode()
        )
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.read().decode()

    def code(self, path):
        try:
            self.get(path)
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        return 200

    def close(self):
        pass
