"""Names for the shell's Tab, from the folder of a store: a few listings, no libraries, and silence on any trouble.

A store in a bucket has none: a Tab must not wait for a network.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import typer

from vae_search.core.settings import default_store
from vae_search.errors import NotFound
from vae_search.registry import model_paths
from vae_search.store import paths as store_paths
from vae_search.store.paths import SweepPaths


def complete_sweep(ctx: typer.Context, incomplete: str) -> list[str]:
    """Sweeps that begin with what was typed."""
    return _matching(incomplete, _sweeps(_root(ctx)))


def complete_model(ctx: typer.Context, incomplete: str) -> list[str]:
    """Models; and once `@` or `:` was typed, what can follow it."""
    root = _root(ctx)
    for mark in "@:":
        name, found, _ = incomplete.partition(mark)
        if found:
            followers = ["champion"] if mark == "@" else _versions(root, name)
            return _matching(incomplete, (f"{name}{mark}{follower}" for follower in followers))
    return _matching(incomplete, _models(root))


def complete_model_name(ctx: typer.Context, incomplete: str) -> list[str]:
    """Models, without what may follow a name."""
    return _matching(incomplete, _models(_root(ctx)))


def complete_trial(ctx: typer.Context, incomplete: str) -> list[str]:
    """Sweeps; and once `/` was typed, the trials whose weights are kept: those are compared in full."""
    sweep, slash, _ = incomplete.partition("/")
    if slash:
        return _matching(incomplete, (f"{sweep}/{trial}" for trial in _kept_trials(_root(ctx), sweep)))
    return _matching(incomplete, (f"{name}/" for name in _sweeps(_root(ctx))))


def complete_subject(ctx: typer.Context, incomplete: str) -> list[str]:
    """Models and sweeps; and once `/` was typed, the trials of a sweep whose weights are kept."""
    root = _root(ctx)
    sweep, slash, _ = incomplete.partition("/")
    if slash:
        return _matching(incomplete, (f"{sweep}/{trial}" for trial in _kept_trials(root, sweep)))
    return [*complete_model(ctx, incomplete), *_matching(incomplete, _sweeps(root))]


def _root(ctx: typer.Context) -> Path | None:
    """The store's folder; None if it is not in one."""
    location = str(ctx.params.get("store") or default_store())
    location = location.removeprefix("file://")
    return None if "://" in location else Path(os.path.expanduser(location))  # noqa: PTH111 - raises nothing


def _sweeps(root: Path | None) -> Iterator[str]:
    for name in _names(root, store_paths.SWEEPS):
        if root is not None and _is_name(SweepPaths, name) and (root / SweepPaths(name).resolved).is_file():
            yield name


def _models(root: Path | None) -> Iterator[str]:
    return (name for name in _names(root, model_paths.MODELS) if _is_name(model_paths.model, name))


def _versions(root: Path | None, model: str) -> list[str]:
    if not _is_name(model_paths.model, model):
        return []
    return [name for name in _names(root, model_paths.versions(model)) if name.isdecimal()]


def _kept_trials(root: Path | None, sweep: str) -> list[str]:
    if not _is_name(SweepPaths, sweep):
        return []
    return [str(int(name)) for name in _names(root, SweepPaths(sweep).artifacts) if name.isdecimal()]


def _is_name(paths_of: Callable[[str], object], name: str) -> bool:
    """True if a sweep or model can have this name; a folder of a store may be anybody's."""
    try:
        paths_of(name)
    except NotFound:
        return False
    return True


def _names(root: Path | None, folder: str) -> list[str]:
    try:
        return [] if root is None else sorted(os.listdir(root / folder))  # noqa: PTH208 - names are all it takes
    except (OSError, ValueError):
        return []


def _matching(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
