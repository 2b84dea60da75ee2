"""Can a CNN read a Go board: which stones' groups have one liberty left, and why does it need no pooling?

Three planes (black, white, empty), a first layer of 48 filters of 5x5, as the first strong Go networks had. Beside it
the same network with a pooling in front, and two rules of thumb. FGSM and PGD then move the planes by at most eps: is
any stone in atari?
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from lib.lesson import Lesson, lesson_arguments, lesson_options, percent
from torch import Tensor, nn

from robustcnn import FGSM, PGD, ThreatModel
from robustcnn.core.runtime import global_seed
from robustcnn.data.sets.go_boards import Boards, draw_boards, liberties
from robustcnn.models.beyond import AnyPoint, go_cnn
from robustcnn.report import picture_rows
from robustcnn.train.optimisation.optim import OptimConfig
from robustcnn.train.tensors import Pairs, TensorFit, fit_tensors


def at_stones(scores: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy at the stones alone; targets are 1 in atari, 0 not, -1 no stone."""
    stones = targets >= 0
    return F.binary_cross_entropy_with_logits(scores[stones], targets[stones], pos_weight=torch.tensor(4.0))


def pairs(boards: Boards) -> Pairs:
    stones = boards.planes[:, :2].sum(1) > 0
    return Pairs(boards.planes, torch.where(stones, boards.in_atari.float(), -1.0))


def judged(found: Tensor, boards: Boards) -> tuple[float, float, float]:
    """(accuracy, precision and recall of atari) at the stones."""
    stones = boards.planes[:, :2].sum(1) > 0
    said, true = found[stones], boards.in_atari[stones]
    both = float((said & true).sum())
    return float((said == true).double().mean()), both / max(1, int(said.sum())), both / max(1, int(true.sum()))


def lone_stones(boards: Boards) -> Tensor:
    """The rule of thumb: one empty point beside the stone itself, whatever its group has."""
    beside = F.conv2d(boards.planes[:, 2:], torch.tensor([[[[0.0, 1, 0], [1, 0, 1], [0, 1, 0]]]]), padding=1)[:, 0]
    return (beside == 1) & (boards.planes[:, 2] == 0)


def main() -> None:
    parser = lesson_options(__doc__, "39-go")
    parser.add_argument("--boards", type=int, default=3000, help="to train on")
    parser.add_argument("--epochs", type=int, default=7)
    parser.add_argument("--eps", type=float, nargs="+", default=[0.05, 0.1, 0.2])
    args = lesson_arguments(parser, boards=250, epochs=3, eps=[0.1])
    train, valid, test = (
        draw_boards(count, seed=args.seed + number)
        for number, count in enumerate((args.boards, args.boards // 6, args.boards // 6))
    )
    optim = OptimConfig(name="adam", lr=3e-3, schedule="one-cycle")
    with Lesson(args, f"{args.boards:,} boards, judged at the stones of {len(test.planes)} others") as lesson:
        lesson.head("method", "accuracy", "precision of atari", "recall of atari", "seconds")
        blank = torch.zeros_like(test.in_atari)
        lesson.row("never", *map(percent, judged(blank, test)), "-")
        lesson.row("one empty point beside the stone", *map(percent, judged(lone_stones(test), test)), "-")
        nets: dict[str, nn.Module] = {}
        for name in ("no pooling", "with pooling"):
            with global_seed(args.seed):
                net = go_cnn(pooling=name == "with pooling")
            config = TensorFit(epochs=args.epochs, batch_size=16, optim=optim, seed=args.seed)
            history = list(fit_tensors(net, pairs(train), pairs(valid), at_stones, config))
            with torch.no_grad():
                scores = judged(net.eval()(test.planes) > 0, test)
            lesson.row(f"CNN, {name}", *map(percent, scores), f"{sum(each.seconds for each in history):.0f}")
            lesson.metrics({f"{name}/accuracy": scores[0], f"{name}/recall": scores[2]})
            nets[name] = net
        calm = draw_boards(200, full=(0.15, 0.3), seed=args.seed + 9)
        lesson.say("\nIs any stone in atari? Boards answered rightly when the planes are moved\n")
        lesson.head("eps", "as it is", "FGSM", "PGD-20")
        labels, stones = calm.in_atari.flatten(1).any(1).long(), calm.planes[:, :2].sum(1) > 0
        board = AnyPoint(nets["no pooling"], stones).eval()
        single = AnyPoint(nets["no pooling"]).eval()
        for eps in args.eps:
            threat, tried = ThreatModel(eps=eps), [calm.planes]
            tried += [attack(single, calm.planes, labels, threat) for attack in (FGSM(), PGD(steps=20))]
            with torch.no_grad():
                shares = [float((board(each).argmax(1) == labels).double().mean()) for each in tried]
            lesson.row(f"{eps:g}", *map(percent, shares))
            lesson.metrics({f"board/pgd_{eps:g}": shares[2]})
        few = liberties(test.planes[:8, :2].bool()).amax(1)
        said = nets["no pooling"](test.planes[:8]).detach().sigmoid()
        lesson.picture(
            "boards",
            picture_rows(
                {
                    "black": test.planes[:8, :1],
                    "white": test.planes[:8, 1:2],
                    "in atari": (few == 1)[:, None].float(),
                    "the network": (said * (few > 0))[:, None],
                },
                largest=114,
            ),
        )


if __name__ == "__main__":
    main()
