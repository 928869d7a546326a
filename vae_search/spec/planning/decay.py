"""Decay of the learning rate at the end of a long training, of schedule `wsd` (warm-up, stable, decay)."""

DECAY_SHARE = 0.2  # of a long training (Hägele et al. 2024, "Scaling Laws ... Beyond Fixed Training Durations")


def decay_epochs_of(epochs: int) -> int:
    """Epochs at the end of a training of so many in which the rate falls; before them it is constant."""
    return max(1, round(DECAY_SHARE * epochs))
