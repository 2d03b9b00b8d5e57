#!/bin/sh
# Starts the server in the image; if nothing is mounted, says what to mount.
set -eu

config=${CONFIG:-/config}

if [ $# -eq 0 ]; then
    if [ ! -f "$config/models.config" ]; then
        cat >&2 <<'TEXT'
There are no models. Mount a folder with models.config at /config, and the models at the
paths that it names:

  docker run --publish 127.0.0.1:8500:8500 --publish 127.0.0.1:8501:8501 \
    --mount type=bind,source=./config,target=/config,readonly \
    --mount type=bind,source=./models,target=/models,readonly eigenfit-serving

or serve one model without a configuration:

  docker run --publish 127.0.0.1:8501:8501 \
    --mount type=bind,source=./models,target=/models,readonly eigenfit-serving \
    --model_name=identity --model_base_path=/models/identity

All flags: docker run --rm eigenfit-serving --help
TEXT
        exit 2
    fi
    set -- "--model_config_file=$config/models.config"
    if [ -f "$config/monitoring.config" ]; then
        set -- "$@" "--monitoring_config_file=$config/monitoring.config"
    fi
fi

exec python -m eigenfit_serving.server \
    --host=0.0.0.0 --port=8500 --rest_api_port=8501 "$@"
