r"""Offsets of logits that favour rare classes.

.. math::
    z'_k = z_k - \tau (\log \pi_k - \textstyle\sum_j \pi_j \log \pi_j)

:math:`\pi` are the shares of the classes in training. With :math:`\tau = 0`, a rare class is predicted too seldom by a
regularised model; :math:`\tau = 1` treats all classes as equally frequent.

Source: Menon et al. 2021, "Long-tail learning via logit adjustment", arXiv:2007.07314, section 4.1. Differs: the mean
over the training data is subtracted, so that the logit of a further output, such as out of scope, keeps its place.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["prior_offsets"]

_TAU = 0.5  # between accuracy on data like those of the training, and equal attention to all classes


def prior_offsets(targets: NDArray[np.integer], outputs: int) -> NDArray[np.float32]:
    """Return the term added to the logit of each output, (outputs,); 0 for outputs without an example.

    Args:
        targets: Class id of each training example, (examples,); negative ids are left out.
        outputs: Number of outputs, at least the number of classes.
    """
    counts = np.bincount(targets[targets >= 0], minlength=outputs).astype(np.float64)
    shares = counts / max(counts.sum(), 1)
    logs = np.log(shares, where=shares > 0, out=np.zeros(outputs))
    offsets: NDArray[np.float32] = np.where(shares > 0, _TAU * ((shares * logs).sum() - logs), 0).astype(np.float32)
    return offsets
