"""What does pre-training a DCGAN cost beside a bare loop, and what do generator and discriminator learn?

python experiments/09_dcgan.py --parts speed --images 10000 --rounds 5
python experiments/09_dcgan.py --parts quality --runs FOLDER      goes on where it was stopped
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

from lib.bench import compare
from lib.gan_parts import answers, bare_epoch, linear_head, networks, pretrained, train_judge
from lib.opening import options, read, say_machine, table_head, table_row

from robustcnn import load
from robustcnn.evaluate import score
from robustcnn.runs.train_config import DataConfig
from robustcnn.train.gan.checkpoint import load_generator
from robustcnn.train.gan.latents import sample_latents
from robustcnn.train.gan.loop import pretrain
from robustcnn.train.gan.settings import GanConfig
from robustcnn.train.gan.watch import generated


def speed(args: argparse.Namespace) -> None:
    data = load(args.data).train
    few = replace(data.subset(args.images), spec=data.spec)
    config = GanConfig(epochs=1)
    ways = {
        "bare": lambda: bare_epoch(few, args.width, config),
        "ours": lambda: list(pretrain(*networks(few, args.width), few, config, progress=False)),
    }
    times = compare(ways, args.rounds)
    print(f"One epoch of {len(few):,} images, width {args.width:g}, medians of {args.rounds} rounds\n")
    table_head("bare PyTorch loop", "robustcnn, epoch judged", "ratio", "aim")
    table_row(f"{times['bare']:.2f} s", f"{times['ours']:.2f} s", f"{times['ours'] / times['bare']:.3f}", "<= 1.05")


def quality(args: argparse.Namespace) -> None:
    start = time.process_time()
    folder = pretrained(args)
    minutes = (time.process_time() - start) / 60
    judge = train_judge(args).eval()
    train, _, test = load(DataConfig(name=args.data, limit=args.limit))
    latents = sample_latents(args.samples, 100, seed=1, purpose="experiment")
    confidence, counts = answers(judge, generated(load_generator(folder), latents))
    on_real, _ = answers(judge, next(test.batches(args.samples))[0])
    accuracy = linear_head(folder, train, test, args.head_epochs)
    rarest = train.classes[int(counts.argmin())]
    rare = f"{int((counts > 0).sum())} (rarest: {rarest}, {100 * counts.min() / counts.sum():.1f} %)"
    print(f"\n{len(train):,} images, width {args.width:g}, {args.epochs} epochs in {minutes:.1f} CPU minutes;")
    print(f"the judge: {100 * score(judge, test).accuracy:.2f} % on {len(test):,} test images\n")
    table_head("what", "ours", "aim")
    table_row(f"mean confidence on {args.samples:,} samples (real: {on_real:.3f})", f"{confidence:.3f}", ">= 0.8")
    table_row("classes among them", rare, 10)
    table_row("frozen trunk + linear head, test accuracy", f"{100 * accuracy:.2f} %", ">= 85 %")


PARTS = {"speed": speed, "quality": quality}


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--data", default="fashion-mnist")
    parser.add_argument("--width", type=float, default=0.5, help="of both networks; 1 is 64 channels and more")
    parser.add_argument("--images", type=int, default=10_000, help="speed: images of the epoch")
    parser.add_argument("--rounds", type=int, default=5, help="speed: how often each way is timed")
    parser.add_argument(
        "--runs", type=Path, default=Path("mlruns/experiment-09"), help="quality: where networks are kept"
    )
    parser.add_argument("--limit", type=int, default=None, help="quality: at most so many training images")
    parser.add_argument("--epochs", type=int, default=30, help="quality: of the DCGAN")
    parser.add_argument("--judge-epochs", type=int, default=8)
    parser.add_argument("--head-epochs", type=int, default=5)
    parser.add_argument("--samples", type=int, default=5_000)
    short = {"epochs": 1, "judge_epochs": 1, "head_epochs": 1, "samples": 100, "rounds": 1}
    args = read(parser, data="digits", width=0.125, images=128, limit=500, **short)
    say_machine(args.data)
    for part in args.parts:
        PARTS[part](args)


if __name__ == "__main__":
    main()
