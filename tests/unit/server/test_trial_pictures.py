"""Pictures of a trial: drawn once by its kept weights, with its images only where they may be read, and why not."""

from contextlib import suppress
from dataclasses import replace

import pytest

from tests.support.page_reading import read
from tests.support.rows import epoch_rows, trial_row
from tests.support.stores import filled_store
from tests.support.web_service import app_of, client_of
from vae_search.errors import BadData, NotFound, ProcessLost, StoreUnavailable
from vae_search.server.child_processes import trial_pictures
from vae_search.server.child_processes.trial_pictures import Pictures, TrialPictures, drawn
from vae_search.server.submissions import DataRoots
from vae_search.services.browsing import trial_pages
from vae_search.spec.sections import DataSpec
from vae_search.store.ledger.trials import Ledger

PNG = b"\x89PNG"
TRIAL = "/sweeps/digits/trials/8"


class Artist:
    """Stands for the child processes; notes what it was asked for."""

    def __init__(self, trouble: Exception | None = None) -> None:
        self.asked: list[tuple[str, int, bool]] = []
        self._trouble = trouble

    def __call__(self, location: str, sweep: str, trial: int, *, with_images: bool) -> Pictures:
        self.asked.append((sweep, trial, with_images))
        if self._trouble is not None:
            raise self._trouble
        return {"samples.png": PNG} | ({"reconstructions.png": PNG + b"2"} if with_images else {})


@pytest.fixture
def store(tmp_path):
    """Trials 0 to 7 have kept no weights, trial 8 has."""
    store = filled_store(tmp_path / "store")
    Ledger(store, "digits").commit(replace(trial_row(8), artifact_sha256="a" * 64), epoch_rows(8, epochs=2))
    return store


def client_with(store, artist: Artist, *, roots: DataRoots = DataRoots()):  # noqa: B008  # it is frozen
    app = app_of(store, roots=roots)
    app.state.service.pictures = TrialPictures(location=store.location, roots=roots, draw=artist)
    return client_of(app)


def test_a_trial_offers_to_draw_and_then_shows_what_its_weights_draw_once(store, tmp_path):
    artist = Artist()
    client = client_with(store, artist, roots=DataRoots.parse([str(tmp_path)]))

    before = read(client, TRIAL)
    after = [read(client, f"{TRIAL}?draw=true") for _ in range(2)][-1]
    images = [client.get(f"/api/v1{TRIAL}/pictures/{name}.png") for name in ("samples", "reconstructions")]

    assert f"{TRIAL}?draw=true#pictures" in before.links
    assert f'src="/api/v1{TRIAL}/pictures/samples.png"' in after.html
    assert [(image.headers["content-type"], image.content) for image in images] == [
        ("image/png", PNG),
        ("image/png", PNG + b"2"),
    ]
    assert artist.asked == [("digits", 8, True)]


def test_images_that_no_data_root_allows_are_not_read(store):
    artist = Artist()
    client = client_with(store, artist)

    page = read(client, f"{TRIAL}?draw=true")

    assert artist.asked == [("digits", 8, False)]
    assert "reconstructions.png" not in page.html
    assert client.get(f"/api/v1{TRIAL}/pictures/reconstructions.png").status_code == 404


def test_images_that_lead_out_of_a_data_root_by_links_are_not_read(store, tmp_path):
    pictures = TrialPictures(location=store.location, roots=DataRoots.parse([str(tmp_path)]), draw=Artist())

    allowed = [
        pictures.key("digits", 8, sha256="a" * 64, data=DataSpec(source=str(tmp_path), follow_links=links)).with_images
        for links in (False, True)
    ]

    assert allowed == [True, False]


def test_what_was_drawn_without_images_is_not_shown_once_they_may_be_read(store):
    artist = Artist()
    pictures = TrialPictures(location=store.location, roots=DataRoots(), draw=artist)
    key = pictures.key("digits", 8, sha256="a" * 64, data=DataSpec(source="/elsewhere"))

    without, with_images = pictures.read(key), pictures.read(replace(key, with_images=True))

    assert [*without] == ["samples.png"]
    assert [*with_images] == ["samples.png", "reconstructions.png"]


def test_a_browser_asks_each_time_and_hears_that_its_picture_holds_until_the_weights_are_others(store, monkeypatch):
    artist = Artist()
    client, address = client_with(store, artist), f"/api/v1{TRIAL}/pictures/samples.png"

    first = client.get(address)
    mark = {"If-None-Match": first.headers["etag"]}
    again = client.get(address, headers=mark)
    monkeypatch.setattr(trial_pages, "one_trial", lambda *_: {"artifact_sha256": "b" * 64})
    of_another_sweep = client.get(address, headers=mark)

    assert first.headers["cache-control"] == "private, no-cache"
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert (of_another_sweep.status_code, of_another_sweep.content) == (200, PNG)
    assert len(artist.asked) == 2


@pytest.mark.parametrize(
    ("trouble", "drawn_at_last"),
    [
        (BadData("they are gone"), ["samples.png"]),
        (NotFound("they are gone"), ["samples.png"]),
        (ProcessLost("it took longer than 120 s"), ["samples.png", "reconstructions.png"]),
        (StoreUnavailable("the store cannot be reached"), ["samples.png", "reconstructions.png"]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_only_what_lasts_leaves_the_reconstructions_out(store, tmp_path, monkeypatch, trouble, drawn_at_last):
    troubles = [trouble]

    def printed(arguments, *, what, folder, timeout_s):
        if arguments[0] == "reconstruct" and troubles:
            raise troubles.pop()
        (folder / arguments[3]).write_bytes(PNG)

    monkeypatch.setattr(trial_pictures, "printed", printed)
    pictures = TrialPictures(location=store.location, roots=DataRoots.parse([str(tmp_path)]))
    key = pictures.key("digits", 8, sha256="a" * 64, data=DataSpec(source=str(tmp_path)))

    with suppress(ProcessLost, StoreUnavailable):
        pictures.read(key)

    assert [*pictures.read(key)] == drawn_at_last


def test_why_nothing_is_drawn_is_said_on_the_page(store):
    client = client_with(store, Artist(NotFound("trial digits/8: its weights were not kept.")))

    page = read(client, f"{TRIAL}?draw=true")

    assert "its weights were not kept" in page.text
    assert client.get(f"/api/v1{TRIAL}/pictures/samples.png").status_code == 404


def test_a_trial_that_is_not_there_or_kept_no_weights_has_no_pictures(store):
    artist = Artist()
    client = client_with(store, artist)

    assert client.get("/api/v1/sweeps/digits/trials/99/pictures/samples.png").status_code == 404
    assert client.get(f"/api/v1{TRIAL}/pictures/other.png").status_code == 422
    assert client.get("/api/v1/sweeps/digits/trials/0/pictures/samples.png").status_code == 404
    assert "Its weights were not kept" in read(client, "/sweeps/digits/trials/0").text
    assert artist.asked == []


@pytest.mark.needs_tensorflow
@pytest.mark.slow
def test_the_child_process_says_what_is_wrong(store):
    with pytest.raises(NotFound, match="digits/99"):
        drawn(store.location, "digits", 99, with_images=False)
