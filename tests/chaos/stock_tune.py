"""The campaign of driver kills against Ray Tune as it comes: `OptunaSearch`, a `Tuner`, and `Tuner.restore`.

    python -m tests.chaos.stock_tune [--kills 20] [--seed 20] [--storage memory|sqlite]

The same schedule as in `test_real_sweeps.py`, on trials of about the same length; each of them only sleeps and saves a
checkpoint twice a second. Counted are, over all sweeps: trials that had been reported as finished and are no more in
the results (lost), or were begun again (repeated), sweeps that could not be restored, and sweeps that ended with
another number of trials than was asked for.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.chaos.sweeps import RunningDriver, Sweep, sweep_of

TRIALS = 16
STEPS, STEP_S, CHECKPOINT_STEPS = 60, 0.035, 14
NAME = "stock"
SPEC = f"name: {NAME}\nbudget: {{trials: {TRIALS}}}\n"  # only for the folder's sake


def drive(folder: Path, storage: str) -> None:
    """One driver: start the experiment, or restore it as the documentation of Tune says."""
    import optuna
    from ray import tune
    from ray.tune.search.optuna import OptunaSearch

    from vae_search.runtime.ray_cluster import local_cluster

    def train(config: dict[str, float]) -> None:
        first = 1
        checkpoint = tune.get_checkpoint()
        if checkpoint is not None:
            with checkpoint.as_directory() as saved:
                first = json.loads((Path(saved) / "step.json").read_text())["step"] + 1
        for step in range(first, STEPS + 1):
            time.sleep(STEP_S)
            metrics = {"loss": (config["x"] - 0.3) ** 2 + 1 / step, "step": step}
            if step % CHECKPOINT_STEPS:
                tune.report(metrics)
                continue
            with tempfile.TemporaryDirectory() as saved:
                (Path(saved) / "step.json").write_text(json.dumps({"step": step}))
                tune.report(metrics, checkpoint=tune.Checkpoint.from_directory(saved))

    class Tells(tune.Callback):  # type: ignore[misc]
        def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: object) -> None:
            print(f"started {trial.trial_id}", flush=True)

        def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: object) -> None:
            print(f"finished {trial.trial_id}", flush=True)

    path = str(folder / "results" / NAME)
    with local_cluster(cpus=2, data_bytes=0):
        if tune.Tuner.can_restore(path):
            tuner = tune.Tuner.restore(path, tune.with_resources(train, {"cpu": 1}), resume_unfinished=True)
        else:
            database = f"sqlite:///{folder}/optuna.db"
            kept = optuna.storages.RDBStorage(database) if storage == "sqlite" else None
            tuner = tune.Tuner(
                tune.with_resources(train, {"cpu": 1}),
                param_space={"x": tune.uniform(0, 1)},
                tune_config=tune.TuneConfig(
                    search_alg=OptunaSearch(metric="loss", mode="min", seed=1, storage=kept, study_name=NAME),
                    num_samples=TRIALS,
                    max_concurrent_trials=2,
                ),
                run_config=tune.RunConfig(
                    name=NAME, storage_path=str(folder / "results"), callbacks=[Tells()], verbose=0
                ),
            )
        results = tuner.fit()
        for result in results:
            done = (result.metrics or {}).get("step") == STEPS
            print(f"result {result.metrics['trial_id']} {int(done)}" if result.metrics else "result none 0", flush=True)


def start(sweep: Sweep, storage: str) -> RunningDriver:
    command = [sys.executable, "-m", "tests.chaos.stock_tune", "--drive", str(sweep.folder), "--storage", storage]
    return RunningDriver(sweep, command, {})


def live_a_while(driver: RunningDriver, chance: random.Random) -> None:
    """As in `test_real_sweeps.py`."""
    lasts_s = chance.uniform(0.2, 8) if chance.random() < 0.25 else None
    while lasts_s is None and driver.process.poll() is None and not driver.lines("started "):
        time.sleep(0.02)
    time.sleep(lasts_s or chance.uniform(0, 6))


def campaign(kills: int, seed: int, storage: str) -> dict[str, int]:
    """Counts by what went wrong."""
    counts = dict.fromkeys(
        ("kills", "sweeps", "reported finished", "finished but lost", "finished but begun again", "not restorable",
         "finished in sweeps not restorable", "other number of trials", "trials not trained to the end"), 0,
    )  # fmt: skip
    while counts["kills"] < kills:
        chance = random.Random(f"driver kill -9/{seed}/{counts['sweeps']}")
        counts["sweeps"] += 1
        with sweep_of(SPEC) as sweep:
            finished: set[str] = set()
            repeated: set[str] = set()
            while True:
                driver = start(sweep, storage)
                if counts["kills"] < kills:
                    live_a_while(driver, chance)
                    if driver.process.poll() is None:
                        driver.process.kill()
                        counts["kills"] += 1
                code = driver.wait(300)
                repeated |= finished & set(driver.lines("started "))
                finished |= set(driver.lines("finished "))
                print(
                    f"kill {counts['kills']}: exit {code}, {len(finished)} finished, {len(repeated)} repeated",
                    flush=True,
                )
                if code != -9:
                    break
            counts["reported finished"] += len(finished)
            counts["finished but begun again"] += len(repeated)
            if code != 0:
                counts["not restorable"] += 1
                print("\n".join(driver.errors.strip().splitlines()[-3:]))
                counts["finished in sweeps not restorable"] += len(finished)
                continue
            results = [line.split() for line in driver.lines("result ")]
            counts["finished but lost"] += len(finished - {trial for trial, _ in results})
            counts["other number of trials"] += len(results) != TRIALS
            counts["trials not trained to the end"] += sum(done != "1" for _, done in results)
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--storage", choices=["memory", "sqlite"], default="memory", help="of the Optuna study")
    parser.add_argument("--drive", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.drive:
        os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
        drive(options.drive, options.storage)
    else:
        print(json.dumps(campaign(options.kills, options.seed, options.storage), indent=2))


if __name__ == "__main__":
    main()
