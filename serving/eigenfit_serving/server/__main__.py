"""Runs the server: `python -m eigenfit_serving.server`."""

import faulthandler
import os
import sys
import threading

from eigenfit_serving.server.process.main import main

if __name__ == "__main__":
    # What kills the process says where; whoever runs it starts it again.
    faulthandler.enable()
    code = main(sys.argv[1:])
    # A pipe that nobody reads does not keep it, nor do threads of TensorFlow, nor a fit
    # that nobody waits for.
    flush = threading.Thread(
        target=lambda: (sys.stderr.flush(), sys.stdout.flush()), daemon=True
    )
    flush.start()
    flush.join(1.0)
    os._exit(code)
