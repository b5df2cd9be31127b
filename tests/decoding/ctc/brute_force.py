"""Every path and every output of tiny CTC matrices, enumerated."""

import itertools
import math

import numpy as np


def random_log_probabilities(frames, units, seed, sharpness=1.5):
    logits = np.random.default_rng(seed).normal(0, sharpness, (frames, units))
    return logits - np.log(np.exp(logits).sum(1, keepdims=True))


def output_of(path, blank=0):
    """Drop repeats, then blanks, by the words of the definition."""
    output = [path[0]] if len(path) else []
    for before, unit in itertools.pairwise(path):
        if unit != before:
            output.append(unit)
    return tuple(unit for unit in output if unit != blank)


def all_outputs(log_probabilities, blank=0):
    """Log-probability of every output, summed over all paths."""
    frames, units = log_probabilities.shape
    totals = {}
    for path in itertools.product(range(units), repeat=frames):
        nats = sum(log_probabilities[frame, unit] for frame, unit in enumerate(path))
        totals.setdefault(output_of(path, blank), []).append(nats)
    return {output: math.log(math.fsum(map(math.exp, nats))) for output, nats in totals.items()}


def best_paths(log_probabilities, blank=0):
    """Log-probability and path of the most probable path of every output."""
    frames, units = log_probabilities.shape
    best = {}
    for path in itertools.product(range(units), repeat=frames):
        nats = sum(log_probabilities[frame, unit] for frame, unit in enumerate(path))
        output = output_of(path, blank)
        if output not in best or nats > best[output][0]:
            best[output] = nats, path
    return best
