"""What does work cost beside other ways to do it, how does that grow, and has it become slower?

    python experiments/44_what_it_costs.py            (`make bench`; about five minutes)

Ratios of CPU time on embedded digits, medians of interleaved rounds, beside those that were kept last; then curves of
cost against how much there is to do, with fitted slopes: 1 is linear. The table goes to mlruns/bench as JSON, with a
picture; --keep makes it the one that later ones are compared with.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from lib.bench import compare, machine
from lib.costs import growing, ratios
from lib.opening import options, read, say_machine, table_head, table_row
from matplotlib.figure import Figure

from robustcnn import __version__
from robustcnn.report.plots.canvas import grid, png, styled

KEPT = Path(__file__).parent / "results" / "44_what_it_costs.json"
SLOWER = 0.75
"""A ratio below this share of the one kept is told."""


def slope(spent: dict[int, float]) -> float:
    """The exponent of size that cost grows with."""
    return float(np.polyfit(np.log(list(spent)), np.log(list(spent.values())), 1)[0])


def compared(count: int, epochs: int, rounds: int, before: dict[str, float]) -> dict[str, float]:
    """The ratios, told beside the earlier ones."""
    found = {}
    table_head("way", "times ours", "kept last", "")
    for each in ratios(count, epochs):
        spent = compare({"ours": each.ours, "other": each.other}, rounds)
        found[each.name] = now = round(spent["other"] / spent["ours"], 2)
        last = before.get(each.name)
        word = "slower" if last and now < SLOWER * last and "of one" not in each.name else ""
        table_row(each.name, now, "-" if last is None else last, word)
    return found


Costs = dict[str, dict[int, float]]


def grown(scale: int, rounds: int) -> Costs:
    """CPU seconds of each size of each kind, told with their slopes."""
    costs: Costs = {}
    print()
    table_head("cost against", "from", "to", "slope")
    for name, works in growing(scale).items():
        spent = compare({str(size): work for size, work in works.items()}, rounds)
        costs[name] = dict(zip(works, spent.values(), strict=True))
        table_row(name, min(works), max(works), f"{slope(costs[name]):.2f}")
    return costs


@styled
def drawn(costs: Costs) -> Figure:
    figure, axes = grid(12, 7, rows=2, columns=3)
    for (name, spent), axis in zip(costs.items(), np.ravel(axes), strict=True):
        axis.loglog(list(spent), list(spent.values()), "o-")
        axis.minorticks_off()
        axis.set_xticks(list(spent), list(map(str, spent)))
        ends = [min(spent.values()), max(spent.values())]
        axis.set_yticks(ends, [f"{end:.2g}" for end in ends])
        axis.set(xlabel=name, ylabel="CPU seconds", title=f"slope {slope(spent):.2f}")
    return figure


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--count", type=int, default=256, help="digits that the ratios are measured on")
    parser.add_argument("--epochs", type=int, default=8, help="of the network that is attacked")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("mlruns/bench"))
    parser.add_argument("--keep", action="store_true", help="as what later ones are compared with")
    args = read(parser, count=8, epochs=1, rounds=1, out=Path("mlruns/quick-44"))
    before = json.loads(KEPT.read_text()) if KEPT.is_file() else {"ratios": {}, "machine": "none"}
    say_machine(f"{args.count} digits", f"medians of {args.rounds}", f"kept last: {before['machine']}")
    args.out.mkdir(parents=True, exist_ok=True)
    page = {
        "machine": machine(),
        "torch": torch.__version__,
        "robustcnn": __version__,
        "count": args.count,
        "rounds": args.rounds,
        "ratios": compared(args.count, args.epochs, args.rounds, before["ratios"]),
    }
    costs = grown(max(args.count // 4, 2), args.rounds)
    page["slopes"] = {name: round(slope(spent), 2) for name, spent in costs.items()}
    (args.out / "growth.png").write_bytes(png(drawn(costs)))
    for path in [args.out / "costs.json", *([KEPT] if args.keep else [])]:
        path.write_text(json.dumps(page, indent=1) + "\n")
        print(f"\n{path}", flush=True)


if __name__ == "__main__":
    main()
