"""The options of the server, and what `--help` says of them.

TensorFlow Serving's names come first; their defaults are its own (server.h) unless said
otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

_T = TypeVar("_T")


def _theirs(default: _T, text: str) -> _T:
    return field(default=default, metadata={"text": text, "is_ours": False})


def _ours(default: _T, text: str) -> _T:
    return field(default=default, metadata={"text": text, "is_ours": True})


@dataclass(frozen=True)
class Options:
    """All that can be set when the server is started; `--help` tells the meanings."""

    port: int = _theirs(8500, "TCP port for gRPC; 0 for none.")
    grpc_socket_path: str = _theirs("", "UNIX socket for gRPC; empty for none.")
    grpc_channel_arguments: str = _theirs(
        "", "Arguments of gRPC's server: key=value, with commas."
    )
    grpc_max_threads: int = _theirs(
        0, "Threads for gRPC; 0 for as many as may be in flight."
    )
    rest_api_port: int = _theirs(0, "TCP port for REST; 0 for none.")
    rest_api_num_threads: int = _theirs(
        0, "Threads for REST; 0 for 4 times the number of cores."
    )
    rest_api_timeout_in_ms: int = _theirs(30_000, "Longest time of a REST request.")
    rest_api_enable_cors_support: bool = _theirs(False, "Send CORS headers.")
    ssl_config_file: str = _theirs("", "SSLConfig in text form: TLS for gRPC.")
    model_name: str = _theirs("default", "Name of the model, with --model_base_path.")
    model_base_path: str = _theirs(
        "", "Folder of the versions of one model; an absolute path."
    )
    model_config_file: str = _theirs(
        "", "ModelServerConfig in text form: several models."
    )
    model_config_file_poll_wait_seconds: int = _theirs(
        0, "Read that file again so often; 0: never."
    )
    file_system_poll_wait_seconds: int = _theirs(
        1, "Look for new versions so often; 0: only once."
    )
    num_load_threads: int = _theirs(0, "Threads that load models; 0 for the default.")
    num_unload_threads: int = _theirs(
        0, "Threads that unload models; 0 for the default."
    )
    max_num_load_retries: int = _theirs(5, "How often to try again to load a model.")
    load_retry_interval_micros: int = _theirs(
        60_000_000, "How long to wait before that."
    )
    allow_version_labels_for_unavailable_models: bool = _theirs(
        False, "Labels for versions to come."
    )
    saved_model_tags: str = _theirs("serve", "Tags of the graph to load, with commas.")
    enable_model_warmup: bool = _theirs(
        True, "Run the requests that come with a model first."
    )
    num_request_iterations_for_warmup: int = _theirs(1, "How often to run each.")
    monitoring_config_file: str = _theirs(
        "", "MonitoringConfig in text form: metrics over REST."
    )
    tensorflow_session_parallelism: int = _theirs(
        0, "Both of the next two, where these are 0."
    )
    tensorflow_intra_op_parallelism: int = _theirs(
        0, "Threads of an operation; 0 for the default."
    )
    tensorflow_inter_op_parallelism: int = _theirs(
        0, "Operations at a time; 0 for the default."
    )
    enable_serialization_as_tensor_content: bool = _theirs(
        False, "Answer gRPC with packed tensors."
    )
    # Theirs: false.
    enable_grpc_healthcheck_service: bool = _theirs(True, "Offer grpc.health.v1.")

    # Theirs binds all interfaces.
    host: str = _ours("127.0.0.1", "Address to listen on; 0.0.0.0 for all.")
    free_ports: bool = _ours(False, "Take any free port where one is 0, not none.")
    rest_ssl_config_file: str = _ours("", "SSLConfig in text form: TLS for REST.")
    api_key_file: str = _ours("", "File with the keys of which callers must send one.")
    page: bool = _ours(True, "Offer a page for people at / of the REST port.")
    access_log: bool = _ours(
        True, "Write a line of JSON for each request to the standard output."
    )
    strict_shapes: bool = _ours(
        False, "Refuse inputs whose shape is not that of the signature."
    )
    strict_startup: bool = _ours(
        False, "End if any model cannot be loaded, not only if none can."
    )
    drain_delay_seconds: float = _ours(
        0.0, "After SIGTERM, be not ready so long before refusing."
    )
    drain_timeout_seconds: float = _ours(
        60.0, "Then wait so long for requests that have begun."
    )
    max_body_bytes: int = _ours(
        16 << 20, "Largest body of a REST request, also once it is inflated."
    )
    max_message_bytes: int = _ours(64 << 20, "Largest gRPC request.")
    max_pending_body_bytes: int = _ours(
        512 << 20,
        "Bytes of requests held at a time: bodies, what they inflate to, 30 for each "
        "byte of JSON that is being parsed, and three times what gRPC received.",
    )
    max_rows: int = _ours(100_000, "Largest number of rows of a request.")
    max_order: int = _ours(4096, "Largest order of a matrix in a request.")
    max_elements: int = _ours(50_000_000, "Largest number of elements of a request.")
    max_steps: int = _ours(0, "Largest max_steps of a fit; 0 for that of the model.")
    max_in_flight: int = _ours(256, "Requests that are worked on at a time.")
    max_compiled_shapes: int = _ours(64, "Shapes for which XLA may compile a model.")
    body_timeout_seconds: float = _ours(30.0, "Longest time for a body to arrive.")
    model_config_state: str = _ours(
        "",
        "File that keeps what HandleReloadConfigRequest sets; read at the start, if it "
        "is there, in the place of the configuration.",
    )


WITHOUT_EFFECT = {
    "enable_batching": "requests run side by side",
    "batching_parameters_file": "requests run side by side",
    "enable_per_model_batching_parameters": "requests run side by side",
    "flush_filesystem_caches": "files are read once",
    "tensorflow_session_config_file": "use the tensorflow_*_parallelism flags",
    "use_alts_credentials": "ALTS exists on Google Cloud only",
    "enable_signature_method_name_check": "any signature may be run",
    "enable_profiler": "tensorflow_model_server has a profiler",
    "platform_config_file": "only SavedModels are served",
    "per_process_gpu_memory_fraction": "memory grows as it is needed",
    "remove_unused_fields_from_bundle_metagraph": "graphs are not kept",
    "prefer_tflite_model": "only SavedModels are served",
    "num_tflite_interpreters_per_pool": "only SavedModels are served",
    "num_tflite_pools": "only SavedModels are served",
    "xla_cpu_compilation_enabled": "signatures that XLA compiles are run anyway",
    "xla_gpu_compilation_enabled": "signatures that XLA compiles are run anyway",
    "thread_pool_factory_config_file": "there is one pool of threads",
    "mixed_precision": "models run in the precision they were exported in",
    "supervise": "systemd, Compose or Kubernetes start it again",
    "skip_initialize_tpu": "TPUs are not served",
    "enforce_session_run_timeout": "time limits are kept anyway",
    "http_port": "use --rest_api_port",
    "max_queue": "nothing waits for a batch",
}
"""Flags that are understood but have no effect, and why."""
