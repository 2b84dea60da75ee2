"""The scikit-learn face of `fit`: a classifier for grids, pipelines and cross-validation."""

from __future__ import annotations

import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from robustcnn.attacks import Attack, Swift
from robustcnn.core.plain_data import as_annotated, chosen, shown
from robustcnn.core.results import HEADER, EpochMetrics
from robustcnn.core.runtime import DeviceName, Precision, derived_seed, evaluating, global_seed, pick_device
from robustcnn.core.spec import ImageSpec
from robustcnn.core.threat import ThreatModel
from robustcnn.data import Augment, ResidentDataset
from robustcnn.data.arrays import PixelFormat, unrolled
from robustcnn.data.held_out import held_out
from robustcnn.data.resident import as_pixels, spec_of
from robustcnn.data.sample_weight import combined, weights_of
from robustcnn.data.sets.raw import Array
from robustcnn.evaluate import evaluate
from robustcnn.models import MODELS, ModelConfig, PixelModel, build
from robustcnn.train import OBJECTIVES, FitConfig, OptimConfig, Standard, fit
from robustcnn.train.optimisation.optim import OptimizerName, Schedule
from robustcnn.train.settings import AnyObjective
from robustcnn.train.warm_start import go_on, read_source, start

DTYPES = (np.float64, np.float32, np.uint8)
"""Kept as they are; anything else becomes the first."""
ARCHITECTURE = ("dropout", "width", "single_logit")
NUMBERS = ("epochs", "batch_size", "lr", "eps", "l1", "l2", "label_smoothing", "patience", "validation")
PLAIN = (*NUMBERS, *ARCHITECTURE, "image_shape")
"""Parameters whose kind the signature says."""


class RobustCNNClassifier(ClassifierMixin, BaseEstimator):
    """A network that is trained like a scikit-learn classifier.

    X holds images (n, C, H, W), (n, H, W) or (n, H, W, C) with 1 or 3 channels, as uint8 levels or floats in [0, 1]; of
    four axes the second counts the channels whenever it is 1 or 3. Or X holds rows (n, features): pictures of
    `image_shape`, or of a guessed one (square and of at least 8 pixels a side, else a single line). Only rows may leave
    [0, 1]; the smallest and largest training value then become 0 and 1. Answers are float64 for float64 X, so that they
    do not depend on which examples come together, and float32 otherwise; training is in float32.

    Parameters
    ----------
    model : a network's name or a ModelConfig; `auto` is smallcnn, or mlp where pictures are too small for it.
    dropout, width : options of the network; None leaves them as they are.
    single_logit : two classes by one output instead of a softmax over two.
    init_from : folder of a run to start from, or torchvision:NAME; `model=auto` is then the network found there.
    freeze : layers that are not trained: none, features (all but the last) or first:K.
    image_shape : (H, W) or (C, H, W) of the pictures in rows.
    epochs, batch_size, optimizer, lr, schedule, l1, l2, patience : as in FitConfig and OptimConfig.
    objective : what to train for: `standard`, or against attacks in the linf ball of radius `eps` `adversarial`,
        `mixture`, `fast`, `free`, `trades` or `mart`; or an objective itself, such as Trades(beta=3).
    eps : radius of the ball, in units of the pixels in [0, 1] that the network sees.
    augment : an Augment, or None.
    label_smoothing : share of the target that is spread over all classes, for an objective given by name.
    validation : share of the examples held out to find the best epoch. The training examples themselves do it when
        fewer than 10 would be held out, or when a class has only one.
    class_weight : None, `balanced`, or a dict from class to weight; multiplied with `sample_weight`, and both together
        scaled to a mean of 1 over the examples.
    device : `auto`, `cpu` or `cuda`; the fitted model itself is kept on the CPU.
    precision : of the training, `fp32`, `bf16` or `fp16`; answers are always in full precision.
    random_state : seed of everything that is drawn.
    warm_start : go on with the weights of the last fit, of the same classes.
    verbose : print a line an epoch when above 0.

    Attributes
    ----------
    classes_ : the labels, sorted.
    n_features_in_ : values in one example.
    pixel_format_ : shape and scale of the pictures that the network sees.
    model_ : the PixelModel with the best epoch's weights, to be attacked and evaluated like any other.
    history_ : EpochMetrics of every epoch.
    """

    def __init__(
        self,
        *,
        model: str | ModelConfig = "auto",
        dropout: float | tuple[float, ...] | None = None,
        width: float | None = None,
        single_logit: bool = False,
        init_from: str | Path | None = None,
        freeze: str = "none",
        image_shape: tuple[int, ...] | None = None,
        epochs: int = 20,
        batch_size: int | Literal["full"] = 64,
        optimizer: OptimizerName = "nesterov",
        lr: float = 0.05,
        schedule: Schedule = "one-cycle",
        objective: str | AnyObjective = "standard",
        eps: float = 8 / 255,
        l1: float = 0.0,
        l2: float = 0.0,
        augment: Augment | None = None,
        label_smoothing: float = 0.0,
        patience: int | None = None,
        validation: float = 0.1,
        class_weight: Literal["balanced"] | dict[Any, float] | None = None,
        device: DeviceName = "auto",
        precision: Precision = "fp32",
        random_state: int | np.random.RandomState | None = None,
        warm_start: bool = False,
        verbose: int = 0,
    ) -> None:
        self.model = model
        self.dropout = dropout
        self.width = width
        self.single_logit = single_logit
        self.init_from = init_from
        self.freeze = freeze
        self.image_shape = image_shape
        self.epochs = epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.lr = lr
        self.schedule = schedule
        self.objective = objective
        self.eps = eps
        self.l1 = l1
        self.l2 = l2
        self.augment = augment
        self.label_smoothing = label_smoothing
        self.patience = patience
        self.validation = validation
        self.class_weight = class_weight
        self.device = device
        self.precision = precision
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> RobustCNNClassifier:  # noqa: N803
        """Train a fresh network on images or rows X and labels y of any type.

        `sample_weight` says how much each example counts, in the loss and in what the epochs are judged by: one of
        weight 2 as two, one of weight 0 as if it were not there.
        """
        rows, shape = unrolled(X)
        rows, y = validate_data(self, rows, y, dtype=DTYPES)
        check_classification_targets(y)
        weights = None if sample_weight is None else weights_of(sample_weight, len(y))
        if weights is not None:
            rows, y, weights = (each[weights > 0] for each in (rows, y, weights))
        config = self._fit_config()
        classes, labels = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise ValueError("a classifier needs at least 2 classes in y, got 1 class")
        before = self._model_before(classes)
        pixel_format = PixelFormat.of(rows, shape, self.image_shape)
        data = self._dataset(
            pixel_format.pixels(rows, shape),
            torch.tensor(labels),
            classes,
            combined(labels, classes, self.class_weight, weights),
        )
        with global_seed(derived_seed(config.seed, "weights")):
            model = self._build(data.spec)
        if before is not None:
            go_on(model, before)
        history = self._train(model, data, config)
        # Only now, so that a fit that fails leaves what the last one learnt.
        self.classes_, self.pixel_format_, self.history_ = classes, pixel_format, history
        self.model_ = model.eval().cpu()
        return self

    def predict(self, X: Any) -> Array:  # noqa: N803
        """The most probable class of each example."""
        winners = self._logits(X).argmax(1).numpy()
        return np.asarray(self.classes_[winners])

    def predict_proba(self, X: Any) -> Array:  # noqa: N803
        """Probabilities (n, classes), in the order of `classes_`."""
        return self._logits(X).softmax(1).numpy()

    def decision_function(self, X: Any) -> Array:  # noqa: N803
        """Logits (n, classes); of two classes the second one's lead over the first (n,)."""
        logits = self._logits(X)
        return (logits[:, 1] - logits[:, 0] if len(self.classes_) == 2 else logits).numpy()

    def robust_score(
        self,
        X: Any,  # noqa: N803
        y: Any,
        *,
        attack: Attack | None = None,
        threat: ThreatModel | None = None,
        audit: int | None = None,
    ) -> float:
        """Accuracy under Swift or another attack, in the linf ball of `eps` or another; `audit` as in `evaluate`."""
        check_is_fitted(self)
        rows, shape = unrolled(X)
        rows, y = validate_data(self, rows, y, dtype=DTYPES, reset=False)
        if strange := set(np.unique(y).tolist()) - set(self.classes_.tolist()):
            raise ValueError(f"y must hold classes that were learnt, got {', '.join(map(repr, sorted(strange)))}")
        labels = torch.tensor(np.searchsorted(self.classes_, y))
        data = self._dataset(self.pixel_format_.pixels(rows, shape), labels, self.classes_)
        model = deepcopy(self.model_).to(data.device)
        balls = [threat or ThreatModel(norm="linf", eps=self.eps)]
        (found,) = evaluate(model, data, [attack or Swift()], balls, audit=audit, name=type(self).__name__).threats
        return found.audit.value if found.audit else found.robust.value or 0.0

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    def _fit_config(self) -> FitConfig:
        given = as_annotated(type(self).__init__, {name: getattr(self, name) for name in PLAIN})
        # Also where the objective has no use for it: what is wrong is said before it matters.
        ThreatModel(norm="linf", eps=given["eps"])
        return FitConfig(
            optim=OptimConfig(name=self.optimizer, lr=given["lr"], schedule=self.schedule),
            objective=self._objective(given["eps"], given["label_smoothing"]),
            augment=Augment() if self.augment is None else self.augment,
            freeze=self.freeze,
            seed=int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max)),
            **{name: given[name] for name in ("epochs", "batch_size", "l1", "l2", "patience")},
        )

    def _objective(self, eps: float, label_smoothing: float) -> AnyObjective:
        if not isinstance(self.objective, str):
            return self.objective
        kind = chosen(OBJECTIVES, self.objective, "objective")
        if kind is Standard:
            return Standard(label_smoothing=label_smoothing)
        threat = ThreatModel(norm="linf", eps=eps)
        return kind(threat=threat, label_smoothing=label_smoothing)  # type: ignore[call-arg]

    def _dataset(
        self, pixels: Tensor, labels: Tensor, classes: Array, weights: Tensor | None = None
    ) -> ResidentDataset:
        images = pixels if pixels.dtype == torch.uint8 else pixels.float()
        spec = spec_of(images, tuple(map(str, classes)))
        data = ResidentDataset(images=images, labels=labels, spec=spec, weights=weights)
        return data.to(pick_device(self.device))

    def _build(self, spec: ImageSpec) -> PixelModel:
        if not isinstance(self.model, str | ModelConfig):
            raise ValueError(
                f"model must be a network's name or a ModelConfig, got {shown(self.model)} (robustcnn.models.register "
                "gives a network of yours a name)"
            )
        given = as_annotated(type(self).__init__, {name: getattr(self, name) for name in ARCHITECTURE})
        options = {name: value for name, value in given.items() if value is not None and value is not False}
        if self.init_from is not None:
            source = read_source(str(self.init_from))
            auto: str | ModelConfig = source.model.config
        else:
            source = None
            auto = "smallcnn" if min(spec.height, spec.width) >= MODELS["smallcnn"].smallest else "mlp"
        model = auto if self.model == "auto" else self.model
        config = replace(model if isinstance(model, ModelConfig) else ModelConfig(name=model), **options)
        return build(config, spec) if source is None else start(source, config, spec).model

    def _train(self, model: PixelModel, data: ResidentDataset, config: FitConfig) -> tuple[EpochMetrics, ...]:
        train, judges = held_out(data, self.validation, seed=config.seed)
        history: list[EpochMetrics] = []
        for metrics in fit(model, train, judges, config, precision=self.precision, progress=bool(self.verbose)):
            if self.verbose:
                sys.stdout.write(f"{metrics}\n" if history else f"{HEADER}\n{metrics}\n")
            history.append(metrics)
        return tuple(history)

    def _model_before(self, classes: Array) -> PixelModel | None:
        """That of the last fit, to go on with under `warm_start`; the classes must be the same."""
        if not self.warm_start or not hasattr(self, "model_"):
            return None
        if not np.array_equal(self.classes_, classes):
            raise ValueError(
                f"warm_start=True goes on with the classes of the last fit, {list(self.classes_)}, got "
                f"{list(classes)} (fit a fresh classifier)"
            )
        return self.model_

    @torch.no_grad()
    def _logits(self, X: Any) -> Tensor:  # noqa: N803
        check_is_fitted(self)
        rows, shape = unrolled(X)
        pixels = self.pixel_format_.pixels(validate_data(self, rows, dtype=DTYPES, reset=False), shape)
        dtype = torch.float64 if pixels.dtype == torch.float64 else torch.float32
        device = pick_device(self.device)
        # A copy, because the model that users hold must neither move nor change its precision.
        model = deepcopy(self.model_).to(device, dtype)
        with evaluating(model):
            return torch.cat([model(as_pixels(part.to(device))).cpu() for part in pixels.split(512)])
