"""Data sets for nonlinear regression of NIST, with the certified parameters.

Statistical Reference Datasets, https://www.itl.nist.gov/div898/strd/nls/nls_main.shtml
(in the public domain). Models take a module for `exp`: NumPy or TensorFlow's `math`.
"""

from typing import Any, NamedTuple

import numpy as np


class Dataset(NamedTuple):
    """A set: `model(b, x, exp)`, data, certified parameters and their deviations."""

    model: Any
    x: np.ndarray
    y: np.ndarray
    certified: list[float]
    deviations: list[float]


SETS = {
    "DanWood": Dataset(
        lambda b, x, exp: b[0] * x ** b[1],
        np.array([1.309, 1.471, 1.49, 1.565, 1.611, 1.68]),
        np.array([2.138, 3.421, 3.597, 4.34, 4.882, 5.66]),
        [0.76886226176, 3.8604055871],
        [0.01828197386, 0.051726610913],
    ),
    "BoxBOD": Dataset(
        lambda b, x, exp: b[0] * (1 - exp(-b[1] * x)),
        np.array([1.0, 2.0, 3.0, 5.0, 7.0, 10.0]),
        np.array([109.0, 149.0, 149.0, 191.0, 213.0, 224.0]),
        [213.80940889, 0.54723748542],
        [12.354515176, 0.10455993237],
    ),
    "Misra1a": Dataset(
        lambda b, x, exp: b[0] * (1 - exp(-b[1] * x)),
        np.array(
            [
                77.6,
                114.9,
                141.1,
                190.8,
                239.9,
                289.0,
                332.8,
                378.4,
                434.8,
                477.3,
                536.8,
                593.1,
                689.1,
                760.0,
            ]
        ),
        np.array(
            [
                10.07,
                14.73,
                17.94,
                23.93,
                29.61,
                35.18,
                40.02,
                44.82,
                50.76,
                55.05,
                61.01,
                66.4,
                75.47,
                81.78,
            ]
        ),
        [238.94212918, 0.00055015643181],
        [2.7070075241, 7.2668688436e-06],
    ),
    "Misra1b": Dataset(
        lambda b, x, exp: b[0] * (1 - (1 + b[1] * x / 2) ** -2),
        np.array(
            [
                77.6,
                114.9,
                141.1,
                190.8,
                239.9,
                289.0,
                332.8,
                378.4,
                434.8,
                477.3,
                536.8,
                593.1,
                689.1,
                760.0,
            ]
        ),
        np.array(
            [
                10.07,
                14.73,
                17.94,
                23.93,
                29.61,
                35.18,
                40.02,
                44.82,
                50.76,
                55.05,
                61.01,
                66.4,
                75.47,
                81.78,
            ]
        ),
        [337.99746163, 0.00039039091287],
        [3.1643950207, 4.2547321834e-06],
    ),
    "Misra1d": Dataset(
        lambda b, x, exp: b[0] * b[1] * x / (1 + b[1] * x),
        np.array(
            [
                77.6,
                114.9,
                141.1,
                190.8,
                239.9,
                289.0,
                332.8,
                378.4,
                434.8,
                477.3,
                536.8,
                593.1,
                689.1,
                760.0,
            ]
        ),
        np.array(
            [
                10.07,
                14.73,
                17.94,
                23.93,
                29.61,
                35.18,
                40.02,
                44.82,
                50.76,
                55.05,
                61.01,
                66.4,
                75.47,
                81.78,
            ]
        ),
        [437.36970754, 0.00030227324449],
        [3.6489174345, 2.9334354479e-06],
    ),
    "Rat42": Dataset(
        lambda b, x, exp: b[0] / (1 + exp(b[1] - b[2] * x)),
        np.array([9.0, 14.0, 21.0, 28.0, 42.0, 57.0, 63.0, 70.0, 79.0]),
        np.array([8.93, 10.8, 18.59, 22.33, 39.35, 56.11, 61.73, 64.62, 67.08]),
        [72.462237576, 2.6180768402, 0.067359200066],
        [1.7340283401, 0.088295217536, 0.0034465663377],
    ),
}
