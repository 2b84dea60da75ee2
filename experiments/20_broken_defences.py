"""Does the checklist fail where a defence only hides how weak a network is, and stay quiet where nothing is wrong?

Broken defences round one small network, others of kinds that the checklist was not built on, combinations made up later
still, and healthy networks: the verdict, what the checklist itself says is hidden, and what an attack that knows the
defence finds on the same examples. An interrupted run goes on (--networks keeps all).
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from lib.broken_defences import defended, knowing
from lib.healthy_models import FIELDS, KINDS, Field, healthy
from lib.held_out_defences import held_out
from lib.later_defences import later
from lib.opening import options, read, say_machine, table_head, table_row
from torch import nn

from robustcnn import ResidentDataset
from robustcnn.core.results import VERDICTS, Finding
from robustcnn.core.runtime import seeded
from robustcnn.evaluate import run_checks

Make = Callable[[], nn.Module]
HEAD = ("model", "verdict", "white box leaves", "points too good", "a knowing attack", "not passed", "CPU s")


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--networks", type=Path, default=Path("mlruns/healthy"), help="folder of the networks")
    parser.add_argument("--count", type=int, default=200, help="examples of each")
    parser.add_argument("--only", default="", help="parts of names with commas between, as broken or healthy")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="after which no other row is begun")
    parser.add_argument("--first", type=int, default=0, help="so many defences, and networks, alone; 0 for all")
    args = read(parser, networks=Path("mlruns/healthy-quick"), count=4, first=1)
    fields = (Field(name="digits", eps=0.1, limit=600, epochs=4),) if args.quick else FIELDS
    rows = _Rows(args.networks / "rows.json", until=time.monotonic() + 60 * args.minutes)
    say_machine(f"seed 0, {args.count} examples of each")
    table_head(*HEAD)
    for name, make, test, field in _models(args, fields):
        if any(each in name for each in args.only.split(",")):
            work = partial(_row, name, make, test, field, args.count)
            if (row := rows.get(f"{name} {args.count}", work)) is not None:
                table_row(*row)
    print(f"\n{rows.summary()}")


def _models(args: object, fields: tuple[Field, ...]) -> object:
    few, (train, validation, test) = args.first or None, fields[0].parts()
    plain = healthy(fields[0], "smallcnn", 0.25, "plain", args.networks)
    for kind, made in {"broken": defended, "held out": held_out, "third round": later}.items():
        for name, make in list(made(plain, train, validation, args.networks).items())[:few]:
            yield f"{kind}: {name}", make, test, fields[0]
    for field in fields:
        test = field.parts()[2]
        for architecture, width, kind in KINDS[:few]:
            make = partial(healthy, field, architecture, width, kind, args.networks)
            yield f"healthy: {field.name} {architecture} {kind}", make, test, field


def _row(name: str, make: Make, test: ResidentDataset, field: Field, count: int) -> list[str]:
    model = make().eval()
    start = time.process_time()
    findings = run_checks(model, test, field.threat, count=count)
    spent = time.process_time() - start
    verdict = max((each.verdict for each in findings if each.tested), key=VERDICTS.index)
    said = next((each.says for each in findings if each.check == "points too good"), "")
    leaves, hidden = re.search(r"left (\d+) of (\d+) standing", said), re.search(r"is ([\d.]+) points (\[.*?\])", said)
    found = ""
    if leaves and not name.startswith("healthy"):
        sample = test.subset(test.rows(count, generator=seeded(0))[: int(leaves[2])])
        found = f"{100 * (int(leaves[1]) - knowing(model, sample, field.threat)) / int(leaves[2]):.1f}"
    figures = [f"{leaves[1]} of {leaves[2]}" if leaves else "no gradient", " ".join(hidden.groups()) if hidden else ""]
    return [name, verdict, *figures, found, _bad(findings), f"{spent:.0f}"]


def _bad(findings: tuple[Finding, ...]) -> str:
    bad = [f"{each.check}{'' if each.verdict == 'fail' else ' (warn)'}" for each in findings if each.speaks_up]
    return ", ".join(bad[:4]) + (f" and {len(bad) - 4} more" if len(bad) > 4 else "")


class _Rows:
    """What is done is kept."""

    def __init__(self, path: Path, *, until: float) -> None:
        self.path, self.until, self.shown, self.left = path, until, list[list[str]](), 0

    @property
    def known(self) -> dict[str, list[str]]:
        return json.loads(self.path.read_text()) if self.path.is_file() else {}

    def get(self, key: str, make: Callable[[], list[str]]) -> list[str] | None:
        if key not in self.known:
            if time.monotonic() > self.until:
                self.left += 1
                return None
            row = make()
            self.path.write_text(json.dumps(self.known | {key: row}, indent=1))
        self.shown.append(self.known[key])
        return self.shown[-1]

    def summary(self) -> str:
        counts = {
            f"{kind} {verdict}": sum(row[0].startswith(kind) and row[1] == verdict for row in self.shown)
            for kind in ("broken", "held out", "third round", "healthy")
            for verdict in VERDICTS
        }
        told = ", ".join(f"{name}: {count}" for name, count in counts.items())
        return told + (f"; {self.left} rows are not worked out yet: start it again" if self.left else "")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
