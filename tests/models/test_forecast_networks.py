"""Forecasting networks against their equations, and what must not change a forecast."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from unspool.data import SeriesWindows
from unspool.layers import Recurrent, TransformerEncoder
from unspool.models import (
    EncoderDecoderForecast,
    ForecasterModel,
    LinearForecast,
    PatchForecast,
    SegmentForecast,
    StepForecast,
    pinball,
)

LOOKBACK, HORIZON, COVARIATES, BATCH = 11, 5, 2, 4
LEVELS = (0.1, 0.5, 0.9)


def windows(seed=0, *, missing=0.0, lookback=LOOKBACK, horizon=HORIZON):
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731
    observed = torch.rand(lookback, BATCH, generator=generator) >= missing
    counted = torch.rand(horizon, BATCH, generator=generator) >= missing
    return SeriesWindows(
        draw(lookback, BATCH).masked_fill(~observed, 0),
        observed,
        draw(lookback, BATCH, COVARIATES),
        draw(horizon, BATCH, COVARIATES),
        torch.tensor([0, 2, 1, 2]),
        draw(horizon, BATCH).masked_fill(~counted, 0),
        counted,
    )


def networks(outputs=3, cell="gru"):
    torch.manual_seed(3)
    shape = {"lookback": LOOKBACK, "horizon": HORIZON, "covariates": COVARIATES, "outputs": outputs}
    parts = {**shape, "segment": 3, "channels": 3}
    encoder = TransformerEncoder(8, heads=2, feedforward=12, layers=1, positions="learned")
    stack = lambda size: Recurrent(cell, size, 8)  # noqa: E731
    step = {"horizon": HORIZON, "channels": 3, "outputs": outputs}
    return {
        "segments": SegmentForecast(stack(8), **parts),
        "recurrent": StepForecast(stack(2 + COVARIATES + 4), **step, covariates=COVARIATES, middle=outputs // 2),
        "encoder-decoder": EncoderDecoderForecast(stack(COVARIATES + 6), stack(COVARIATES + 12), **step),
        "patches": PatchForecast(encoder, **parts),
        "linear": LinearForecast(lookback=LOOKBACK, horizon=HORIZON, outputs=outputs),
        "decomposed": LinearForecast(lookback=LOOKBACK, horizon=HORIZON, outputs=outputs, average=5),
    }


NETWORKS = pytest.mark.parametrize("name", list(networks()))


def model_of(name, normalization="last", loss="quantiles"):
    levels = LEVELS if loss == "quantiles" else (0.5,)
    covariates = None if name == "recurrent" else (3, COVARIATES)
    return ForecasterModel(
        networks(len(levels))[name], levels, normalization=normalization, loss=loss, covariates=covariates
    ).eval()


def test_segments_are_read_and_decoded_as_in_the_paper():
    """SegRNN, arXiv:2308.11200: linear + ReLU, GRU over segments, then one step for each segment to come."""
    network, batch = networks()["segments"], windows(missing=0.2)
    gru = nn.GRU(8, 8)
    cell = network.encoder.layers[0][0]
    for ours, theirs in (("weight_ih", "weight_ih_l0"), ("weight_hh", "weight_hh_l0")):
        getattr(gru, theirs).data.copy_(getattr(cell, ours))
    gru.bias_ih_l0.data.copy_(cell.bias_ih)
    gru.bias_hh_l0.data.copy_(cell.bias_hh)
    for column in range(BATCH):
        past = torch.cat([torch.zeros(1), batch.past[:, column]])  # 11 steps are padded in front to 12
        missing = torch.cat([torch.zeros(1), (~batch.observed[:, column]).float()])
        covariates = torch.cat([torch.zeros(1, COVARIATES), batch.past_covariates[:, column]])
        state = None
        for first in range(0, 12, 3):
            part = slice(first, first + 3)
            x = network.project(torch.cat([past[part], missing[part]])) + network.covariates(covariates[part].flatten())
            _, state = gru(torch.relu(x)[None, None], state)
        later = torch.cat([batch.future_covariates[:, column], torch.zeros(1, COVARIATES)])
        steps = []
        for number in range(2):
            query = torch.cat([network.position[number], network.channel[batch.channel[column]]])
            query = query + network.covariates(later[3 * number : 3 * number + 3].flatten())
            output, _ = gru(query[None, None], state)
            steps.append(network.output(output[0, 0]).view(3, len(LEVELS)))
        expected = torch.cat(steps)[:HORIZON]
        assert torch.allclose(network(batch)[:, column], expected, atol=1e-5)


def test_a_state_of_the_step_network_goes_on_with_new_values():
    network, batch = networks()["recurrent"], windows()
    whole = network(batch)
    _, inputs = network.inputs(
        batch.past, batch.observed, torch.cat([batch.past_covariates[1:], batch.future_covariates[:1]]), batch.channel
    )
    _, state = network.encoder(inputs[:6])
    states, state = network.encoder(inputs[6:], None, state)
    again = network.written(states[-1], state, batch.past[-1], batch.future_covariates, batch.channel)
    assert torch.allclose(whole, again, atol=1e-6)


def test_the_first_step_forecast_equals_the_forced_one():
    network, batch = networks()["recurrent"], windows()
    outputs, values, observed = network.forced(batch)
    assert torch.allclose(outputs[LOOKBACK - 1], network(batch)[0], atol=1e-6)
    assert torch.equal(values, torch.cat([batch.past, batch.future])[1:])
    assert observed.all()


@NETWORKS
@pytest.mark.parametrize("normalization", ["last", "reversible"])
def test_a_shifted_series_has_a_shifted_forecast(name, normalization):
    model, batch = model_of(name, normalization), windows()
    shifted = replace(batch, past=batch.past + 7, future=batch.future + 7)
    assert torch.allclose(model(batch) + 7, model(shifted), atol=1e-4)
    if normalization == "reversible" and name != "recurrent":
        scaled = replace(batch, past=3 * batch.past)
        assert torch.allclose(3 * model(batch), model(scaled), atol=1e-4)


@NETWORKS
def test_a_missing_value_is_masked_and_not_read(name):
    model, batch = model_of(name), windows(missing=0.3)
    filled = replace(batch, past=torch.where(batch.observed, batch.past, torch.tensor(99.0)))
    assert torch.allclose(model(batch), model(filled), atol=1e-5)
    strange = replace(batch, future=torch.where(batch.counted, batch.future, torch.tensor(55.0)))
    assert torch.allclose(model.loss(batch).total, model.loss(strange).total, rtol=1e-5)


@NETWORKS
def test_a_forecast_does_not_read_the_future(name):
    model, batch = model_of(name), windows()
    other = replace(batch, future=batch.future + 5, counted=torch.zeros_like(batch.counted))
    assert torch.equal(model(batch), model(other))


@NETWORKS
def test_windows_of_a_batch_do_not_meet(name):
    model, batch = model_of(name), windows(missing=0.2)
    order = torch.tensor([2, 0, 3, 1])
    permuted = SeriesWindows(
        *(
            part[:, order] if part.ndim > 1 else part[order]
            for part in (batch.past, batch.observed, batch.past_covariates, batch.future_covariates, batch.channel)
        ),
        batch.future[:, order],
        batch.counted[:, order],
    )
    assert torch.allclose(model(batch)[:, order], model(permuted), atol=1e-5)


@NETWORKS
@pytest.mark.parametrize("loss", ["quantiles", "absolute", "squared"])
def test_every_weight_has_a_gradient(name, loss):
    model, batch = model_of(name, loss=loss).train(), windows(missing=0.2)
    value = model.loss(batch)
    value.total.backward()
    for weight, tensor in model.named_parameters():
        assert tensor.grad is not None, weight
        assert tensor.grad.abs().sum() > 0, weight
    if name != "recurrent":
        assert value.count == int(batch.counted.sum())


def test_the_loss_is_twice_the_mean_pinball_loss():
    model, batch = model_of("linear"), windows(missing=0.2)
    forecast, total = model(batch).detach().numpy(), 0.0
    for step in range(HORIZON):
        for column in range(BATCH):
            if batch.counted[step, column]:
                error = batch.future[step, column].item() - forecast[step, column]
                total += 2 * np.mean([max(q * e, (q - 1) * e) for q, e in zip(LEVELS, error, strict=True)])
    assert model.loss(batch).total.item() == pytest.approx(total, rel=1e-5)
    assert pinball(torch.tensor([2.0]), torch.tensor([0.9])).item() == pytest.approx(1.8)
    assert pinball(torch.tensor([-2.0]), torch.tensor([0.9])).item() == pytest.approx(0.2)


def test_the_linear_path_is_added_to_the_network():
    batch = windows()
    path = nn.Linear(LOOKBACK, HORIZON * len(LEVELS))
    plain = ForecasterModel(networks()["segments"], LEVELS).eval()
    both = ForecasterModel(networks()["segments"], LEVELS, linear=path).eval()
    centred = (batch.past - batch.past[-1]).T
    expected = path(centred).view(BATCH, HORIZON, len(LEVELS)).transpose(0, 1)
    assert torch.allclose(both(batch) - plain(batch), expected, atol=1e-5)


@pytest.mark.parametrize("cell", ["elman", "lstm", "hyperlstm"])
def test_any_cell_forecasts_segments(cell):
    network, batch = networks(cell=cell)["segments"], windows()
    one = replace(
        batch,
        **{
            name: getattr(batch, name)[:, :1]
            for name in ("past", "observed", "past_covariates", "future_covariates", "future", "counted")
        },
        channel=batch.channel[:1],
    )
    assert torch.allclose(network(batch)[:, :1], network(one), atol=1e-5)


def test_covariates_of_a_step_move_their_channel_alone():
    model, batch = model_of("linear"), windows()
    plain = model(batch)
    with torch.no_grad():
        model.covariates[2, 1] = torch.tensor([1.0, 2.0, 3.0])  # the second feature, in the third channel
    moved = model(batch) - plain
    expected = batch.future_covariates[..., 1, None] * torch.tensor([1.0, 2.0, 3.0])
    for column, channel in enumerate(batch.channel.tolist()):
        assert torch.allclose(moved[:, column], expected[:, column] * (channel == 2), atol=1e-6)
