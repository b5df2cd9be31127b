"""Polynomials of exp, log and tanh in float32, with an error of a few units of the last place.

Every code generator takes the coefficients from here, highest power first, so that all targets compute the same.
"""

from __future__ import annotations

__all__ = [
    "BIAS", "EXP", "FRACTION", "LN2_HIGH", "LN2_LOW", "LOG", "LOG2_E", "ONE", "ROOT_OF_HALF", "ROUND", "TANH_BOUND",
    "TANH_OVER", "TANH_UNDER",
]  # fmt: skip

# exp on [-ln 2 / 2, ln 2 / 2] and ln 2 in two parts: Moshier, Cephes, expf
EXP = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
LN2_HIGH, LN2_LOW = 0.693359375, -2.12194440e-4
LOG2_E = 1.44269504088896341
ROUND = 12582912.0  # 1.5 * 2^23: added and taken away again, it rounds to a whole number
BIAS = 127  # of an exponent in float32

# log on [sqrt(1/2), sqrt(2)], beyond its first two terms: Moshier, Cephes, logf
LOG = (
    7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
    2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
)  # fmt: skip
ROOT_OF_HALF, ONE, FRACTION = 0x3F3504F3, 0x3F800000, 0x007FFFFF  # bits of float32

# tanh as an odd over an even polynomial on [-7.9, 7.9], outside of which it is 1 in float32: Eigen, ptanh_float
TANH_BOUND = 7.90531110763549805
TANH_OVER = (
    -2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-08,
    1.48572235717979e-05, 6.37261928875436e-04, 4.89352455891786e-03,
)  # fmt: skip
TANH_UNDER = (1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03)
