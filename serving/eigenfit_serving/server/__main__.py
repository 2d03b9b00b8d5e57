"""Runs the server: `python -m eigenfit_serving.server`."""

import faulthandler
import os
import sys
import threading

from eigenfit_serving.server.process.main import main

if __name__ == "__main__":
    # A crash prints its stack; the supervisor starts the server again.
    faulthandler.enable()
    code = main(sys.argv[1:])
    # Neither a pipe that nobody reads, nor threads of TensorFlow, nor a fit that nobody
    # waits for may delay the exit.
    flush = threading.Thread(
        target=lambda: (sys.stderr.flush(), sys.stdout.flush()), daemon=True
    )
    flush.start()
    flush.join(1.0)
    os._exit(code)
