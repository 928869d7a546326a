"""Training of one trial: epochs, state, scores. A worker calls nothing else of this package."""

import gc
from collections import OrderedDict

import tensorflow as tf

from vae_search.data.random_access.mapped_images import resident_bytes
from vae_search.data.tasks import TrainingTask
from vae_search.spec.hyperparameters import Config
from vae_search.spec.networks.family import HIERARCHICAL
from vae_search.spec.sweep_spec import SweepSpec
from vae_search.vae.networks.network import build
from vae_search.vae.networks.network_spec import NetworkSpec
from vae_search.vae.objective.baseline import baseline_nats
from vae_search.vae.objective.likelihoods import Likelihood, likelihood_of
from vae_search.vae.objective.pixels import fixed_train
from vae_search.vae.training.device import device_in_use, limit_gpus, limit_threads, require_bfloat16
from vae_search.vae.training.graph import GraphKey, TrainingGraph
from vae_search.vae.training.image_feed import image_feed
from vae_search.vae.training.plan import TrainingPlan
from vae_search.vae.training.training_run import TrainingRun

KEPT_GRAPHS = 8  # held at once; each costs 20–50 MB, and about a second to make again
TRAIN_SCORE_SEED = 778
OUT_OF_MEMORY = (MemoryError, tf.errors.ResourceExhaustedError)


class Trainer:
    """One process's training engine: the task's images, and the architectures it has compiled.

    Args:
        threads: cores of one trial; see `limit_threads`.
        shares_operations: likewise.
        gpus: of one trial; see `limit_gpus`.

    Raises:
        NodeTrouble: This machine does not have the GPUs that a trial needs, or not the memory of them.
        RuntimeError: TensorFlow already runs with other limits.
    """

    def __init__(self, task: TrainingTask, *, threads: int, shares_operations: bool = True, gpus: float = 0.0) -> None:
        limit_threads(threads, shares_operations=shares_operations)
        limit_gpus(gpus, data_bytes=resident_bytes(task.train))
        self._device = device_in_use(gpus)
        self.task = task
        self._gather = image_feed(task.train)
        self._train_scored = fixed_train(task, len(task.select), seed=TRAIN_SCORE_SEED)
        self._graphs: OrderedDict[GraphKey, TrainingGraph] = OrderedDict()
        self._baselines: dict[Likelihood, float] = {}

    @classmethod
    def of(
        cls, spec: SweepSpec, task: TrainingTask, *, threads: int | None = None, shares_operations: bool = True
    ) -> "Trainer":
        """The engine of a sweep's trials; errors as of the class.

        Args:
            threads: None: those of a trial.
            shares_operations: see `limit_threads`.

        Raises:
            NodeTrouble: Also if the spec asks for bfloat16, which this machine only emulates.
        """
        resources = spec.resources
        trainer = cls(
            task,
            threads=threads or resources.cpus_per_trial,
            shares_operations=shares_operations,
            gpus=resources.gpus_per_trial,
        )
        if spec.precision == "bfloat16":
            require_bfloat16(resources.gpus_per_trial)
        return trainer

    def start(self, config: Config, plan: TrainingPlan, *, seed: int) -> "TrainingRun":
        """A fresh run of `config`: fresh weights and optimizer state, whatever ran here before."""
        network = build(
            NetworkSpec.of(config, self.task.image_shape, likelihood=plan.likelihood, classes=self.task.classes)
        )
        if config.bound_samples > 1 and config.architecture in HIERARCHICAL:
            raise ValueError(f"{config.architecture} trains the ELBO, but bound_samples is {config.bound_samples}")
        likelihood = likelihood_of(plan.likelihood, self.task.pixels.levels)
        graph = self._graph(
            GraphKey(
                topology=network.topology,
                likelihood=likelihood,
                clamp=plan.log_variance_clamp,
                clips=config.grad_clip > 0,
                decays=config.weight_decay > 0,
                precision=plan.precision,
                mirrors=plan.mirrors,
                shards=plan.shards,
            )
        )
        if likelihood not in self._baselines:
            self._baselines[likelihood] = self._baseline(likelihood)
        return TrainingRun(
            graph,
            network,
            self.task,
            self._train_scored,
            config,
            plan,
            seed=seed,
            baseline=self._baselines[likelihood],
            device=self._device,
        )

    def _baseline(self, likelihood: Likelihood) -> float:
        """Mean bound of the latent-free model on the select images; it sees the labels that the network sees."""
        task = self.task
        nats = baseline_nats(
            task.select, task.pixels, likelihood, labels=task.select_labels, class_pixels=task.class_pixels
        )
        return float(nats.mean())

    def _graph(self, key: GraphKey) -> TrainingGraph:
        if key not in self._graphs:
            while len(self._graphs) >= KEPT_GRAPHS:
                self._graphs.popitem(last=False)
                gc.collect()  # graphs and the functions that made them refer to each other
            self._graphs[key] = TrainingGraph(key, self.task, self._gather)
        self._graphs.move_to_end(key)
        return self._graphs[key]
