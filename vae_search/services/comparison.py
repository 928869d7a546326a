"""Comparison of sweeps: the best config of each, side by side, where that means something.

Sweeps of one task are compared in nats. Those of one set of grey or coloured images under different likelihoods only in
bits per dimension: see `data.comparability.pixels_key`. All others are refused (invariant I7).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Literal

from vae_search.errors import Conflict, InvalidSpec, NotFound
from vae_search.services import queries
from vae_search.store.backends.base import Store
from vae_search.store.control.confirm_decisions import confirm_decision
from vae_search.store.ledger.rows import TrialRow
from vae_search.store.queries.confirmed_configs import Confirmed
from vae_search.store.sweeps import sweep_record
from vae_search.store.sweeps.sweep_record import SweepRecord

Unit = Literal["nats", "bits_per_dim"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """The best config of one sweep.

    Args:
        value: what it is ranked by, in the comparison's unit; lower is better.
        sd: of `value` over fresh seeds; None if it is not of several.
        seeds: how many fresh seeds `value` is the mean of; 0 if it is the search's own.
        epochs: of each training that `value` comes from, of confirm runs the most.
        finished: trials of the sweep that have ended.
    """

    sweep: str
    likelihood: str
    row: TrialRow
    value: float
    sd: float | None
    seeds: int
    epochs: int
    finished: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Several sweeps, the one with the best config first.

    Args:
        bound: what `Contender.value` is a bound by: `iwae_500` on the judge images if every sweep has confirmed its
            best config so, else `neg_elbo` on the select images, by which it is then also chosen.
        damaged: files that could not be read.
    """

    unit: Unit
    bound: str
    contenders: tuple[Contender, ...]
    damaged: tuple[str, ...]


def compare(
    store: Store, names: Sequence[str], *, known: Callable[[str], queries.KnownSweep | None] = lambda sweep: None
) -> Comparison:
    """The best config of each sweep, best first.

    Args:
        known: what has been read of a sweep already.

    Raises:
        NotFound: There is no such sweep, or no trial of it has completed.
        InvalidSpec: Fewer than two sweeps, or one of them twice.
        Conflict: Their scores have nothing to do with each other (invariant I7).
    """
    if len(names) < 2 or len(set(names)) < len(names):
        raise InvalidSpec(f"compare needs two or more different sweeps, but got {', '.join(names) or 'none'}.")
    records = {name: sweep_record.read(store, name) for name in names}
    unit = unit_of(records)
    at_hand = {name: known(name) for name in names}
    rankings = {name: queries.best(store, name, count=1, known=at_hand[name]) for name in names}
    empty = [name for name, found in rankings.items() if not found.rows]
    if empty:
        raise NotFound(f"sweep {empty[0]}: no trial has completed yet, so there is nothing to compare.")
    confirmed = {name: found.verdicts.get(found.rows[0].trial) for name, found in rankings.items()}
    samples = {of.iwae_k if isinstance(of, Confirmed) and of.testifies else None for of in confirmed.values()}
    by_seeds = len(samples) == 1 and None not in samples
    if not by_seeds:  # what seeds or an objective have put first is not the first by neg_elbo
        rankings = {name: queries.best(store, name, count=1, by="neg_elbo", known=at_hand[name]) for name in names}
    contenders = []
    for name, found in rankings.items():
        (row,), spec = found.rows, records[name].spec
        per_value = 1.0 if unit == "nats" else _nats_of_a_bit_per_dim(row)
        verdict = confirmed[name] if by_seeds else None
        seeds = verdict if isinstance(verdict, Confirmed) else None
        contenders.append(
            Contender(
                sweep=name,
                likelihood=spec.likelihood,
                row=row,
                value=(_neg_elbo(row) if seeds is None else seeds.mean) / per_value,
                sd=None if seeds is None or seeds.sd is None else seeds.sd / per_value,
                seeds=0 if seeds is None else seeds.seeds,
                epochs=row.epochs if seeds is None else _confirm_epochs(store, records[name]),
                finished=found.finished,
            )
        )
    return Comparison(
        unit=unit,
        bound=f"iwae_{samples.pop()}" if by_seeds else "neg_elbo",
        contenders=tuple(sorted(contenders, key=lambda contender: contender.value)),
        damaged=tuple(sorted({path for found in rankings.values() for path in found.damaged})),
    )


def unit_of(records: Mapping[str, SweepRecord]) -> Unit:
    """Unit in which the sweeps may be compared.

    Raises:
        Conflict: In nothing.
    """
    if len({record.comparability_key for record in records.values()}) == 1:
        return "nats"
    pixels = {record.pixels_key for record in records.values()}
    if len(pixels) == 1 and None not in pixels:
        return "bits_per_dim"
    versions = {record.metric_version for record in records.values()}
    if len(versions) > 1 and len({record.fingerprint for record in records.values()}) == 1:
        raise Conflict(
            f"these sweeps were measured by versions {' and '.join(map(str, sorted(versions)))} of the metric, so "
            "they cannot be compared.\nSearch the older one anew, under another name."
        )
    told = "; ".join(
        f"{name}: {record.spec.data.source}, binarize {record.spec.data.binarize}, {record.spec.likelihood}, "
        f"images {record.fingerprint[:8]}, task {(record.pixels_key or record.comparability_key)[:8]}"
        for name, record in records.items()
    )
    raise Conflict(
        f"these sweeps were scored on different images, splits or pixels, so they cannot be compared ({told}).\n"
        "Nats need one task; bits per dimension the same images, split alike, with binarize: none in all of them."
    )


def _neg_elbo(row: TrialRow) -> float:
    if row.neg_elbo is None:
        raise ValueError(f"a COMPLETE trial must have a neg_elbo, but {row.sweep}/{row.trial} has none")
    return row.neg_elbo


def _confirm_epochs(store: Store, record: SweepRecord) -> int:
    spec = sweep_record.latest_spec(store, record.spec.name)
    is_planned = spec.confirm.epochs == "auto"
    decision = confirm_decision(store, spec.name, incarnation=record.incarnation) if is_planned else None
    return spec.confirm_epochs if decision is None else decision.epochs


def _nats_of_a_bit_per_dim(row: TrialRow) -> float:
    """Of a whole image: values of pixels · log 2."""
    if row.bits_per_dim is None:
        raise ValueError(f"a COMPLETE trial must have bits_per_dim, but {row.sweep}/{row.trial} has none")
    return round(_neg_elbo(row) / (row.bits_per_dim * log(2))) * log(2)
