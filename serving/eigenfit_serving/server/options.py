"""The options of the server, and their help texts.

TensorFlow Serving's names come first; their defaults are its own (server.h) unless said
otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

_T = TypeVar("_T")


def _flag(default: _T, text: str) -> _T:
    return field(default=default, metadata={"text": text})


@dataclass(frozen=True)
class Options:
    """All settings of a server, fixed at its start; `--help` explains them."""

    port: int = _flag(8500, "TCP port for gRPC; 0 for none.")
    grpc_socket_path: str = _flag("", "UNIX socket for gRPC; empty for none.")
    grpc_channel_arguments: str = _flag(
        "", "Channel arguments of the gRPC server: key=value, separated by commas."
    )
    grpc_max_threads: int = _flag(0, "Threads for gRPC; 0: as --max_in_flight needs.")
    rest_api_port: int = _flag(0, "TCP port for REST; 0 for none.")
    rest_api_num_threads: int = _flag(0, "Threads for REST; 0: 4 times the cores.")
    rest_api_timeout_in_ms: int = _flag(30_000, "Time limit of REST requests; 0: none.")
    rest_api_enable_cors_support: bool = _flag(False, "Send CORS headers.")
    ssl_config_file: str = _flag("", "SSLConfig in text form: TLS for gRPC.")
    model_name: str = _flag("default", "Name of the model, with --model_base_path.")
    model_base_path: str = _flag("", "Absolute path of the versions of one model.")
    model_config_file: str = _flag("", "ModelServerConfig in text form: all models.")
    model_config_file_poll_wait_seconds: int = _flag(
        0, "Seconds between rereads of that file; 0: never reread."
    )
    file_system_poll_wait_seconds: int = _flag(
        1, "Seconds between looks for new versions; 0: look once."
    )
    num_load_threads: int = _flag(0, "Threads that load models; 0: default.")
    num_unload_threads: int = _flag(0, "Threads that unload models; 0: default.")
    max_num_load_retries: int = _flag(5, "How often to retry loading a model.")
    load_retry_interval_micros: int = _flag(60_000_000, "Time to wait before a retry.")
    allow_version_labels_for_unavailable_models: bool = _flag(
        False, "Allow new labels of versions that are not loaded yet."
    )
    saved_model_tags: str = _flag("serve", "Tags of the graph, separated by commas.")
    enable_model_warmup: bool = _flag(True, "Run a model's warm-up requests first.")
    num_request_iterations_for_warmup: int = _flag(1, "Runs of each warm-up request.")
    monitoring_config_file: str = _flag("", "MonitoringConfig in text form: metrics.")
    tensorflow_session_parallelism: int = _flag(0, "Default of the next two.")
    tensorflow_intra_op_parallelism: int = _flag(
        0, "Threads of an operation; 0 for the default."
    )
    tensorflow_inter_op_parallelism: int = _flag(0, "Operations at a time; 0: default.")
    enable_serialization_as_tensor_content: bool = _flag(False, "Pack tensors in gRPC.")
    # TensorFlow Serving: false.
    enable_grpc_healthcheck_service: bool = _flag(True, "Offer grpc.health.v1.")

    # TensorFlow Serving binds all interfaces.
    host: str = _flag("127.0.0.1", "Address to listen on; 0.0.0.0 for all.")
    free_ports: bool = _flag(False, "Port 0 means any free port, not none.")
    rest_ssl_config_file: str = _flag("", "SSLConfig in text form: TLS for REST.")
    api_key_file: str = _flag("", "File of API keys; callers must send one of them.")
    page: bool = _flag(True, "Offer a web page at / of the REST port.")
    access_log: bool = _flag(True, "Write a line of JSON for each request to stdout.")
    strict_shapes: bool = _flag(False, "Refuse shapes other than the signature's.")
    strict_startup: bool = _flag(False, "Exit if any model cannot be loaded.")
    drain_delay_seconds: float = _flag(0.0, "Seconds not ready before draining.")
    drain_timeout_seconds: float = _flag(60.0, "Seconds to wait for running requests.")
    max_body_bytes: int = _flag(16 << 20, "Largest REST body, also once inflated.")
    max_message_bytes: int = _flag(64 << 20, "Largest gRPC request.")
    max_pending_body_bytes: int = _flag(
        512 << 20,
        "Bytes of requests held at a time: bodies, what they inflate to, 30 for each "
        "byte of JSON that is being parsed, and three times what gRPC received.",
    )
    max_rows: int = _flag(100_000, "Largest number of rows in a request.")
    max_order: int = _flag(4096, "Largest order of a matrix in a request.")
    max_elements: int = _flag(50_000_000, "Largest number of elements in a request.")
    max_steps: int = _flag(0, "Largest max_steps of a fit; 0 for that of the model.")
    max_in_flight: int = _flag(256, "Most requests in progress at a time.")
    max_compiled_shapes: int = _flag(64, "Most shapes for which XLA compiles a model.")
    body_timeout_seconds: float = _flag(30.0, "Time limit for a body to arrive.")
    model_config_state: str = _flag(
        "",
        "File that keeps what HandleReloadConfigRequest sets; if it exists at the "
        "start, it replaces the configuration.",
    )


FIRST_OF_OURS = "host"
"""The first flag that tensorflow_model_server does not have."""

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
