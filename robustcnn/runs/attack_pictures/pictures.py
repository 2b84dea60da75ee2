"""Adversarial versions of given pictures: panda + 0.007 x sign(gradient) = gibbon, as text, figure and files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

from torch import Tensor

from robustcnn.core.atomic_files import write_atomically
from robustcnn.core.runtime import pick_device
from robustcnn.core.threat import ThreatModel
from robustcnn.data.sets.picture import to_picture
from robustcnn.evaluate import attack_named
from robustcnn.evaluate.linear_explanation import logits_along, sign_direction
from robustcnn.evaluate.one_picture import Game
from robustcnn.report import plots
from robustcnn.runs.attack_pictures.attack_config import Attacked, AttackVerb
from robustcnn.runs.attack_pictures.report import as_equation, opening, record, told
from robustcnn.runs.attack_pictures.stand_in import NAME, STOP, stand_in
from robustcnn.runs.attack_pictures.subject import Subject, class_index, of_spec, subject
from robustcnn.runs.folder import Say

ALONG = 16 / 255


def attack_pictures(paths: Sequence[Path], config: AttackVerb, *, say: Say = lambda _: None) -> list[Attacked]:
    """Attack every picture, write figures, adversarial PNGs and figures in JSON; without paths, the stand-in's own."""
    device = pick_device(config.device)
    seen, own = _subject(config, say)
    if own is None and not paths:
        raise ValueError("name at least one picture, or ask for the demonstration (robustcnn attack --demo)")
    # All are read first: a file that cannot be read should not cost the work on those before it.
    images = {str(path): seen.look_at(path, framing=config.framing) for path in paths}
    if own is not None and not paths:
        images = {f"{STOP}.png": own}
    seen.model.to(device)
    say(opening(seen, config))
    stems = _stems(images)
    done = []
    for path, image in images.items():
        game = _game(seen, image.to(device), config)
        done.append(_one(game, path, config.out / stems[path], seen, config))
        say(told(done[-1], config))
    return done


def _subject(config: AttackVerb, say: Say) -> tuple[Subject, Tensor | None]:
    """The model, and the picture that the stand-in brings along."""
    if config.model == NAME:
        model, image = stand_in(say=say)
        return of_spec(NAME, model, model.spec), image
    options = {name: getattr(config, name) for name in ("weights", "download", "runs", "which", "size")}
    found = subject(config.model, **options)
    if config.eps_range == "model" and found.spec is None:
        raise ValueError(f"--eps-range model: {config.model} does not tell how it normalises (use pixels)")
    return found, None


def _game(seen: Subject, image: Tensor, config: AttackVerb) -> Game:
    scale = seen.spec.std if seen.spec is not None and config.eps_range == "model" else None
    blank = Game(model=seen.model, image=image, classes=seen.classes, label=0, scale=scale)
    label = blank.answers(image)[0].index if config.label is None else _index(config.label, seen, "label")
    return replace(blank, label=label, target=None if config.target is None else _index(config.target, seen, "target"))


def _index(text: str, seen: Subject, option: str) -> int:
    return class_index(text, seen.classes, option=option)


def _one(game: Game, path: str, stem: Path, seen: Subject, config: AttackVerb) -> Attacked:
    attack = attack_named(config.attack)
    threats = [ThreatModel(norm=config.norm, eps=eps) for eps in config.radii]
    played = [game.play(attack, threat, seed=config.seed) for threat in threats]
    clean = game.answers(game.image, count=len(game.classes))
    done = Attacked(
        picture=path,
        label=next(answer for answer in clean if answer.index == game.label),
        label_given=config.label is not None,
        clean=clean[:5],
        attempts=tuple(attempt for _, attempt in played),
        smallest=game.smallest(attack, config.widest, seed=config.seed) if config.smallest else None,
        pixel_unit=game.pixel_unit,
        figure=stem.with_name(f"{stem.name}.figure.png"),
    )
    for adversarial, attempt in played:
        _save(adversarial[0], stem.with_name(f"{stem.name}.eps-{attempt.eps:.4g}.png"))
    adversarial, _ = played[done.shown]
    write_atomically(done.figure, plots.png(plots.equation(as_equation(done, game, adversarial, config)), dpi=150))
    if config.along:
        write_atomically(stem.with_name(f"{stem.name}.along.png"), plots.png(_lines(game)))
    write_atomically(stem.with_name(f"{stem.name}.json"), record(done, seen, config).encode())
    return done


def _save(image: Tensor, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    to_picture(image).save(path)


def _lines(game: Game) -> plots.Figure:
    labels = game.image.new_full((1,), game.label).long()
    steps = [ALONG * step / 32 for step in range(-32, 33)]
    logits = logits_along(game.model, game.image, sign_direction(game.model, game.image, labels), steps)
    return plots.logits_along(logits[:, 0].cpu(), steps, game.classes, game.label)


def _stems(images: Iterable[str]) -> dict[str, str]:
    """A file name for each picture, numbered where two would share one; a name of a picture is no other's."""
    images = list(images)
    counts = Counter(Path(path).stem.casefold() for path in images)
    taken, stems = set(counts), {}
    for index, path in enumerate(images, start=1):
        stem = Path(path).stem
        if counts[stem.casefold()] > 1:
            free = (f"{stem}-{number}" for number in count(index))
            stem = next(name for name in free if name.casefold() not in taken)
            taken.add(stem.casefold())
        stems[path] = stem
    return stems
