"""The examples that an attack turned most surely, as a table with pictures."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor

from robustcnn.core.atomic_files import write_atomically
from robustcnn.core.norms import fraction
from robustcnn.core.roomy import rest
from robustcnn.evaluate import Evidence
from robustcnn.report.contact_sheet import sheet

TABLE = "worst.json"


def write_worst(folder: Path, evidence: Evidence, classes: tuple[str, ...], *, count: int = 12) -> Path:
    """Pictures and `worst.json`, a column a list: the broken examples whose wrong answer is the most confident."""
    confidence, said = evidence.logits.softmax(1).max(1)
    chosen = _broken_by_confidence(evidence, confidence)[:count]
    attacked, clean = evidence.adversarial[chosen], evidence.images[chosen]
    rest(evidence.adversarial)
    rest(evidence.images)
    distances = evidence.threat.distance(attacked, clean)
    columns = {
        "clean": _pictures(folder, "clean", chosen, clean),
        "attacked": _pictures(folder, "attacked", chosen, attacked),
        "true": [classes[evidence.labels[index]] for index in chosen],
        "said": [classes[said[index]] for index in chosen],
        "confidence": [round(confidence[index].item(), 4) for index in chosen],
        "attack": [evidence.attacks[evidence.broken_by[index]] for index in chosen],
        f"distance, {evidence.threat.norm}": [fraction(distance) for distance in distances.tolist()],
    }
    write_atomically(folder / TABLE, json.dumps(columns, indent=1).encode())
    return folder / TABLE


def _broken_by_confidence(evidence: Evidence, confidence: Tensor) -> list[int]:
    broken = (evidence.broken_by >= 0).nonzero().flatten()
    order = torch.argsort(confidence[broken], descending=True, stable=True)
    chosen: list[int] = broken[order].tolist()
    return chosen


def _pictures(folder: Path, kind: str, chosen: list[int], images: Tensor) -> list[str]:
    names = [f"{index:05d}-{kind}.png" for index in chosen]
    for name, image in zip(names, images, strict=True):
        write_atomically(folder / name, sheet(image[None], columns=1))
    return names
