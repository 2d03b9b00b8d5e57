"""Load on the embedded server, and what it adds to a call in the same process.

    python benchmarks/serving.py --json serving.json

The server runs in a process of its own, its clients in this one: threads that send
requests for one-row fits, written beforehand, as fast as they are answered. They share
the cores with the server; with 64 of them the figures are those of both together.

What the server adds is measured with one client by turns: a call in this process, an
empty call of gRPC (the health service), gRPC, REST, so that all meet the same noise.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import grpc
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table

import eigenfit as ef
import eigenfit_serving
from eigenfit_export import save_model
from eigenfit_serving.client.calls import Predict, Target
from eigenfit_serving.client.transports import grpc_wire, http_wire

ORDERS = (3, 8)
CLIENTS = (1, 8, 64)
GOALS = {"gRPC": 1.0, "REST": 2.0}
"""Milliseconds that the server may add at one client, median."""

Send = Callable[[], None]


def main() -> None:
    """Measures, prints a table, and writes it as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", metavar="FILE", help="where to write the figures")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each figure")
    parser.add_argument("--quick", action="store_true", help="half a second, n = 3")
    arguments = parser.parse_args()
    seconds = 0.5 if arguments.quick else arguments.seconds
    orders = ORDERS[:1] if arguments.quick else ORDERS
    clients = CLIENTS[:2] if arguments.quick else CLIENTS
    with tempfile.TemporaryDirectory() as name:
        figures = measure(Path(name), orders, clients, seconds)
    console = Console()
    show(*figures, console)
    if arguments.json:
        document = dict(zip(("load", "turns"), figures, strict=True))
        Path(arguments.json).write_text(json.dumps(document, indent=1))


def measure(
    folder: Path, orders: tuple[int, ...], clients: tuple[int, ...], seconds: float
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Measures all combinations.

    Returns:
        For each: order, way, clients, requests per second, and the times of a request
        in milliseconds, `p50` and `p99`. And for each order the medians by turns.
    """
    models, figures, turns, bare = folder / "models", [], [], {}
    for n in orders:
        save_model(ef.Solver(ef.Problem(ef.Symmetric(n))), models / f"order-{n}")
        bare[n] = in_process(models / f"order-{n}" / "1", n)
        row = {"order": n, "way": "in process", "clients": 1}
        figures.append({**row, **load([bare[n]], seconds)})
    ways = {"gRPC": connect_grpc, "REST": connect_rest}
    with eigenfit_serving.serve(models, kind="embedded", port=0, rest_port=0) as server:
        for n in orders:
            sends = {
                "in process": bare[n],
                "empty call": connect_empty(server),
                **{way: connect(server, n) for way, connect in ways.items()},
            }
            turns.append({"order": n, **by_turns(sends, seconds)})
        for n in orders:
            for way, connect in ways.items():
                for number in clients:
                    sends = [connect(server, n) for _ in range(number)]
                    row = {"order": n, "way": way, "clients": number}
                    figures.append({**row, **load(sends, seconds)})
    return figures, turns


def arguments_of(n: int) -> dict[str, np.ndarray]:
    """Makes the inputs of a one-row fit of all symmetric matrices of order n."""
    p = n * (n + 1) // 2
    return {
        "initial": np.random.default_rng(n).uniform(size=[1, p]),
        "targets": np.linspace(1.0, 2.0, n)[np.newaxis],
        "tolerance": np.array([1e-8]),
        "max_steps": np.array([100], np.int32),
    }


def in_process(version: Path, n: int) -> Send:
    """Makes a call of the same SavedModel, NumPy in and out, without a server."""
    model = tf.saved_model.load(str(version))
    function = model.signatures["fit"]
    inputs = arguments_of(n)

    def send(_model: Any = model) -> None:
        tensors = {name: tf.constant(array) for name, array in inputs.items()}
        outputs = function(**tensors)
        assert [x.numpy() for x in outputs.values()]

    return send


def connect_grpc(server: eigenfit_serving.Served, n: int) -> Send:
    """Makes a caller with a channel of its own."""
    call = Predict(Target(f"order-{n}"), "fit", arguments_of(n))
    method, request = grpc_wire.encode(call)
    body = request.SerializeToString()
    # Of its own: channels to one address share a connection otherwise.
    options = [("grpc.use_local_subchannel_pool", 1)]
    channel = grpc.insecure_channel(f"127.0.0.1:{server.port}", options)
    stub = channel.unary_unary(method.path)

    def send() -> None:
        assert stub(body, timeout=60)

    return send


def connect_empty(server: eigenfit_serving.Served) -> Send:
    """Makes a caller of a method that does nothing: what gRPC itself takes."""
    channel = grpc.insecure_channel(f"127.0.0.1:{server.port}")
    stub = channel.unary_unary("/grpc.health.v1.Health/Check")

    def send() -> None:
        assert stub(b"", timeout=60)

    return send


def connect_rest(server: eigenfit_serving.Served, n: int) -> Send:
    """Makes a caller with a connection of its own."""
    request = http_wire.encode(Predict(Target(f"order-{n}"), "fit", arguments_of(n)))
    connection = http.client.HTTPConnection("127.0.0.1", server.rest_port, timeout=60)

    def send() -> None:
        connection.request("POST", request.path, request.body, dict(request.headers))
        response = connection.getresponse()
        answer = response.read()
        assert response.status == 200, answer

    return send


def load(sends: list[Send], seconds: float) -> dict[str, float]:
    """Lets all callers send for a while.

    Returns:
        `rate` in requests per second; `p50` and `p99` in milliseconds.
    """
    for send in sends:
        for _ in range(3 if len(sends) > 8 else 20):
            send()
    times: list[list[float]] = [[] for _ in sends]
    failures: list[BaseException] = []
    barrier = threading.Barrier(len(sends) + 1)
    end = [float("inf")]

    def work(send: Send, own: list[float]) -> None:
        barrier.wait()
        try:
            while (before := time.perf_counter()) < end[0]:
                send()
                own.append(time.perf_counter() - before)
        except BaseException as error:
            failures.append(error)

    threads = [
        threading.Thread(target=work, args=pair)
        for pair in zip(sends, times, strict=True)
    ]
    for thread in threads:
        thread.start()
    barrier.wait()
    began = time.perf_counter()
    end[0] = began + seconds
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    spent = time.perf_counter() - began
    together = 1e3 * np.concatenate(times)
    return {
        "rate": len(together) / spent,
        "p50": float(np.percentile(together, 50)),
        "p99": float(np.percentile(together, 99)),
    }


def by_turns(sends: dict[str, Send], seconds: float) -> dict[str, float]:
    """Calls one after the other, again and again.

    Returns:
        The median of each in milliseconds.
    """
    times: dict[str, list[float]] = {name: [] for name in sends}
    for send in sends.values():
        for _ in range(20):
            send()
    end = time.perf_counter() + 2 * seconds
    while time.perf_counter() < end:
        for name, send in sends.items():
            before = time.perf_counter()
            send()
            times[name].append(time.perf_counter() - before)
    return {name: 1e3 * float(np.median(own)) for name, own in times.items()}


def show(
    figures: list[dict[str, Any]], turns: list[dict[str, Any]], console: Console
) -> None:
    """Prints the figures and the overheads."""
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for column in ("n", "way", "clients", "requests/s", "p50 ms", "p99 ms"):
        table.add_column(column, justify="left" if column == "way" else "right")
    for x in figures:
        table.add_row(
            str(x["order"]),
            x["way"],
            str(x["clients"]),
            f"{x['rate']:.0f}",
            f"{x['p50']:.2f}",
            f"{x['p99']:.2f}",
        )
    console.print(table)
    for x in turns:
        bare, empty = x["in process"], x["empty call"]
        console.print(
            f"n = {x['order']}, by turns: {bare:.2f} ms in process, {empty:.2f} ms an "
            f"empty call of gRPC",
            highlight=False,
        )
        for way, goal in GOALS.items():
            more = x[way] - bare
            console.print(
                f"  {way} {x[way]:.2f} ms: {more:.2f} ms more (goal: below {goal:g} "
                f"ms, {'met' if more < goal else 'missed'})",
                highlight=False,
            )


if __name__ == "__main__":
    main()
