"""Commands on models: promote, models, approve, reject, rollback, evaluate, and four that draw."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from vae_search.cli.completion import complete_model_name
from vae_search.cli.options import (
    JsonOption,
    ModelArgument,
    OutputOption,
    ServedStoreOption,
    StoreOption,
    SubjectArgument,
    SweepArgument,
)
from vae_search.core.settings import DEFAULT_STORE, cache_folder
from vae_search.errors import NotPromoted

app = typer.Typer()

ModelNameArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="The model's name.", autocompletion=complete_model_name)
]
WaitingArgument = Annotated[
    int | None, typer.Argument(metavar="VERSION", min=1, help="Its version; default: the only one that waits.")
]
WhyOption = Annotated[str, typer.Option("--why", help="For the log.")]


@app.command()
def promote(
    sweep: SweepArgument,
    model: Annotated[str | None, typer.Option("--model", help="Default: what the spec names.")] = None,
    store: ServedStoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Let a sweep's confirmed configs ask to become champion; exit code 8 if none does, or waits for approval.

    Example: vae-search promote digits
    """
    from vae_search.access.opening import open_access
    from vae_search.display.console import busy, say, show_json
    from vae_search.display.models import decision_lines

    with busy(f"judging the finalists of {sweep}"):
        decision = open_access(store).promote(sweep, model=model)
    first, *rest = decision_lines(decision)
    is_champion = decision["outcome"] in ("promoted", "kept")
    if json:
        show_json(decision)
    else:
        for line in (first, *rest) if is_champion else rest:
            say(line)
    if not is_champion:
        raise NotPromoted("\n".join([first, *rest][:3]) if json else first)


@app.command()
def models(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL]", help="One model's history; default: all.", autocompletion=complete_model_name
        ),
    ] = None,
    store: ServedStoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """List the models and their champions, or one model's history.

    Example: vae-search models fashion
    """
    from vae_search.access.opening import open_access
    from vae_search.cli.exit_codes import raise_if_damaged
    from vae_search.display.models import show_history, show_models

    access = open_access(store)
    if model is not None:
        show_history(access.model(model), as_json=json)
    else:
        found = access.models()
        show_models(found["items"], as_json=json)
        raise_if_damaged([], troubles=found["troubles"])


@app.command()
def rollback(
    model: ModelNameArgument,
    to: Annotated[int | None, typer.Option("--to", help="A version; default: the champion before this one.")] = None,
    why: Annotated[str, typer.Option("--why", help="For the log.")] = "by hand",
    store: ServedStoreOption = DEFAULT_STORE,
) -> None:
    """Make an older version the champion again.

    Example: vae-search rollback fashion --to 2
    """
    from vae_search.access.opening import open_access
    from vae_search.display.console import say

    champion = open_access(store).roll_back(model, to=to, why=why)
    say(f"{model}: version {champion} is champion.")


@app.command()
def approve(
    model: ModelNameArgument,
    why: WhyOption,
    version: WaitingArgument = None,
    store: ServedStoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Make a version that waits for approval the champion.

    Example: vae-search approve fashion 3 --why "sevens are sharp again"
    """
    _judge(model, version, approved=True, why=why, store=store, as_json=json)


@app.command()
def reject(
    model: ModelNameArgument,
    why: WhyOption,
    version: WaitingArgument = None,
    store: ServedStoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Refuse a version that waits for approval; the champion stays.

    Example: vae-search reject fashion 3 --why "it blurs sevens"
    """
    _judge(model, version, approved=False, why=why, store=store, as_json=json)


@app.command()
def evaluate(
    model: ModelArgument,
    data: Annotated[str | None, typer.Option("--data", help="Name or path of others; default: its own.")] = None,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Score a model on its test images, or on all images of another source.

    Example: vae-search evaluate fashion@champion --data fashion_mnist
    """
    from vae_search.display.console import busy
    from vae_search.display.models import show_evaluation
    from vae_search.services.checks import evaluation
    from vae_search.store.backends.uri import open_store

    with busy(f"scoring {model}"):
        found = evaluation.evaluate(open_store(store), model, source=data, cache=cache_folder())
    show_evaluation(found, as_json=json)


@app.command()
def sample(
    model: SubjectArgument,
    output: OutputOption = Path("samples.png"),
    count: Annotated[int, typer.Option("-n", min=1, max=10_000, help="How many images.")] = 64,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**31 - 1, help="Other seeds draw other images.")] = 0,
    of_class: Annotated[
        str | None,
        typer.Option(
            "--class",
            metavar="NAME|N",
            help="Class of all images, by name or number, of a conditional model; default: a row for each.",
        ),
    ] = None,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Draw images from a model and write them as one picture.

    Example: vae-search sample digits/7 -o digits.png
    """
    from vae_search.display.console import busy, say
    from vae_search.services.models import galleries
    from vae_search.store.backends.uri import open_store

    with busy(f"drawing {model}"):
        sheet = galleries.sample(open_store(store), model, count=count, seed=seed, output=output, of_class=of_class)
    say(f"Wrote {sheet.path.absolute()}")
    if sheet.rows:
        say(f"A row for each class, from the top: {', '.join(sheet.rows)}.")


@app.command()
def reconstruct(
    model: SubjectArgument,
    output: OutputOption = Path("reconstructions.png"),
    count: Annotated[int, typer.Option("-n", min=1, max=10_000, help="How many images.")] = 32,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Draw held-out images, each with its reconstruction below it.

    Example: vae-search reconstruct fashion -o pairs.png
    """
    from vae_search.services.models import galleries

    _draw(galleries.reconstruct, model, store=store, count=count, cache=cache_folder(), output=output)


@app.command()
def traverse(
    model: SubjectArgument,
    output: OutputOption = Path("traversals.png"),
    rows: Annotated[int, typer.Option("-n", min=1, max=100, help="How many latents, the most active first.")] = 8,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Draw what each latent does: one in each row, moved from -3 to 3.

    Example: vae-search traverse fashion -o latents.png
    """
    from vae_search.services.models import galleries

    _draw(galleries.traverse, model, store=store, rows=rows, cache=cache_folder(), output=output)


@app.command()
def interpolate(
    model: SubjectArgument,
    output: OutputOption = Path("interpolations.png"),
    rows: Annotated[int, typer.Option("-n", min=1, max=100, help="How many pairs of images.")] = 6,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Draw the way from one held-out image to another, a pair in each row.

    Example: vae-search interpolate fashion -o ways.png
    """
    from vae_search.services.models import galleries

    _draw(galleries.interpolate, model, store=store, rows=rows, cache=cache_folder(), output=output)


def _judge(model: str, version: int | None, *, approved: bool, why: str, store: str, as_json: bool) -> None:
    """Approve or reject a version that waits, and print what became of it."""
    from vae_search.access.opening import open_access
    from vae_search.display.models import show_approval

    show_approval(open_access(store).judge(model, version, approved=approved, why=why), as_json=as_json)


def _draw(gallery: Callable[..., Path], subject: str, *, store: str, **options: object) -> None:
    """Draw with one of the functions of `galleries`, and say where the picture is."""
    from vae_search.display.console import busy, say
    from vae_search.store.backends.uri import open_store

    with busy(f"drawing {subject}"):
        path = gallery(open_store(store), subject, **options)
    say(f"Wrote {path.absolute()}")
