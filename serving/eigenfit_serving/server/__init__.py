"""The embedded server, which speaks TensorFlow Serving's protocol.

`python -m eigenfit_serving.server --help` lists its flags.
"""
