"""The messages of TensorFlow Serving, without TensorFlow.

They are wire compatible with those of TensorFlow and tensorflow-serving-api, and live
in a descriptor pool of their own, so that all can share one process.
"""
