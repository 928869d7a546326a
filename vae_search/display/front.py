"""Front of a Pareto sweep in words: its size, its ends, and the trial that `objective.prefer` picks."""

from vae_search.core.criteria import words_of
from vae_search.store.queries.front import Front


def front_ends(front: Front) -> dict[str, str]:
    """Members at the ends of a front, the preferred one first: `{"cheapest": "1.2e+09 FLOPs (trial 5)", …}`."""
    criteria = sorted(front.criteria, key=lambda name: name != front.prefer)
    found = {}
    for name in criteria:
        member = front.extreme(name)
        if member is not None:
            preferred = ", preferred" if name == front.prefer else ""
            words = words_of(name, more_is_better=name in front.of.maximised)
            found[words.end] = f"{words.value.format(member.values[name])} (trial {member.trial}{preferred})"
    return found


def front_size(front: Front) -> str:
    """Size of a front: `7 trials`, or `none yet`."""
    count = len(front.members)
    return "none yet" if not count else "1 trial" if count == 1 else f"{count} trials"


def front_line(front: Front) -> str:
    """One line on a front: `front of neg_elbo, train_flops: 7 trials; lowest neg_elbo 98.21 nats (trial 3); …`."""
    ends = [f"{end} {value}" for end, value in front_ends(front).items()]
    return "; ".join([f"front of {', '.join(front.criteria)}: {front_size(front)}", *ends])


def front_cell(front: Front) -> str:
    """Cell of a table that shows the best of other sweeps: `98.21 nats (trial 3, preferred), front of 7`."""
    first = next(iter(front_ends(front).values()), None)
    return "" if first is None else f"{first}, front of {len(front.members)}"
