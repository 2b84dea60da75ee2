"""The foolbox adapter: the same numbers as foolbox by hand, none of its side effects, and plain words on errors."""

from __future__ import annotations

import math
import random
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import foolbox
import numpy as np
import pytest
import torch

from robustcnn.attacks.base import is_fooled
from robustcnn.attacks.foolbox_adapter import Foolbox, known_attacks
from robustcnn.core.norms import NormName
from robustcnn.core.runtime import seeded
from robustcnn.core.threat import ThreatModel

if TYPE_CHECKING:
    from tests.attacks.conftest import Trained

DETERMINISTIC: list[tuple[str, dict[str, Any], NormName, float]] = [
    ("LinfBasicIterativeAttack", {"steps": 5}, "linf", 0.1),
    ("FGSM", {}, "linf", 0.1),
    ("L2BasicIterativeAttack", {"steps": 5}, "l2", 0.5),
    ("L2DeepFoolAttack", {"steps": 10}, "l2", 0.5),
    ("DDNAttack", {"steps": 10}, "l2", 0.5),
    ("SparseL1DescentAttack", {"steps": 3}, "l1", 3.0),
]


@pytest.mark.parametrize(("name", "options", "norm", "eps"), DETERMINISTIC)
def test_the_answer_is_foolboxs_own(
    trained: Trained, name: str, options: dict[str, Any], norm: NormName, eps: float
) -> None:
    model, images, labels = trained.model, trained.images[:24], trained.labels[:24]
    ours = Foolbox(name=name, options=options)(model, images, labels, ThreatModel(norm=norm, eps=eps))
    victim = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    _, theirs, _ = getattr(foolbox.attacks, name)(**options)(victim, images.clone(), labels, epsilons=eps)
    model.zero_grad(set_to_none=True)
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)
    assert not torch.equal(ours, images)


def test_a_random_attack_follows_the_generator_alone(trained: Trained) -> None:
    model, images, labels = trained.model, trained.images[:8], trained.labels[:8]
    attack, answers = Foolbox(name="LinfPGD", options={"steps": 2}), []
    for noise, seed in ((1, 5), (2, 5), (2, 6)):
        torch.manual_seed(noise)
        np.random.seed(noise)
        random.seed(noise)
        states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
        answers.append(attack(model, images, labels, ThreatModel(eps=0.1), generator=seeded(seed)))
        assert torch.equal(states[0], torch.get_rng_state())
        assert np.array_equal(states[1], np.random.get_state()[1])
        assert states[2] == random.getstate()
    assert torch.equal(answers[0], answers[1])
    assert not torch.equal(answers[0], answers[2])


def test_an_attack_without_a_norm_takes_the_threats(trained: Trained) -> None:
    model, images, labels = trained.model, trained.images[:8], trained.labels[:8]
    for norm, eps in (("linf", 0.1), ("l2", 0.5)):
        threat = ThreatModel(norm=norm, eps=eps)
        found = Foolbox(name="InversionAttack")(model, images, labels, threat)
        torch.testing.assert_close(threat.distance(found, images), torch.full((8,), eps))


def test_an_infinite_eps_gives_the_whole_perturbation(trained: Trained) -> None:
    model, images, labels = trained.model, trained.images[:16], trained.labels[:16]
    threat = ThreatModel(norm="l2", eps=math.inf)
    found = Foolbox(name="DDNAttack", options={"steps": 30})(model, images, labels, threat)
    assert is_fooled(model(found), labels).all()
    assert threat.distance(found, images).max() > 0.5


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("BoundaryAttack", {"steps": 150}),
        ("HopSkipJumpAttack", {"steps": 3, "initial_gradient_eval_steps": 20, "max_gradient_eval_steps": 40}),
        ("PointwiseAttack", {}),
    ],
)
def test_decision_attacks_get_a_start_and_come_nearer(trained: Trained, name: str, options: dict[str, Any]) -> None:
    model, images = trained.model, trained.images[:12]
    labels, threat = model(images).argmax(1), ThreatModel(norm="l2", eps=math.inf)
    found = Foolbox(name=name, options=options)(model, images, labels, threat)
    assert is_fooled(model(found), labels).all()
    others = torch.cdist(images.flatten(1), images.flatten(1)).masked_fill(labels == labels[:, None], math.inf)
    assert (threat.distance(found, images) < others.amin(1)).all()


def test_examples_without_a_start_stay_as_they_are() -> None:
    class Stubborn(torch.nn.Module):
        """Class 0 whatever it sees."""

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.stack([torch.full((len(images),), 0.5), torch.zeros(len(images))], 1)

    images, labels = torch.rand(4, 1, 4, 4), torch.tensor([0, 0, 0, 0])
    with pytest.warns(UserWarning, match="no starting point for 4 of 4 examples"):
        found = Foolbox(name="BoundaryAttack")(Stubborn(), images, labels, ThreatModel(norm="l2", eps=1.0))
    assert torch.equal(found, images)


def test_a_target_is_passed_on(trained: Trained) -> None:
    model, images, labels = trained.model, trained.images[:24], trained.labels[:24]
    attack = Foolbox(name="LinfBasicIterativeAttack", options={"steps": 30}, target="second")
    threat = ThreatModel(eps=0.3)
    wanted = model(images).scatter(1, labels[:, None], -math.inf).argmax(1)
    assert (model(attack(model, images, labels, threat)).argmax(1) == wanted).float().mean() > 0.8
    assert repr(attack) == "Foolbox(name='LinfBasicIterativeAttack', options={'steps': 30}, target='second')"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("LinfPDG", r"foolbox has no attack 'LinfPDG'; did you mean .*LinfPGD"),
        ("qqqq", r"did you mean one of AdamPGD, BinarizationRefinementAttack"),
        ("VirtualAdversarialAttack", r"options of foolbox's VirtualAdversarialAttack are \(steps: int"),
    ],
)
def test_wrong_names_and_options_are_explained(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Foolbox(name=name)


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        (("LinfPGD", "none"), "foolbox's LinfPGD measures linf, but the threat is l2"),
        (("SpatialAttack", "none"), r"knows no norm, .* \(use SpatialGrid"),
        (("GenAttack", "none"), r"refuses target 'none' \(use target='second'\)"),
        (("L2PGD", "none"), r"L2PGD refuses: .*None.* \(give the threat a finite eps\)"),
    ],
)
def test_what_foolbox_cannot_do_is_said_before_it_crashes(
    trained: Trained, attack: tuple[str, Any], message: str
) -> None:
    norm: NormName = "linf" if attack[0] == "GenAttack" else "l2"
    threat = ThreatModel(norm=norm, eps=1 if norm == "linf" else math.inf)
    with pytest.raises(ValueError, match=message):
        Foolbox(name=attack[0], target=attack[1])(trained.model, trained.images[:2], trained.labels[:2], threat)


def test_a_missing_numba_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from foolbox.attacks import brendel_bethge

    monkeypatch.setattr(
        brendel_bethge, "NUMBA_IMPORT_ERROR", ModuleNotFoundError("No module named 'numba'", name="numba")
    )
    with pytest.raises(ValueError, match=r"L2BrendelBethgeAttack needs numba \(pip install numba\)"):
        Foolbox(name="L2BrendelBethgeAttack")


def test_every_attack_of_foolbox_is_known() -> None:
    assert len(known_attacks()) > 60
    assert {"LinfPGD", "L2CarliniWagnerAttack", "BoundaryAttack", "EADAttack"} <= set(known_attacks())


def test_importing_the_adapter_does_not_import_foolbox() -> None:
    check = "import sys, robustcnn.attacks.foolbox_adapter; sys.exit('foolbox' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


@pytest.mark.slow
def test_every_attack_that_needs_nothing_special_runs(trained: Trained) -> None:
    model, images, labels = trained.model, trained.images[:4], trained.labels[:4]
    slow = {"L2CarliniWagnerAttack": {"steps": 20}, "EADAttack": {"steps": 20}, "BoundaryAttack": {"steps": 50}}
    slow |= {"HopSkipJumpAttack": {"steps": 2}, "VirtualAdversarialAttack": {"steps": 2}}
    failed = {}
    for name, kind in known_attacks().items():
        # numba; no norm; another norm; a victim that rounds its input.
        if "BrendelBethge" in name or name in ("SpatialAttack", "L0FMNAttack", "BinarizationRefinementAttack"):
            continue
        norm: NormName = (
            "linf" if "inf" in name.lower() or name in ("PGD", "FGSM", "MIFGSM", "AdamPGD", "GenAttack") else "l2"
        )
        norm = "l1" if "L1" in name or name == "EADAttack" else norm
        target = "second" if name == "GenAttack" else "none"
        attack = Foolbox(name=kind.__name__, options=slow.get(kind.__name__, {}), target=target)
        threat = ThreatModel(norm=norm, eps=0.2)
        try:
            found = attack(model, images, labels, threat)
            assert (threat.distance(found, images) <= 0.2 * (1 + 1e-5)).all()
        except Exception as error:
            failed[name] = repr(error)
    assert not failed
