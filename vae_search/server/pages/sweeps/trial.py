"""Page of a trial: its config, its curve, why it ended, what its model drew, and its log."""

from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.responses import Response

from vae_search.core.criteria import METRIC
from vae_search.core.trial_state import Reason
from vae_search.errors import CorruptStore, NotFound, VaeSearchError
from vae_search.server.pages.rendering import render
from vae_search.server.pages.sweeps.drawings import chart
from vae_search.server.pages.sweeps.steering_forms import steering_of
from vae_search.server.problems import RefusalError
from vae_search.server.routes.parameters import SweepName, TrialNumber
from vae_search.server.routes.trials import pictures_key
from vae_search.server.service import InService, Service
from vae_search.server.tokens import Role
from vae_search.server.wall import opened_to
from vae_search.services.browsing import trial_pages
from vae_search.services.browsing.model_facts import version_of_trial
from vae_search.services.browsing.running_trials import running_trial

router = APIRouter(include_in_schema=False)

WHY = {
    Reason.RUNG: "It was stopped at a rung: other trials were better after as many epochs.",
    Reason.TIME: "It was stopped when the sweep's time was used up.",
    Reason.DIVERGED: "It diverged: a measurement was NaN or infinite.",
    Reason.RAISED: "Its training raised an exception.",
    Reason.OOM: "It ran out of memory, twice.",
    Reason.TIMEOUT: "It took longer than a trial may, twice.",
}
MEASURED = (
    ("objective", "objective, nats"),
    ("neg_elbo", "neg_elbo, nats per image"),
    ("distortion", "distortion, nats"),
    ("rate", "rate, nats"),
    ("iwae", "IWAE bound on log p(x), nats"),
    ("bits_per_dim", "bits per dimension"),
    ("instability", "instability, nats"),
    ("active_units", "active latents"),
    ("mutual_information", "mutual information, nats"),
    ("generalisation_gap", "generalisation gap, nats"),
    ("trained_bound", "bound that the last epoch trained"),
    ("parameters", "weights"),
    ("train_flops", "training cost, FLOPs"),
)


@router.get("/sweeps/{sweep}/trials/{trial}")
@opened_to(Role.VIEWER)
def show_trial(
    service: InService, request: Request, sweep: SweepName, trial: TrialNumber, draw: bool = False
) -> Response:
    """Show a trial, finished or in flight; and what its model draws, which takes some seconds, if that is asked for."""
    facts = service.sweeps.facts(sweep)
    path = f"/sweeps/{quote(sweep, safe='')}"
    try:
        row = trial_pages.one_trial(service.store, sweep, trial)
    except NotFound:
        return _in_flight(service, request, sweep, trial, path)
    try:
        epochs, damaged = trial_pages.curve(service.store, sweep, trial), None
    except CorruptStore as error:
        epochs, damaged = [], str(error)
    points = [(each["epoch"], each["neg_elbo"]) for each in epochs if each["neg_elbo"] is not None]
    pictures, trouble = _pictures(service, sweep, trial) if draw else ((), [])
    labels = [*MEASURED, *((name, name) for name in sorted(row) if name.startswith(METRIC))]
    return render(
        request,
        "trial.html",
        pictures=pictures,
        trouble=trouble,
        here="home",
        twin=f"/api/v1{path}/trials/{trial}",
        path=path,
        sweep=sweep,
        trial=trial,
        row=row,
        params=row["params"],
        measured=[(label, row[name]) for name, label in labels if row.get(name) is not None],
        why=WHY.get(row["reason"], f"It ended: {row['reason']}.") if row["reason"] else None,
        epochs=epochs,
        damaged=damaged,
        chart=chart([(f"trial {trial}", points)], epochs=int(points[-1][0])) if points else None,
        version=None if facts["model"] is None else version_of_trial(service.store, facts["model"], sweep, trial),
    )


def _pictures(service: Service, sweep: str, trial: int) -> tuple[tuple[str, ...], list[str]]:
    """Names of the pictures that a trial's model draws, or why there are none."""
    try:
        return tuple(service.pictures.read(pictures_key(service, sweep, trial))), []
    except RefusalError as refusal:
        return (), [refusal.detail]
    except VaeSearchError as error:
        return (), str(error).splitlines()


def _in_flight(service: InService, request: Request, sweep: str, trial: int, path: str) -> Response:
    """The page of a trial that has no row yet.

    Raises:
        NotFound: It has not begun either.
    """
    try:
        found = running_trial(service.store, sweep, trial)
    except NotFound:
        raise NotFound(f"sweep {sweep}: trial {trial} has not begun, or does not exist.") from None
    item = next((item for item in reversed(service.queued().items) if item.sweep == sweep), None)
    facts = service.sweeps.facts(sweep)
    in_flight = service.running.read(facts)
    points = next((run["curve"] for run in in_flight.runs if run["key"] == found["key"]), ())
    return render(
        request,
        "running_trial.html",
        here="home",
        stream=f"/api/v1{path}/events",
        twin=f"/api/v1{path}/trials/{trial}/curve",
        path=path,
        sweep=sweep,
        trial=trial,
        found=found,
        epochs=in_flight.epochs,
        points=points,
        chart=chart([(f"trial {trial}", points)], best=in_flight.best, rungs=in_flight.rungs, epochs=in_flight.epochs),
        params=found["params"],
        steering=steering_of(request.state.person, service.sweeps.standing(sweep), item, {}),
    )
