"""Pre-training does what the paper says, tells what happens, and says so when it goes wrong."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from gan_examples import TINY, blobs, networks, same, weights
from torch import Tensor, nn

from robustcnn.core.runtime import seeded
from robustcnn.data.resident import as_pixels
from robustcnn.models import PixelModel, build
from robustcnn.models.dcgan import Generator
from robustcnn.train import TrainingDiverged
from robustcnn.train.gan.loop import pretrain
from robustcnn.train.gan.metrics import GAN_HEADER, GanMetrics
from robustcnn.train.gan.settings import GanConfig
from robustcnn.train.gan.training import PER_STEP, GanTraining
from robustcnn.train.gan.watch import GanAlarm, alarms

QUICK = GanConfig(epochs=2, batch_size=32, samples=40)


def textbook_step(
    generator: Generator, judge: PixelModel, images: Tensor, latents: Tensor, config: GanConfig
) -> dict[str, float]:
    """Goodfellow's two updates, written down step by step as tutorials have them."""
    ours, theirs = (
        torch.optim.Adam(net.parameters(), rate, (config.beta1, 0.999))
        for net, rate in ((generator, config.rate_of_generator), (judge, config.lr))
    )
    made = generator(latents)
    on_real, on_made = judge(images), judge(made.detach())
    if config.loss == "hinge":
        judged = (1 - on_real).clamp_min(0).mean() + (1 + on_made).clamp_min(0).mean()
    else:
        says_real, says_made = on_real.sigmoid(), on_made.sigmoid()
        label = config.real_label
        judged = -(label * says_real.log() + (1 - label) * (1 - says_real).log()).mean() - (1 - says_made).log().mean()
    judged.backward()
    norms = [torch.cat([each.grad.flatten() for each in judge.parameters()]).norm().item()]
    theirs.step()
    generator.zero_grad()
    opposed = judge(made)
    loss = -opposed.mean() if config.loss == "hinge" else -opposed.sigmoid().log().mean()
    loss.backward()
    norms.append(torch.cat([each.grad.flatten() for each in generator.parameters()]).norm().item())
    ours.step()
    found = [(on_real > 0).float().mean().item(), (on_made < 0).float().mean().item()]
    return dict(zip(PER_STEP, [loss.item(), judged.item(), *found, norms[1], norms[0]], strict=True))


@pytest.mark.parametrize("normed", [False, True])
@pytest.mark.parametrize("loss", ["bce", "hinge"])
def test_a_step_is_the_textbooks(loss: str, normed: bool) -> None:
    data, config = blobs(), replace(QUICK, loss=loss, generator_lr=5e-4)
    generator, judge = networks(data, replace(TINY, spectral_norm=normed))
    training = GanTraining(generator, judge, data, config, progress=False)
    images, latents = as_pixels(data.images[:32]), torch.randn(32, TINY.latent, generator=seeded(1))
    told = dict(zip(PER_STEP, training.step(images, latents).tolist(), strict=True))
    plain_generator, plain_judge = networks(data, replace(TINY, spectral_norm=normed))
    expected = textbook_step(plain_generator, plain_judge, images, latents, config)
    assert told == pytest.approx(expected, rel=1e-3)
    # Adam's first step is as long for a gradient of 1e-9 as for one of 1: a few that are but rounding may differ.
    for ours, theirs in zip(weights(generator, judge), weights(plain_generator, plain_judge), strict=True):
        close = torch.isclose(ours, theirs, rtol=1e-3, atol=2e-5)
        assert close.float().mean() > 0.98


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    def trained(seed: int) -> list[Tensor]:
        data = blobs()
        nets = networks(data)
        list(pretrain(*nets, data, replace(QUICK, seed=seed), progress=False))
        return weights(*nets)

    assert same(trained(0), trained(0))
    assert not same(trained(0), trained(1))


def test_labels_change_nothing() -> None:
    data, runs = blobs(), []
    for labels in (data.labels, 1 - data.labels):
        nets = networks(data)
        list(pretrain(*nets, replace(data, labels=labels), QUICK, progress=False))
        runs.append(weights(*nets))
    assert same(*runs)


def test_every_epoch_is_told_in_finite_numbers() -> None:
    data = blobs()
    history = list(pretrain(*networks(data), data, QUICK, progress=False))
    assert [metrics.epoch for metrics in history] == [1, 2]
    for metrics in history:
        assert all(math.isfinite(value) for value in vars_of(metrics).values())
        assert 0 <= metrics.accuracy_on_real <= 1
        assert metrics.seconds > len(data) / metrics.images_per_second
        assert len(str(metrics)) == len(GAN_HEADER)


def vars_of(metrics: GanMetrics) -> dict[str, float]:
    return {name: getattr(metrics, name) for name in GanMetrics.__slots__}


def test_the_generator_learns_what_the_pictures_look_like() -> None:
    data = blobs(256)
    history = list(pretrain(*networks(data), data, replace(QUICK, epochs=8, lr=2e-3, batch_size=16), progress=False))
    assert history[-1].frechet < 0.5 * history[0].frechet
    assert history[0].diversity < 0.1 < 0.7 < history[-1].diversity


def test_colour_pictures_an_odd_last_batch_and_a_single_one_are_taken() -> None:
    for count in (70, 65):
        data = blobs(count, channels=3)
        (metrics,) = pretrain(*networks(data), data, replace(QUICK, epochs=1), progress=False)
        assert math.isfinite(metrics.frechet)


def test_the_networks_weights_ask_for_gradients_again_after_a_step() -> None:
    data = blobs()
    nets = networks(data)
    list(pretrain(*nets, data, replace(QUICK, epochs=1), progress=False))
    assert all(parameter.requires_grad for net in nets for parameter in net.parameters())


def test_a_collapse_is_reported_with_its_epoch() -> None:
    # A discriminator that stands still and takes the brightest image for the most real one: all become white.
    data = blobs()
    generator, judge = networks(data)
    judge.net = nn.Sequential(nn.Flatten(), nn.Linear(256, 1))
    with torch.no_grad():
        generator.net[-2].weight.mul_(60)
        judge.net[1].weight.fill_(0.1)
    config = replace(QUICK, epochs=5, lr=1e-9, generator_lr=0.05, loss="hinge")
    with pytest.warns(GanAlarm) as caught:
        history = list(pretrain(generator, judge, data, config, progress=False))
    first = next(metrics.epoch for metrics in history if metrics.diversity < 0.1)
    assert history[0].diversity > 0.3
    (said,) = [str(each.message) for each in caught]
    assert said.startswith(f"epoch {first}: the generator has collapsed: its images differ by ")
    assert alarms(history) == [said]


def test_a_discriminator_that_wins_outright_is_reported_with_its_epoch() -> None:
    data = blobs()
    config = replace(QUICK, epochs=6, lr=5e-3, generator_lr=1e-7)
    with pytest.warns(GanAlarm) as caught:
        history = list(pretrain(*networks(data), data, config, progress=False))
    (said,) = [str(each.message) for each in caught if "has won" in str(each.message)]
    first = next(m.epoch for m in history if min(m.accuracy_on_real, m.accuracy_on_generated) >= 0.99) + 4
    assert said.startswith(f"epoch {first}: the discriminator has won: for 5 epochs")


def example(epoch: int, *, diversity: float = 1.0, found: float = 0.7) -> GanMetrics:
    return GanMetrics(
        epoch=epoch,
        generator_loss=1.0,
        discriminator_loss=1.0,
        accuracy_on_real=found,
        accuracy_on_generated=found,
        generator_gradient=1.0,
        discriminator_gradient=1.0,
        diversity=diversity,
        frechet=1.0,
        images_per_second=1.0,
        seconds=1.0,
    )


@pytest.mark.parametrize(
    ("diversities", "epochs"),
    [
        ([0.01, 0.05, 0.5, 0.9], []),  # a slow start
        ([0.01, 0.02, 0.03, 0.02, 0.03, 0.04], [5]),  # never started
        ([0.5, 0.05, 0.04], [2]),  # fell; said once
        ([0.5, 0.05, 0.6, 0.05], [2, 4]),  # fell twice
    ],
)
def test_a_collapse_is_told_from_a_slow_start_and_once_each_time(diversities: list[float], epochs: list[int]) -> None:
    history = [example(number, diversity=value) for number, value in enumerate(diversities, start=1)]
    assert [said.split(":")[0] for said in alarms(history)] == [f"epoch {number}" for number in epochs]


def test_a_discriminator_may_be_ahead_for_a_few_epochs() -> None:
    history = [example(number, found=found) for number, found in enumerate([1.0] * 4 + [0.9] + [1.0] * 6, start=1)]
    assert [said.split(":")[0] for said in alarms(history)] == ["epoch 10"]


def test_a_loss_that_is_no_number_ends_the_training() -> None:
    data = blobs()
    generator, judge = networks(data)
    with torch.no_grad():
        judge.net[-1].weight.fill_(float("nan"))
    with pytest.raises(TrainingDiverged, match=r"became nan at step 1 of epoch 1 \(learning rates 0.0002 and 0.0002\)"):
        list(pretrain(generator, judge, data, QUICK, progress=False))


def test_learning_rates_beyond_reason_diverge_loudly() -> None:
    data = blobs()
    training = pretrain(*networks(data), data, replace(QUICK, lr=1e30, loss="hinge"), progress=False)
    with pytest.raises(TrainingDiverged, match="the usual cure is a lower one"):
        list(training)


def test_the_hot_loop_reads_no_more_than_the_textbooks() -> None:
    """Speed is measured by experiments/09_dcgan.py; here only that no pass over a network is done twice."""
    data = blobs(64)
    generator, judge = networks(data)
    training = GanTraining(generator, judge, data, QUICK, progress=False)
    passes = {"generator": 0, "judge": 0}

    def count(name: str) -> None:
        passes[name] += 1

    generator.register_forward_pre_hook(lambda *_: count("generator"))
    judge.register_forward_pre_hook(lambda *_: count("judge"))
    training.step(as_pixels(data.images[:32]), torch.randn(32, TINY.latent))
    assert passes == {"generator": 1, "judge": 3}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"batch_size": 1}, "batch_size must be at least 2 .* got 1"),
        ({"lr": 0.0}, "lr must be a positive number, got 0"),
        ({"generator_lr": -1.0}, "generator_lr must be a positive number, got -1"),
        ({"beta1": 1.0}, r"beta1 must lie in \[0, 1\), got 1"),
        ({"loss": "hing"}, r"unknown loss 'hing' \(did you mean 'hinge'\?\)"),
        ({"real_label": 0.4}, r"real_label must lie in \(0.5, 1\], got 0.4 \(0.9 is usual"),
        ({"samples": 1}, "samples must be at least 2, got 1"),
    ],
)
def test_a_config_without_sense_is_refused(options: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        GanConfig(**options)  # type: ignore[arg-type]


def test_networks_made_for_other_pictures_are_refused() -> None:
    data, colour = blobs(), blobs(channels=3)
    generator, judge = networks(data)
    other_generator, other_judge = networks(colour)
    with pytest.raises(
        ValueError, match=r"the generator is made for \(3, 16, 16\) pictures, the data are \(1, 16, 16\)"
    ):
        next(pretrain(other_generator, judge, data, QUICK))
    with pytest.raises(
        ValueError, match=r"the discriminator is made for \(3, 16, 16\) .* \(build it with the data's spec"
    ):
        next(pretrain(generator, other_judge, data, QUICK))
    with pytest.raises(ValueError, match="at least 2 images, got 1"):
        next(pretrain(generator, judge, data.subset(1), QUICK))
    with pytest.raises(ValueError, match="precision must be one of fp32, bf16, got 'fp16'"):
        next(pretrain(generator, judge, data, QUICK, precision="fp16"))  # type: ignore[arg-type]


def test_a_classifiers_features_may_measure_the_distance() -> None:
    from robustcnn.train.gan.frechet import penultimate_features

    data = blobs()
    judge = build("smallcnn", data.spec, width=0.05)
    ours, theirs = (
        next(pretrain(*networks(data), data, QUICK, features=features, progress=False)).frechet
        for features in (None, penultimate_features(judge))
    )
    assert ours != theirs


@pytest.mark.gpu
def test_a_gpu_trains_in_mixed_precision() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    data = blobs(256).to("cuda")
    nets = networks(data)
    history = list(pretrain(*nets, data, QUICK, precision="bf16", progress=False))
    assert math.isfinite(history[-1].frechet)
    assert F.relu(nets[1](as_pixels(data.images[:4]))).is_cuda
