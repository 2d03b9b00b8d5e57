"""The options of the server: TensorFlow Serving's names, then ours.

Defaults are TensorFlow Serving's (server.h) unless said otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """All that can be set when the server is started; see `--help` for the meanings."""

    port: int = 8500
    grpc_socket_path: str = ""
    grpc_channel_arguments: str = ""
    grpc_max_threads: int = 0
    rest_api_port: int = 0
    rest_api_num_threads: int = 0
    rest_api_timeout_in_ms: int = 30_000
    rest_api_enable_cors_support: bool = False
    ssl_config_file: str = ""
    model_name: str = "default"
    model_base_path: str = ""
    model_config_file: str = ""
    model_config_file_poll_wait_seconds: int = 0
    file_system_poll_wait_seconds: int = 1
    num_load_threads: int = 0
    num_unload_threads: int = 0
    max_num_load_retries: int = 5
    load_retry_interval_micros: int = 60_000_000
    allow_version_labels_for_unavailable_models: bool = False
    saved_model_tags: str = "serve"
    enable_model_warmup: bool = True
    num_request_iterations_for_warmup: int = 1
    enable_batching: bool = False
    batching_parameters_file: str = ""
    enable_per_model_batching_parameters: bool = False
    monitoring_config_file: str = ""
    tensorflow_session_parallelism: int = 0
    tensorflow_intra_op_parallelism: int = 0
    tensorflow_inter_op_parallelism: int = 0
    enable_signature_method_name_check: bool = False
    enable_serialization_as_tensor_content: bool = False
    enable_grpc_healthcheck_service: bool = True  # theirs: false
    xla_cpu_compilation_enabled: bool = True  # theirs: false

    # Ours.
    host: str = "127.0.0.1"  # theirs binds all interfaces
    free_ports: bool = False
    rest_ssl_config_file: str = ""
    api_key_file: str = ""
    page: bool = True
    access_log: bool = True
    strict_shapes: bool = False
    strict_startup: bool = False
    drain_delay_seconds: float = 0.0
    drain_timeout_seconds: float = 60.0
    max_body_bytes: int = 16 << 20
    max_message_bytes: int = 64 << 20
    max_pending_body_bytes: int = 512 << 20
    max_rows: int = 100_000
    max_order: int = 4096
    max_elements: int = 50_000_000
    max_steps: int = 0
    max_in_flight: int = 256
    max_queue: int = 256
    max_compiled_shapes: int = 64
    body_timeout_seconds: float = 30.0
    model_config_state: str = ""
