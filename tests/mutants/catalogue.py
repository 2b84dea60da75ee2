"""Small mistakes that somebody could make in the sources, by name; a test has to notice each of them."""

from __future__ import annotations

from typing import NamedTuple


class Mutant(NamedTuple):
    """One place in one file, and what stands there instead."""

    name: str
    file: str
    """Below robustcnn/."""
    old: str
    new: str


ATTACKS = [
    Mutant(
        "all targets aim at the runner-up",
        "attacks/autopgd.py",
        "runner_up(logits, labels, rank)",
        "runner_up(logits, labels, 1)",
    ),
    Mutant("eot is ignored by AutoPGD's steps", "attacks/autopgd.py", "draws=self.eot)", "draws=1)"),
    Mutant(
        "eot is ignored by AutoPGD's first look",
        "attacks/autopgd.py",
        "for _ in range(self.eot)]",
        "for _ in range(1)]",
    ),
    Mutant("each ball of l1 starts anew", "attacks/autopgd.py", "if best is None else ball.project(best, origin)", ""),
    Mutant("l1 searches the small ball only", "attacks/autopgd.py", "return [(3", "return [(1"),
    Mutant("restarts are ignored by AutoPGD", "attacks/autopgd.py", "yield from [None] * self.restarts", "yield None"),
    Mutant(
        "the best point's gradient is not restored",
        "attacks/autopgd_rules.py",
        "self.gradient = pick(chosen, self.best_gradient, self.gradient)",
        "pass",
    ),
    Mutant("AutoPGD never goes back", "attacks/autopgd_rules.py", "self.go_back(self.halved)", "pass"),
    Mutant(
        "AutoPGD's stride is never halved",
        "attacks/autopgd_rules.py",
        "torch.where(self.halved, self.stride / 2, self.stride)",
        "self.stride",
    ),
    Mutant(
        "AutoPGD has no momentum",
        "attacks/autopgd_rules.py",
        "torch.lerp(self.previous, self.current, 2.0)",
        "self.current",
    ),
    Mutant("AutoPGD starts with half the stride", "attacks/autopgd_rules.py", "score, stride=2)", "score, stride=1)"),
    Mutant("checkpoints do not come closer", "attacks/autopgd_rules.py", "gap = max(gap - 3, 6)", "gap = 22"),
    Mutant("rho is not heeded", "attacks/autopgd_rules.py", "self.gains <= rho * steps", "self.gains <= 0 * steps"),
    Mutant(
        "a start that is no number stays",
        "attacks/autopgd_rules.py",
        "torch.where(score.isnan(), -torch.inf, score)",
        "score",
    ),
    Mutant("l1 steps never become sparser", "attacks/autopgd_rules.py", "(moved / 1.5).ceil()", "moved"),
    Mutant("l1 strides never shorten", "attacks/autopgd_rules.py", "(self.stride / 1.5)", "(self.stride / 1)"),
    Mutant("FAB does not pull back", "attacks/fab.py", ".clamp_max(self.alpha_max)", ".clamp_max(0)"),
    Mutant("FAB does not overshoot", "attacks/fab.py", "onward = point + self.eta * (near - point)", "onward = near"),
    Mutant(
        "FAB does not retreat after a success",
        "attacks/fab.py",
        "torch.where(fooled, self.beta, 1.0)",
        "torch.where(fooled, 1.0, 1.0)",
    ),
    Mutant(
        "FAB's restarts start at the image",
        "attacks/fab.py",
        "images if restart == 0 else self._random_start(closest, generator)",
        "images",
    ),
    Mutant("the final search is left out", "attacks/closest.py", "for _ in range(steps):", "for _ in range(0):"),
    Mutant(
        "a farther find replaces a nearer one",
        "attacks/closest.py",
        "return distance < self._distance",
        "return distance > 0",
    ),
    Mutant("Square's schedule stands still", "attacks/square.py", "self.p_init * 0.5**halvings", "self.p_init"),
    Mutant(
        "Square never stretches its schedule",
        "attacks/square.py",
        "(10_000 / self.queries if self.rescale else 1)",
        "1",
    ),
    Mutant("AutoAttack's Square stretches its schedule", "attacks/ensemble.py", "Square(rescale=False)", "Square()"),
    Mutant(
        "AutoAttack in l1 restarts once",
        "attacks/ensemble.py",
        "(5, min(5, others)) if threat.sparse",
        "(1, others) if threat.sparse",
    ),
    Mutant(
        "an ensemble attacks what has fallen",
        "attacks/ensemble.py",
        "if not len(rows):\n                    break",
        "if False:\n                    break",
    ),
    Mutant(
        "PGD starts at the image",
        "attacks/ascent.py",
        "threat.sample(origin, generator) if self.random_start else origin",
        "origin",
    ),
    Mutant(
        "PGD does not come back into the ball",
        "attacks/ascent.py",
        "current = threat.project(ascend(current, uphill, size * self.step_length(step)), origin)",
        "current = ascend(current, uphill, size * self.step_length(step)).clamp(*threat.bounds)",
    ),
    Mutant(
        "PGD's restarts stop after the first",
        "attacks/ascent.py",
        "if before else 0, self.restarts):",
        "if before else 0, 1):",
    ),
    Mutant(
        "PGD's steps do not shrink along a cosine", "attacks/ascent.py", "(1 + math.cos(math.pi * done)) / 2", "1.0"
    ),
    Mutant("PGD's eot is ignored", "attacks/ascent.py", "draws=self.eot, chunk=chunk", "draws=1, chunk=chunk"),
    Mutant("momentum is not kept", "attacks/gradient.py", "self.momentum * previous + gradient", "gradient"),
    Mutant(
        "Nesterov looks where it stands",
        "attacks/gradient.py",
        "ahead = current + size * self.momentum * step * direction",
        "ahead = current",
    ),
    Mutant("gradients are not blurred", "attacks/gradient.py", "gradient = smooth(gradient, self.translation)", "pass"),
    Mutant(
        "no number counts as right",
        "attacks/base.py",
        "return ~is_right(logits, labels)",
        "return logits.argmax(1) != labels",
    ),
    Mutant(
        "gradients reach the weights",
        "attacks/base.py",
        "frozen_weights(model):\n            images",
        "evaluating(model):\n            images",
    ),
    Mutant(
        "an answer is not held to the ball",
        "attacks/base.py",
        "threat.project(self.search(model, images, labels, threat, generator), images)",
        "self.search(model, images, labels, threat, generator)",
    ),
    Mutant(
        "what a coarse view claims is believed",
        "attacks/search_state.py",
        "if not isinstance(self.model, CoarseView):",
        "if True:",
    ),
    Mutant(
        "a later success replaces the first",
        "attacks/search_state.py",
        "better = score > self.score",
        "better = score > -1",
    ),
    Mutant(
        "DDN's radius stands still", "attacks/minimal.py", "torch.where(fooled, 1 - self.gamma, 1 + self.gamma)", "1"
    ),
    Mutant(
        "DDN climbs rounded cross-entropy",
        "attacks/minimal.py",
        "log_odds(logits, labels[part])",
        "logits.softmax(1).gather(1, labels[part, None]).squeeze(1).neg()",
    ),
    Mutant("FMN forgets its best find", "attacks/minimal.py", ".minimum(closest.distance), missed)", ", missed)"),
    Mutant(
        "Carlini's weight is not searched",
        "attacks/carlini.py",
        "weight = torch.where(high.isfinite(), (low + high) / 2, weight * 10)",
        "pass",
    ),
    Mutant(
        "DeepFool takes the first class for the nearest",
        "attacks/linearise.py",
        "nearer = distance < least",
        "nearer = least.isinf()",
    ),
    Mutant(
        "bisection keeps the larger half",
        "attacks/bisection.py",
        "torch.where(fell, low, middle), torch.where(fell, middle, high)",
        "torch.where(fell, middle, low), torch.where(fell, high, middle)",
    ),
    Mutant(
        "a universal change differs by image",
        "attacks/universal.py",
        "look.gradient.sum(0, keepdim=True)",
        "look.gradient[:1]",
    ),
    Mutant(
        "near misses of bf16 are not searched again", "attacks/craft.py", "found[rows[fooled]] = again[fooled]", "pass"
    ),
]

NORMS = [
    Mutant(
        "Square paints one colour for all channels",
        "core/norms/linf.py",
        "radius * signs((*images.shape[:2], 1, 1), images, generator)",
        "radius * signs((len(images), 1, 1, 1), images, generator)",
    ),
    Mutant(
        "Square's spare mass is dropped",
        "core/norms/saddles.py",
        ".sum(0).add_(spare, alpha=1 / channels)",
        ".sum(0)",
    ),
    Mutant("the old window's mass is not moved", "core/norms/saddles.py", ".scatter_(2, source, 0)", ""),
    Mutant(
        "a saddle's halves weigh differently",
        "core/norms/saddles.py",
        "half / self._length(half).clamp_min(TINY)",
        "half",
    ),
    Mutant(
        "saddles never lie",
        "core/norms/saddles.py",
        "-standing.T, standing.T",
        "-standing, standing",
    ),
    Mutant("l1 steps into the bounds", "core/threat.py", "if current is not None and self.sparse:", "if False:"),
    Mutant(
        "linf's ball is half as wide",
        "core/norms/linf.py",
        "change.clamp(-length, length)",
        "change.clamp(-length / 2, length / 2)",
    ),
    Mutant("linf steps along the gradient itself", "core/norms/linf.py", "return gradient.sign()", "return gradient"),
    Mutant(
        "linf's random starts keep to one side",
        "core/norms/linf.py",
        "(2 * draw(torch.rand, like, generator) - 1) * radius",
        "draw(torch.rand, like, generator) * radius",
    ),
    Mutant("l2's balls are filled at the centre", "core/norms/l2.py", "** (1 / like[0].numel())", "** 1"),
    Mutant(
        "l1 steps in all pixels",
        "core/norms/l1.py",
        "chosen = size >= least.clamp_min_(",
        "chosen = size >= (0 * least).clamp_min_(",
    ),
    Mutant("pixels of no room go first", "core/norms/plane.py", "weight.sort(1, descending=True)", "weight.sort(1)"),
    Mutant(
        "a plane behind is taken for one ahead",
        "core/norms/plane.py",
        "direction = slope.sign() * need.sign()[:, None]",
        "direction = slope.sign()",
    ),
]

JUDGE = [
    Mutant(
        "the judge takes what fools for right",
        "core/losses.py",
        "return (predicted == labels) & greatest.isfinite()",
        "return (predicted == labels) | ~greatest.isfinite()",
    ),
    Mutant(
        "no softmax is an answer",
        "core/losses.py",
        "return logits.amax(1).isfinite()",
        "return ~logits.amax(1).isnan()",
    ),
    Mutant(
        "clean mistakes stand",
        "evaluate/standings.py",
        "torch.where(is_right(clean_logits, labels), BrokenBy.STANDING, BrokenBy.CLEAN)",
        "torch.full_like(labels, BrokenBy.STANDING)",
    ),
    Mutant(
        "the last attack takes all the credit",
        "evaluate/standings.py",
        "first = standing & against.broken",
        "first = against.broken & (self.broken_by != BrokenBy.CLEAN)",
    ),
    Mutant(
        "the judge trusts the ball",
        "evaluate/judging.py",
        "return threat.project(torch.where(found.isfinite(), found, originals), originals)",
        "return torch.where(found.isfinite(), found, originals)",
    ),
    Mutant(
        "pixels that are no number are kept",
        "evaluate/judging.py",
        "torch.where(found.isfinite(), found, originals)",
        "found",
    ),
    Mutant("bytes may leave the ball", "evaluate/judging.py", "return inside & ~is_right", "return ~is_right"),
    Mutant(
        "confusion is transposed",
        "evaluate/metrics.py",
        "_confusion(labels, logits.argmax(1), len(classes))",
        "_confusion(logits.argmax(1), labels, len(classes))",
    ),
    Mutant(
        "f1 forgets what was claimed",
        "evaluate/metrics.py",
        "2 * hits / (claimed + support)",
        "2 * hits / (support + support)",
    ),
    Mutant("bins of calibration weigh the same", "evaluate/metrics.py", "each.count * abs(", "abs("),
    Mutant("specificity counts hits", "evaluate/metrics.py", "1 - (claimed - hits) / others", "1 - claimed / others"),
    Mutant(
        "a weaker rival may break many", "evaluate/checks/counts.py", "if self.proven > MASKED:", "if self.share > 0.5:"
    ),
    Mutant(
        "a second hit goes unsaid",
        "evaluate/checks/counts.py",
        'return "warn" if self.hits > 1 else "pass"',
        'return "pass"',
    ),
    Mutant(
        "convergence is never missed",
        "evaluate/checks/counts.py",
        "if self.hits < 2 or self.share <= SLIGHT:",
        "if True:",
    ),
    Mutant(
        "limits are two-sided where one is meant",
        "evaluate/checks/counts.py",
        "return limit(self.hits, self.count, 0.05)",
        "return limit(self.hits, self.count, 0.5)",
    ),
    Mutant("luck is taken for a break", "evaluate/checks/counts.py", "~(lead <= ERRORS * error)", "~(lead <= 0)"),
    Mutant("held draws are drawn anew", "evaluate/checks/stand_ins.py", "with global_seed(HELD):", "if True:"),
]

TRAINING = [
    Mutant(
        "eps does not warm up",
        "train/objectives/robust.py",
        "share = 1.0 if progress >= self.warmup else progress / self.warmup",
        "share = 1.0",
    ),
    Mutant(
        "TRADES forgets the divergence",
        "train/objectives/trades.py",
        "losses + self.beta * divergence(clean, model(batch.adversarial))",
        "losses + 0 * divergence(clean, model(batch.adversarial))",
    ),
    Mutant(
        "the divergence is turned round",
        "train/objectives/trades.py",
        "clean.float().log_softmax(1), attacked.float().log_softmax(1)",
        "attacked.float().log_softmax(1), clean.float().log_softmax(1)",
    ),
    Mutant(
        "MART weighs all alike",
        "train/objectives/trades.py",
        "self.beta * unsure * divergence",
        "self.beta * divergence",
    ),
    Mutant("MART forgets the runner-up", "train/objectives/trades.py", "+ _runner_up(attacked, batch.labels)", ""),
    Mutant(
        "adversarial training sees clean pictures",
        "train/objectives/adversarial.py",
        "return self.errors(model(batch.adversarial), batch.labels)",
        "return self.errors(model(batch.images), batch.labels)",
    ),
    Mutant(
        "the mixture forgets its share",
        "train/objectives/adversarial.py",
        "self.alpha * clean + (1 - self.alpha) * attacked",
        "clean + attacked",
    ),
    Mutant(
        "GradAlign rewards turning",
        "train/objectives/adversarial.py",
        "return 1 - F.cosine_similarity",
        "return 1 + F.cosine_similarity",
    ),
    Mutant(
        "Free's change does not carry over",
        "train/objectives/free.py",
        "if self.change is None:",
        "if True:",
    ),
    Mutant("AWP moves the weights down", "train/optimisation/awp.py", "weight += gradient", "weight -= gradient"),
    Mutant("AWP leaves the weights where they are", "train/optimisation/awp.py", "weight.copy_(value)", "pass"),
    Mutant(
        "averages are not averaged",
        "train/optimisation/averaging.py",
        "min(self.decay, (1 + steps) / (10 + steps))",
        "0",
    ),
    Mutant("L1 counts double", "train/optimisation/penalties.py", "alpha=self.l1", "alpha=2 * self.l1"),
    Mutant("L2 counts half", "train/optimisation/penalties.py", "alpha=2 * self.l2", "alpha=self.l2"),
    Mutant(
        "scaled gradients are not divided",
        "train/optimisation/loss_scale.py",
        "torch._foreach_mul_(gradients, 1 / self.factor)",
        "pass",
    ),
    Mutant(
        "a step that overflows is taken",
        "train/training.py",
        "moves=not self.descent.scale.overflowed",
        "moves=True",
    ),
]

DATA = [
    Mutant("mirroring turns pictures upside down", "data/augment/warps.py", "images.flip(-1)", "images.flip(-2)"),
    Mutant(
        "shifts go the other way",
        "data/augment/warps.py",
        "reach - move.clamp(-reach, reach)",
        "reach + move.clamp(-reach, reach)",
    ),
    Mutant("turns go the other way", "data/augment/warps.py", "angle.sin() / scale", "-angle.sin() / scale"),
    Mutant(
        "cutout's square is a pixel wider",
        "data/augment/warps.py",
        "position < start[:, None] + size",
        "position <= start[:, None] + size",
    ),
    Mutant(
        "undersampling keeps the most",
        "data/balance.py",
        "fewest = int(_counts(data).min())",
        "fewest = int(_counts(data).max())",
    ),
    Mutant(
        "class weights favour the common",
        "data/balance.py",
        "len(data) / (len(counts) * counts.float())",
        "len(counts) * counts.float() / len(data)",
    ),
    Mutant(
        "the split is not stratified",
        "data/resident.py",
        "labels[shuffled].argsort(stable=True)",
        "torch.arange(len(self))",
    ),
    Mutant(
        "the fingerprint forgets the labels",
        "data/resident.py",
        "in_memory(self.images)), self.labels, *weights):",
        "in_memory(self.images)), *weights):",
    ),
]

CHECKPOINTS = [
    Mutant(
        "a damaged file is taken for whole",
        "models/stored_folder.py",
        "if hashlib.sha256(content).hexdigest() != stored.sha256:",
        "if False:",
    ),
    Mutant(
        "a page of another version is read",
        "models/stored_folder.py",
        "if isinstance(version, int) and version != self.version:",
        "if False:",
    ),
    Mutant(
        "files of the page before stay", "models/stored_folder.py", "sorted(before - {stored", "sorted(set() - {stored"
    ),
    Mutant(
        "files that the page still names go",
        "models/stored_folder.py",
        "sorted(before - {stored.name for stored in _files(page)})",
        "sorted(before)",
    ),
    Mutant("what a dead process left stays", "models/stored_folder.py", "if name not in kept:", "if False:"),
    Mutant(
        "a file's name may lead elsewhere",
        "models/stored_folder.py",
        "if not is_plain_name(self.name):",
        "if not self.name:",
    ),
    Mutant("tensors of another shape are taken", "models/stored_folder.py", "if has != wants:", "if has == 'none':"),
    Mutant(
        "the last weights are loaded as the best",
        "models/checkpoint.py",
        'page.best if which == "best" else page.last',
        "page.last",
    ),
    Mutant("a loaded model trains on", "models/checkpoint.py", "return model.eval()", "return model"),
    Mutant(
        "weights are not checked against their name",
        "models/weights_file.py",
        "if not digest.startswith(wanted):",
        "if False:",
    ),
    Mutant("a web page is read for weights", "models/weights_file.py", 'b"<html"', 'b"<never"'),
    Mutant(
        "half a file may stand for a whole",
        "core/atomic_files.py",
        "partial.replace(path)",
        "path.write_bytes(content[:1])",
    ),
    Mutant("a failed write leaves its part", "core/atomic_files.py", "        partial.unlink()", "        pass"),
    Mutant("a full disk does not say how full", "core/atomic_files.py", "if problem.errno in FULL:", "if False:"),
    Mutant(
        "parts of living processes are removed",
        "core/atomic_files.py",
        "if pid.isdecimal() and not _runs(int(pid)):",
        "if pid.isdecimal():",
    ),
    Mutant("a name may hold a newline", "core/atomic_files.py", " or not c.isprintable()", ""),
    Mutant("two own a folder", "core/ownership.py", "        lock.acquire(timeout=0)\n", ""),
    Mutant("who owns a folder is not told", "core/ownership.py", "(folder / OWNER).write_text(_myself())", "pass"),
    Mutant("a page of any size is read", "core/json_files.py", "> MOST:", "> MOST**9:"),
]

TRACKING = [
    Mutant(
        "half a line swallows the next record",
        "tracking/spool.py",
        'line = b"\\n" + line',
        "pass",
    ),
    Mutant("half a record is read", "tracking/spool.py", 'line.endswith(b"\\n") and ', ""),
    Mutant(
        "a short write is taken for a whole",
        "tracking/spool.py",
        "if file.write(line) < len(line):",
        "if file.write(line) < 0:",
    ),
    Mutant("reading starts at the beginning again", "tracking/spool.py", "file.seek(start)", "file.seek(0)"),
    Mutant(
        "a parameter is told twice",
        "tracking/spooled.py",
        "{key: value for key, value in told.items() if key not in self._params}",
        "told",
    ),
    Mutant(
        "an epoch is told twice",
        "tracking/spooled.py",
        "if metrics.epoch not in self._epochs:",
        "if True:",
    ),
    Mutant(
        "a weaker evaluation takes the headline",
        "tracking/spooled.py",
        "(reached := strength(report, ball)) >= self._strongest",
        "(reached := strength(report, ball)) >= []",
    ),
    Mutant(
        "a higher robust accuracy overwrites a lower",
        "tracking/spooled.py",
        "return point.value > self._told",
        "return point.value < self._told",
    ),
    Mutant(
        "what earlier commands found is forgotten",
        "tracking/spooled.py",
        'record.points if record.what == "report" else ()',
        "()",
    ),
    Mutant(
        "an artifact may lie outside the run",
        "tracking/spooled.py",
        "if not full.is_relative_to(self.folder):",
        "if False:",
    ),
    Mutant(
        "the training's state is uploaded with the weights",
        "tracking/spooled.py",
        '(training or "training-" not in path.name)',
        "True",
    ),
    Mutant("eps 0.3/255 stands on the clean step", "tracking/names.py", "max(step, 1) if eps else 0", "step"),
    Mutant("l2's eps is counted in 1/255", "tracking/names.py", '255 if norm == "linf" else 1_000', "255"),
    Mutant(
        "AutoAttack counts as a cheap suite",
        "tracking/names.py",
        'if any("AutoAttack" in score.attack for score in told.attacks):',
        "if False:",
    ),
    Mutant(
        "the headline is of the smallest ball",
        "tracking/names.py",
        "finite[-1] if finite else None",
        "finite[0] if finite else None",
    ),
    Mutant(
        "a check with nothing to test passes in MLflow",
        "tracking/names.py",
        '        if each.tested:\n            yield Point(key=safe(f"check/{each.check}")',
        '        if True:\n            yield Point(key=safe(f"check/{each.check}")',
    ),
    Mutant("a failed measurement is promoted", "tracking/promote.py", 'data.tags.get("verdict") == "fail"', "False"),
    Mutant("the least robust is promoted", "tracking/promote.py", "best = max(found", "best = min(found"),
    Mutant(
        "runs on different examples are compared",
        "tracking/promote.py",
        "if len({each.asked for each in found}) > 1:",
        "if False:",
    ),
    Mutant("a refusal is asked for ever", "tracking/refused.py", "return status() in BY_STATUS", "return False"),
]

RUNS = [
    Mutant(
        "the weakest evaluation is the headline",
        "runs/evaluations.py",
        "score.robust.hits < lowest[ball][1].robust.hits",
        "score.robust.hits > lowest[ball][1].robust.hits",
    ),
    Mutant(
        "evaluations of other examples count",
        "runs/evaluations.py",
        "if report.fingerprint == known[last].fingerprint",
        "if True",
    ),
    Mutant("a config of any size is read", "runs/config_file.py", "> MOST:", "> MOST**9:"),
    Mutant(
        "a sweep's trials share a name",
        "runs/sweep.py",
        'name=f"{config.study}-{trial.number:04d}"',
        'name=f"{config.study}"',
    ),
    Mutant(
        "losses are made as large as can be",
        "runs/sweep.py",
        'if "accuracy" in name else "minimize"',
        'if name else "minimize"',
    ),
]

READERS = [
    Mutant("more labels than images are taken", "data/sets/idx.py", "if len(images) != len(labels):", "if False:"),
    Mutant(
        "an idx file's length is not held to its head",
        "data/sets/idx.py",
        "if len(content) != start + expected:",
        "if len(content) < start + expected:",
    ),
    Mutant("any file is taken for idx", "data/sets/idx.py", "if head[:4] != magic:", "if False:"),
    Mutant("objects of Python are read", "data/sets/npz.py", "if dtype.hasobject:", "if False:"),
    Mutant("an array's header is believed", "data/sets/npz.py", "or file.tell() + header.size != size", ""),
    Mutant("floats are taken for grey levels", "data/sets/npz.py", "if images.dtype != np.uint8:", "if False:"),
    Mutant("classes may share a name", "data/sets/npz.py", "if doubled := [", "if doubled := [][:0] and ["),
    Mutant("labels below 0 are taken", "data/sets/npz.py", "if found.min() < 0 or found.max()", "if found.max()"),
    Mutant("a minus sign is a grey level", "data/sets/fer2013.py", 'b"0123456789 "', 'b"0123456789- "'),
    Mutant("levels above 255 wrap round", "data/sets/fer2013.py", " and levels.max() < 256", ""),
    Mutant("a face of any size is taken", "data/sets/fer2013.py", "if len(levels) == SIDE * SIDE and", "if"),
]


MUTANTS = [*ATTACKS, *NORMS, *JUDGE, *TRAINING, *DATA, *CHECKPOINTS, *TRACKING, *RUNS, *READERS]
