"""One epoch of a GAN in numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class GanMetrics:
    """What one pass over the training data brought; losses, accuracies and norms are means over its steps."""

    epoch: int
    """Counted from 1."""
    generator_loss: float
    discriminator_loss: float
    accuracy_on_real: float
    """Share of real images that the discriminator calls real."""
    accuracy_on_generated: float
    """Share of generated images that it calls generated; both near a half: it cannot tell."""
    generator_gradient: float
    """Norm of the whole gradient."""
    discriminator_gradient: float
    diversity: float
    """Mean distance between two generated images, over that between two real ones."""
    frechet: float
    """Squared Frechet distance between generated and real images in a fixed classifier's features."""
    images_per_second: float
    """Real images; judging the samples is not counted."""
    seconds: float
    """The whole epoch."""

    def __str__(self) -> str:
        return ROW.format(
            epoch=self.epoch,
            generator=self.generator_loss,
            discriminator=self.discriminator_loss,
            real=100 * self.accuracy_on_real,
            generated=100 * self.accuracy_on_generated,
            diversity=self.diversity,
            frechet=self.frechet,
            speed=self.images_per_second,
            seconds=self.seconds,
        )


GAN_HEADER = "epoch  gen. loss  disc. loss  real found  fake found  diversity    Frechet   images/s    time"
ROW = (
    "{epoch:>5}  {generator:>9.3f}  {discriminator:>10.3f}  {real:>9.1f}%  {generated:>9.1f}%  {diversity:>9.3f}"
    "  {frechet:>9.3g}  {speed:>9,.0f}  {seconds:>5.1f}s"
)
