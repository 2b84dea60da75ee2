"""How far does a search without gradients get beside Swift's ascents, where gradients lead up and where they do not?

Swift hands over to AutoAttack when Square raises the margin by a quarter more than all ascents on more than 5 % of what
it is shown. The networks are those that its constants were chosen on.

    python experiments/49_how_far.py
"""

from __future__ import annotations

import torch
from lib.opening import options, read, say_machine, table_head, table_row
from lib.swift_nets import NETS, examples, network

from robustcnn.attacks import Swift
from robustcnn.attacks.swift import FURTHER
from robustcnn.core.losses import margin
from robustcnn.core.runtime import seeded
from robustcnn.fast.view import exact_logits

HEALTHY = ["digits-plain", "digits-pgd", "tune-signs-free", "tune-fashion-pgd"]


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--nets", nargs="+", choices=NETS, default=["digits-winners", *HEALTHY])
    parser.add_argument("--count", type=int, default=300, help="test examples")
    args = read(parser, nets=["digits-plain"], count=12)
    say_machine("seed 0")
    head = ["network", "ball", "n", "Swift leaves", "Square broke", "share of the ascents' way"]
    table_head(*head, f"beyond {FURTHER:g}")
    for name in args.nets:
        model, data, threat = network(name), examples(name, args.count), NETS[name].threat
        images, labels = next(data.batches(len(data)))
        swift = Swift(escalates=False)
        outcome = swift.run(model, images, labels, threat, generator=seeded(0))
        rows = outcome.standing.nonzero().flatten()
        images, labels = images[rows], labels[rows]
        found = swift.search_without_gradients(model, images, labels, threat, generator=seeded(1))
        with torch.no_grad():
            clean, ours, theirs = (
                margin(exact_logits(model, each), labels) for each in (images, outcome.images[rows], found)
            )
        share = (theirs - clean) / (ours - clean)
        beyond = int((theirs - clean > FURTHER * (ours - clean)).sum())
        median = f"{share.nanmedian():.2f}" if len(rows) else "-"
        table_row(name, threat, len(data), len(rows), int((theirs > 0).sum()), median, beyond)


if __name__ == "__main__":
    main()
