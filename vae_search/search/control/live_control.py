"""Live control of a driver: the commands to its sweep, looked for every few seconds, and the spec that they make.

A driver that cannot read them goes on with what it knows: trouble with commands never ends a sweep. Nothing here is
durable but the commands themselves; that a config has become a trial is known by the trial's suggestion and its row.
"""

import logging
from collections.abc import Callable, Mapping, Set

from vae_search.errors import InvalidSpec, VaeSearchError
from vae_search.spec.hyperparameters import ParamValue
from vae_search.spec.sections import Resources
from vae_search.spec.sweep_spec import SweepSpec
from vae_search.store.control.commands import EnqueuedConfig, SweepControl
from vae_search.store.control.present_spec import BegunSpec, with_settings

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 1.5


class LiveControl:
    """Commands to one sweep, as far as its driver knows them.

    Args:
        began: the spec that the driver began with.
        read: the commands, folded; settings since `began`.
        monotonic: clock, seconds.
        on_change: told of the control whenever it may have changed.
    """

    def __init__(
        self,
        began: BegunSpec,
        *,
        read: Callable[[], SweepControl],
        monotonic: Callable[[], float],
        on_change: Callable[["LiveControl"], None] = lambda control: None,
    ) -> None:
        self.spec = began.spec
        """the sweep's, with what is set by now"""
        self.seen = began.commands
        """number of the last command that is known"""
        self._began = began
        self._read = read
        self._monotonic = monotonic
        self._on_change = on_change
        self._looked_at_s: float | None = None
        self._known = SweepControl(commands=began.commands)
        self._trouble = ""
        self._taken: set[int] = set()
        self._unfit: set[int] = set()

    @property
    def resources(self) -> Resources:
        return self.spec.resources

    @property
    def stopped_trials(self) -> Set[int]:
        """Trials that are to end as they stand, those that have ended included."""
        return self._known.stopped_trials.keys()

    def look(self, *, at_once: bool = False) -> bool:
        """Look for commands if it is time; whether any is new.

        Args:
            at_once: look in any case.
        """
        now_s = self._monotonic()
        if not at_once and self._looked_at_s is not None and now_s - self._looked_at_s < LOOK_EVERY_S:
            return False
        self._looked_at_s = now_s
        try:
            found = self._read()
            spec = with_settings(self._began.spec, found.settings)
        except VaeSearchError as trouble:
            self._tell(trouble)
            return False
        self._trouble = ""
        is_new = found.commands != self.seen or found != self._known
        self._known, self.spec, self.seen = found, spec, found.commands
        if is_new:
            logger.info("commands up to %d are known; settings: %s", found.commands, dict(found.settings))
            self._on_change(self)
        return is_new

    def take(self, command: int | None) -> None:
        """Note that the config of a command has become a trial; None: the sampler's has."""
        if command is not None:
            self._taken.add(command)

    def next_config(self) -> EnqueuedConfig | None:
        """The config to be tried next; None if all have become trials."""
        for config in self._known.enqueued:
            if config.command not in self._taken and config.command not in self._unfit:
                if self._fits(config.command, config.params):
                    return config
                self._unfit.add(config.command)
        return None

    def _fits(self, command: int, params: Mapping[str, ParamValue]) -> bool:
        problems = self.spec.search_space.problems(params, partial=True)
        if problems:  # whoever wrote it has gone round the checks
            logger.warning("command %d: is no config of the search space, and is left out: %s", command, problems[0])
        return not problems

    def _tell(self, trouble: VaeSearchError) -> None:
        if str(trouble) != self._trouble:
            self._trouble = str(trouble)
            what = "set what the sweep cannot have" if isinstance(trouble, InvalidSpec) else "cannot be read"
            logger.warning("the commands to the sweep %s, and it goes on without them: %s", what, trouble)


def without_commands(spec: SweepSpec) -> LiveControl:
    """Control of a sweep that nobody gives commands to."""
    began = BegunSpec(spec=spec, asked=spec, commands=0)
    return LiveControl(began, read=SweepControl, monotonic=lambda: 0.0)
