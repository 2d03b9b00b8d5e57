"""The messages of TensorFlow Serving, without TensorFlow.

They are wire compatible with those of TensorFlow and of tensorflow-serving-api, and
live in a descriptor pool of their own, so that all can be in one process.
"""
