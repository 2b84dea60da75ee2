"""An evaluation of so many examples, in a process of its own that says how much memory it took at most."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from robustcnn.attacks import FGSM, UniformNoise
from robustcnn.certify.margins import Method
from robustcnn.core.runtime import seeded
from robustcnn.core.threat import ThreatModel
from robustcnn.data.resident import ResidentDataset, spec_of
from robustcnn.evaluate import Plan, judge
from robustcnn.report.gallery import gallery_of
from robustcnn.report.worst import write_worst

SIDE = 16


class Linear(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(SIDE * SIDE, 10, bias=False)
        nn.init.normal_(self.layer.weight, generator=seeded(1))

    def forward(self, images: Tensor) -> Tensor:
        answer: Tensor = self.layer(images.flatten(1))
        return answer


def main(count: int, folder: Path, certify: Method | None = None) -> None:
    torch.set_num_threads(1)
    images = torch.randint(256, (count, 1, SIDE, SIDE), dtype=torch.uint8, generator=seeded(0))
    spec = spec_of(images[:1000], tuple(map(str, range(10))))
    model = Linear().eval()
    with torch.no_grad():
        # Many small answers kept between large ones on the way would hold fifty megabytes of the heap, or none.
        labels = torch.empty(count, dtype=torch.int64)
        for rows in torch.arange(count).split(500):
            labels[rows] = model(images[rows].float() / 255).argmax(1)
    data = ResidentDataset(images=images, labels=labels, spec=spec)
    threats = tuple(ThreatModel(norm="linf", eps=eps) for eps in (0.01, 0.02))
    attacks = (FGSM(), UniformNoise())
    plan = Plan(attacks=attacks, threats=threats, precision="fp32", block=500, seed=0, certify=certify)
    judged = judge(model, data, plan, folder=folder / "parts")
    gallery_of(model, data, judged.evidence[0].adversarial, threat="linf")
    write_worst(folder / "worst", judged.evidence[0], data.classes)
    words = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    sys.stdout.write(f"{words.split()[1]} {judged.report.threats[0].robust.hits}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])  # type: ignore[arg-type]
