"""The page as a whole: its words, what it escapes, and that it asks nobody for anything."""

import base64
import html
import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from plotly.offline import get_plotlyjs

from tests.support.candidates import FakeBackend, candidate, put_finalist
from tests.support.command_line import vae_search
from tests.support.reported_sweeps import HOSTILE, KINDS, ROW, complete, failed, mixed, put_confirmed, put_sweep, spoil
from vae_search.registry import model_paths
from vae_search.registry.log import Action
from vae_search.registry.promotion.decision import PromotionPolicy
from vae_search.registry.promotion.pipeline import promote_best
from vae_search.registry.registry import Registry
from vae_search.reports.narrative import summary
from vae_search.reports.page import plots_of, render
from vae_search.services import maintenance, reporting
from vae_search.store import paths as store_paths
from vae_search.store.backends.json_records import to_json_bytes
from vae_search.store.paths import SweepPaths
from vae_search.store.queries.sql import query

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MAX_BYTES = 6_000_000


def page_of(store) -> str:
    """The page without plotly.js."""
    return render(reporting.findings(store, "digits", now=NOW)).replace(get_plotlyjs(), "")


def marks(figure) -> int:
    """Finite points, bars or lines of a figure."""
    count = 0
    for trace in figure.data:
        values = trace.dimensions[0].values if trace.type == "parcoords" else trace.y
        count += sum(value is not None for value in values)
    return count


@pytest.mark.parametrize("kind", KINDS)
def test_every_picture_has_marks_or_a_sentence_why_not(store, kind):
    put_sweep(store, KINDS[kind])

    plots = plots_of(reporting.findings(store, "digits", now=NOW))

    for plot in plots:
        assert plot.text.endswith("."), plot.key
        assert plot.figure is None or marks(plot.figure) > 0, plot.key
    assert len({plot.key for plot in plots}) == len(plots)


def test_a_sweep_with_all_kinds_of_trials_has_every_picture(store):
    put_sweep(store, mixed())
    put_confirmed(store)

    missing = [plot.key for plot in plots_of(reporting.findings(store, "digits", now=NOW)) if plot.figure is None]

    assert missing == []


def test_the_numbers_in_the_words_are_those_of_duckdb(store):
    put_sweep(store, mixed())
    ((best, second, median, trial, cpu_s, pruned_s, failed_s, epochs, flops),) = query(
        store,
        """SELECT min(objective), list_sort(list(objective) FILTER (objective IS NOT NULL))[2], median(objective),
                  arg_min(trial, objective), sum(cpu_s), sum(cpu_s) FILTER (state = 'PRUNED'),
                  sum(cpu_s) FILTER (state = 'FAIL'), sum(epochs), sum(train_flops) FROM trials""",
    ).rows

    words = " ".join(summary(reporting.findings(store, "digits", now=NOW)))

    assert f"Trial {trial} has the best objective, {best:.2f} nats" in words
    assert f"It is {second - best:.2f} nats ahead" in words
    assert f"and {median - best:.2f} ahead of the median of the 18 that completed" in words
    assert f"The 30 trials took {cpu_s:,.1f} CPU seconds, {epochs} epochs and {flops:.3g} floating" in words
    assert f"6 stopped early, which took {pruned_s:,.1f} CPU seconds ({pruned_s / cpu_s:.0%})" in words
    assert f"6 failed, which took {failed_s:,.1f} CPU seconds ({failed_s / cpu_s:.0%})" in words


def test_the_confirmed_mean_and_its_interval_are_students(store):
    put_sweep(store, mixed())
    put_confirmed(store)

    words = " ".join(summary(reporting.findings(store, "digits", now=NOW)))

    # 20.0, 20.1 … 20.4: sd 0.1581, t(4, 0.975) = 2.776, so 20.2 ± 2.776 · 0.1581 / √5 = 20.2 ± 0.196
    assert "5 fresh seeds, trial 0 is the best finalist: -log p(x) ≤ 20.20 nats" in words
    assert (
        "Seeds spread by 0.158 nats (standard deviation); the mean lies in [20.00, 20.40] with 95% confidence" in words
    )


def test_the_words_say_what_the_code_carries_and_where_a_range_should_be_wider(store):
    measured = {"mutual_information": 3.21, "rate": 4.8, "active_units": 2, "objective": 1.0}
    params = {"architecture": "conv", "latent_dim": 32, "beta": 1.0}
    put_sweep(store, [complete(0, params=params, **measured)])

    words = " ".join(summary(reporting.findings(store, "digits", now=NOW)))

    assert "The code of trial 0 carries at least 3.2 nats about the image (mutual information" in words
    assert "2 of 3 latents active" in words
    assert "Its latent_dim, 32, lies at the upper end of the searched range (32): widen it" in words
    assert "Its beta" not in words


def test_the_words_say_that_a_code_has_collapsed(store):
    put_sweep(store, [complete(0, mutual_information=0.02, rate=0.03, active_units=0)])

    words = " ".join(summary(reporting.findings(store, "digits", now=NOW)))

    assert "The code of trial 0 has collapsed: it carries 0.02 nats about the image" in words


def test_rows_from_before_the_diagnosis_are_told_without_it(store):
    put_sweep(store, [complete(0)])

    assert "The code of" not in " ".join(summary(reporting.findings(store, "digits", now=NOW)))


def test_hostile_text_changes_nothing_but_its_own_cell(store):
    put_sweep(store, [complete(0), failed(1, HOSTILE)])

    page = page_of(store)

    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\u001b[31m\\u202egnp.exe" in page
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert "x" * 1_000 not in page


def test_a_hostile_node_name_reaches_neither_page_nor_plot_as_html(store):
    put_sweep(store, [complete(0, node_id="<b>&</script>")])

    page = page_of(store)

    assert "<b>" not in page
    texts = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL)
    assert not any("<b>" in json.dumps(json.loads(text)) for text in texts)


def test_nothing_of_the_page_is_fetched_and_it_is_small(store, tmp_path):
    put_sweep(store, mixed())

    written = reporting.report(store, "digits", output=tmp_path / "report.html", now=NOW)

    content = written.path.read_bytes()
    page = content.decode().replace(get_plotlyjs(), "")
    assert len(content) < MAX_BYTES
    assert len(page) < len(content) - len(get_plotlyjs().encode()) + 1  # plotly.js is in it, once
    assert not re.search(r"(src|href|action|srcset)\s*=\s*[\"']?\s*(https?:|//)|@import|url\(|<link|<iframe", page)
    assert "default-src 'none'" in page
    assert "connect-src" not in page


def test_two_thousand_trials_stay_small_and_say_what_is_not_drawn(store):
    rows = tuple(complete(trial) for trial in range(2_000))
    put_sweep(store, [complete(0)])
    few = reporting.findings(store, "digits", now=NOW)
    fields = {name: getattr(few, name) for name in few.__dataclass_fields__}
    many = type(few)(**(fields | {"rows": rows, "curves": {row.trial: few.curves[0] for row in rows}}))

    page = render(many)

    assert len(page.encode()) < MAX_BYTES
    assert "Drawn are 500 of 2,000 trials" in page


def test_what_has_no_score_does_not_count_as_left_out(store):
    put_sweep(store, mixed())

    assert "Drawn are" not in page_of(store)


def test_the_front_of_the_picture_is_what_no_other_beats_and_collapsed_models_are_not_on_it(store):
    good, cheap, beaten = (
        {"neg_elbo": score, "train_flops": cost} for score, cost in ((20.0, 4e8), (22.0, 2e8), (23.0, 3e8))
    )
    collapsed = {"neg_elbo": 30.0, "train_flops": 1e8, "rate": 0.2}
    put_sweep(
        store, [complete(trial, **row, instability=0.1) for trial, row in enumerate((beaten, good, collapsed, cheap))]
    )

    (plot,) = (plot for plot in plots_of(reporting.findings(store, "digits", now=NOW)) if plot.key == "pareto")

    (front,) = (trace for trace in plot.figure.data if trace.name == "front")
    assert sorted(front.x) == [20.0, 22.0]
    assert "(2 trials)" in plot.text


def test_a_sweep_that_goes_on_says_what_is_in_flight(store):
    put_sweep(store, [complete(0)])
    store.create(SweepPaths("digits").suggestion(store_paths.trial_key(1)), b"{}")

    words = " ".join(summary(reporting.findings(store, "digits", now=NOW)))

    assert "1 of 60 trials have ended, 1 in flight" in words


def test_a_damaged_log_of_the_model_is_named_and_the_rest_is_shown(store):
    put_sweep(store, mixed())
    put_finalist(store, candidate())
    promote_best(store, "digits", model="digits", rules=PromotionPolicy(), backend=FakeBackend(), now=lambda: NOW)
    spoil(Path(store.location) / model_paths.model_entry("digits", 2))

    found = reporting.findings(store, "digits", now=NOW)

    assert found.damaged == (model_paths.model_entry("digits", 2),)
    assert "Trial " in render(found)


def test_damaged_rows_are_named_and_the_exit_code_says_so(store, tmp_path):
    put_sweep(store, mixed(5))
    spoil(Path(store.location) / ROW)

    done = vae_search("report", "digits", "--store", store.location, "-o", "report.html", folder=tmp_path)

    assert done.returncode == 3, done.stderr
    assert ROW in done.stderr.decode()
    assert ROW in (tmp_path / "report.html").read_text()


def test_the_report_loads_neither_tensorflow_nor_ray(store, tmp_path):
    put_sweep(store, mixed())
    code = (
        "import sys\nfrom vae_search.cli.app import main\n"
        f"sys.argv = ['vae-search', 'report', 'digits', '--store', {store.location!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    print(end.code)\n"
        "print('loaded:', *sorted({'ray', 'tensorflow', 'keras'} & set(sys.modules)))\n"
    )

    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, text=True, capture_output=True)

    assert done.stdout.splitlines()[-2:] == ["0", "loaded:"], done.stdout + done.stderr
    assert (tmp_path / "report.html").is_file()


def test_a_promoted_candidate_stands_there_with_its_gates(store):
    put_sweep(store, mixed())
    put_finalist(store, candidate())
    promote_best(store, "digits", model="digits", rules=PromotionPolicy(), backend=FakeBackend(), now=lambda: NOW)

    page = html.unescape(page_of(store))

    assert "digits/0 became version 1 of model digits, and its champion." in page
    assert page.count("✓ passed") == 16
    assert "There was no champion to compete with" in page


def test_the_pictures_of_a_champion_are_inside(store):
    put_sweep(store, [complete(0)])
    found = reporting.findings(store, "digits", now=NOW)
    fields = {name: getattr(found, name) for name in found.__dataclass_fields__}
    pictures = reporting.Pictures(version="digits:1", files={"samples.png": b"\x89PNG bytes"})

    page = render(type(found)(**(fields | {"pictures": pictures})))

    assert "data:image/png;base64," + base64.b64encode(b"\x89PNG bytes").decode() in page


def promote_digits(store, incarnation: str, *levels: float) -> None:
    """A sweep of its own, whatever had its name before, with a finalist that asks for promotion."""
    put_sweep(store, mixed())
    resolved = SweepPaths("digits").resolved
    store.replace(resolved, to_json_bytes(json.loads(store.read(resolved)) | {"incarnation": incarnation}))
    put_finalist(store, candidate(levels))
    promote_best(store, "digits", model="digits", rules=PromotionPolicy(), backend=FakeBackend(), now=lambda: NOW)


def test_verdicts_on_a_removed_sweep_are_not_those_of_a_later_one_of_its_name(store):
    promote_digits(store, "first", 231.9, 232.0, 232.1)
    maintenance.remove(store, "digits")
    promote_digits(store, "second", 234.9, 235.0, 235.1)

    found = reporting.findings(store, "digits", now=NOW)

    assert [(entry.action, entry.incarnation) for entry in found.entries] == [(Action.REJECT, "second")]
    assert found.pictures is None
    assert "became version 1" not in page_of(store)


def test_a_sweep_that_came_out_again_to_the_bit_keeps_its_verdicts(store):
    promote_digits(store, "first", 231.9, 232.0, 232.1)
    maintenance.remove(store, "digits")
    promote_digits(store, "second", 231.9, 232.0, 232.1)

    found = reporting.findings(store, "digits", now=NOW)

    assert [entry.action for entry in found.entries] == [Action.REGISTER, Action.PROMOTE]


def test_the_report_says_what_waits_and_who_approved_or_rejected_it(store):
    put_sweep(store, mixed())
    put_finalist(store, candidate())
    policy = PromotionPolicy(needs_approval=True)
    promote_best(store, "digits", model="digits", rules=policy, backend=FakeBackend(), now=lambda: NOW)
    waits = page_of(store)
    log = store.list("models/digits/log")
    registry = Registry(store, "digits", now=lambda: NOW, actor="ada")
    registry.reject(1, why="it blurs sevens")
    rejected = page_of(store)
    store.remove(sorted(set(store.list("models/digits/log")) - set(log))[0])
    Registry(store, "digits", now=lambda: NOW, actor="ada").approve(1, why="sevens are sharp")
    approved = page_of(store)

    assert "has passed, and waits for approval as version 1 of model digits." in waits
    assert "waits for approval as digits:1" in waits
    assert "ada rejected it: it blurs sevens." in rejected
    assert "ada approved it as champion: sevens are sharp." in approved
    assert "promoted</span> as digits:1" in approved


def test_verdicts_from_before_there_were_incarnations_are_told_by_name(store):
    put_sweep(store, mixed())
    resolved = SweepPaths("digits").resolved
    fields = json.loads(store.read(resolved))
    store.replace(resolved, to_json_bytes({name: fields[name] for name in fields if name != "incarnation"}))
    put_finalist(store, candidate())
    promote_best(store, "digits", model="digits", rules=PromotionPolicy(), backend=FakeBackend(), now=lambda: NOW)

    found = reporting.findings(store, "digits", now=NOW)

    assert [entry.action for entry in found.entries] == [Action.REGISTER, Action.PROMOTE]
    assert b"incarnation" not in b"".join(store.read(path) for path in store.list("models/digits/log"))
