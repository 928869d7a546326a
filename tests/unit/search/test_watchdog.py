import subprocess
import sys
import threading

from vae_search.search.worker.watchdog import Watchdog


def test_a_step_that_hangs_ends_the_process_after_its_reason_was_noted():
    events: list[str] = []
    ended = threading.Event()
    watchdog = Watchdog(
        0.01,
        on_timeout=lambda: events.append("noted"),
        end_process=lambda: (events.append("ended"), ended.set()),
        monotonic=lambda: 0.0,
    )

    with watchdog.watching():
        assert ended.wait(30)

    assert events == ["noted", "ended"]


def test_a_reason_that_cannot_be_noted_does_not_keep_a_hanging_process(caplog):
    ended = threading.Event()

    def fail() -> None:
        raise OSError("no disk")

    watchdog = Watchdog(0.01, on_timeout=fail, end_process=ended.set, monotonic=lambda: 0.0)

    with watchdog.watching():
        assert ended.wait(30)

    assert "no disk" in caplog.text


def test_a_step_that_ends_while_its_timeout_is_noted_waits_for_it():
    begun, step_is_over, events = threading.Event(), threading.Event(), []

    def note() -> None:
        begun.set()
        step_is_over.wait(30)
        events.append("noted")

    watchdog = Watchdog(0.01, on_timeout=note, end_process=lambda: events.append("ended"), monotonic=lambda: 0.0)

    with watchdog.watching():
        assert begun.wait(30)
        threading.Timer(0.05, step_is_over.set).start()  # later than the end of the block

    assert events == ["noted", "ended"]


def test_the_limit_is_for_all_steps_of_an_attempt_together():
    now = 0.0
    ended = threading.Event()
    watchdog = Watchdog(1000.0, on_timeout=lambda: None, end_process=ended.set, monotonic=lambda: now)

    with watchdog.watching():
        now = 999.0
    assert not ended.is_set()
    watchdog.restart()
    now = 1998.0
    with watchdog.watching():
        now = 2001.0
    assert not ended.is_set()

    with watchdog.watching():
        assert ended.wait(30)


def test_the_stacks_of_a_hanging_process_are_left_behind():
    program = (
        "import threading, time\n"
        "from vae_search.search.worker.watchdog import Watchdog, end_process\n"
        "def hangs():\n    threading.Event().wait()\n"
        "dog = Watchdog(0.05, on_timeout=lambda: None, end_process=end_process, monotonic=time.monotonic)\n"
        "with dog.watching():\n    hangs()\n"
    )

    done = subprocess.run([sys.executable, "-c", program], text=True, capture_output=True, timeout=60)

    assert done.returncode == 1
    assert "in hangs" in done.stderr
