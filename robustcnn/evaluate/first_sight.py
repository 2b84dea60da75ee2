"""What a model is asked before it is attacked: whether it can be judged at all, its clean answers, and its pace."""

from __future__ import annotations

from torch import Tensor, nn

from robustcnn.attacks.black_box import black_box_in
from robustcnn.core.runtime import derived_seed, global_seed
from robustcnn.data import ResidentDataset
from robustcnn.data.resident import as_pixels
from robustcnn.evaluate.first_look import first_look
from robustcnn.evaluate.foresight import pace
from robustcnn.evaluate.pieces import Job, Seen
from robustcnn.evaluate.plan import refuse_early
from robustcnn.evaluate.predict import predict
from robustcnn.fast.plain_view import cure


def sight(job: Job, *, timed: bool) -> Seen:
    """Refuses what cannot be judged; the job's clean answers need not be known yet."""
    with global_seed(derived_seed(job.plan.seed, "clean")):
        clean = _clean_logits(job.model, job.data)
        refuse_early(job.plan, job.model, job.data)
    timed = timed and black_box_in(job.model) is None
    return Seen(clean, pace(job) if timed else None)


def _clean_logits(model: nn.Module, data: ResidentDataset) -> Tensor:
    first_look(model, as_pixels(data.images[:1]), again=black_box_in(model) is None)
    logits = predict(model, data).cpu()
    if logits.shape != (len(data), data.spec.num_classes):
        raise ValueError(
            f"model must return logits ({len(data)}, {data.spec.num_classes}), one for each class of {data.name}, "
            f"got {tuple(logits.shape)}{cure(logits)}"
        )
    return logits
