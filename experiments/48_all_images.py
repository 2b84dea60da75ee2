"""Does Swift with an audit judge all 10,000 test images, to a point, for less than AutoAttack takes for 1,000?

python experiments/48_all_images.py
"""

from __future__ import annotations

import time

from lib.opening import options, read, say_machine, table_head, table_row
from lib.swift_nets import NETS, examples, network

from robustcnn.attacks import AutoAttack, Swift
from robustcnn.core.results import RobustnessReport
from robustcnn.evaluate import evaluate

HEAD = ["network", "ball", "images", "Swift leaves", "audited", "CPU s"]
HEAD += ["AutoAttack leaves", "of", "CPU s", "ratio"]


def timed(
    name: str, count: int, attack: AutoAttack | Swift, until: float | None = None
) -> tuple[RobustnessReport, float]:
    """The report, and the seconds of processor time."""
    model, data = network(name), examples(name, count)
    start = time.process_time()
    report = evaluate(model, data, [attack], [NETS[name].threat], until=until, say=print)
    return report, time.process_time() - start


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--nets", nargs="+", default=["mnist-pgd", "fashion-trades"])
    parser.add_argument("--all", type=int, default=10_000, help="examples that Swift judges")
    parser.add_argument("--few", type=int, default=1000, help="examples that AutoAttack judges")
    parser.add_argument("--until", type=float, default=2.0, help="width of the audit's interval, in points")
    args = read(parser, nets=["digits-plain"], all=12, few=4, until=40.0)
    say_machine("seed 0")
    table_head(*HEAD)
    for name in args.nets:
        ours, own = timed(name, args.all, Swift(), until=args.until)
        theirs, price = timed(name, args.few, AutoAttack())
        swift, auto = ours.threats[0], theirs.threats[0]
        cells = [
            swift.robust,
            swift.audit or "none",
            f"{own:.0f}",
            auto.robust,
            args.few,
            f"{price:.0f}",
            f"{price / own:.2f}",
        ]
        table_row(name, NETS[name].threat, ours.count, *cells)


if __name__ == "__main__":
    main()
