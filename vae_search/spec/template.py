"""Specs to start from: the commented one that `vae-search init` writes, and short ones for an editor."""

from collections.abc import Mapping

_TEMPLATE = """\
# A sweep: which images, which models to try, and when to stop.
#
#   vae-search validate {name}.yaml      is it right?
#   vae-search run {name}.yaml           start it, or go on where it stopped
#   vae-search best {name}               what came out
#
# What is commented out shows the default.

name: {name}
# seed: 0                         # everything random follows from it; a replication takes another one

data:
  source: digits                  # photo_patches, mnist, fashion_mnist, cifar10, or a path, relative to this file
  binarize: dynamic               # grey is the chance of white, drawn anew each epoch; threshold: white if > 0.5;
                                  # none: grey and colour as they are, for the other two likelihoods
  # validation: 0.1667            # to choose models by: a fraction, or a count such as 10000
  # test: 0.1667                  # for the final test, if the source has no test split of its own
  # resize: {{height: 64, width: 64, fit: crop}}  # or pad, or stretch: pictures of other sizes are brought to it

# likelihood: bernoulli           # of black and white; gaussian or discretized_logistic of grey and colour

# A bare value is fixed. Ranges include both ends. `log: true` spreads trials evenly over orders of magnitude.
# A parameter that is not named keeps its default, shown in the comments.
search_space:
  architecture: mlp               # mlp, pyramid, conv, resnet, hvae or hvae_conv
  latent_dim: {{type: int, low: 2, high: 32, log: true}}
  beta: {{type: float, low: 0.25, high: 4.0, log: true}}  # in training only: trials are compared at beta = 1
  learning_rate: {{type: float, low: 3e-4, high: 1e-2, log: true}}
  depth: {{type: int, low: 1, high: 3}}
  width: {{type: categorical, choices: [64, 128, 256]}}
  # batch_size: 128
  # blocks: 1                     # residual blocks per stage, of a resnet only
  # activation: relu              # tanh, relu, elu, gelu or gated
  # kl_warmup_epochs: 0           # must end before the first rung
  # free_bits: 0.0                # nats of KL per latent dimension that cost nothing
  # grad_clip: 0.0                # clip at this multiple of the running gradient norm; 0 = off
  # weight_decay: 0.0             # a step takes learning_rate · weight_decay of each weight; 0 = off
  # prior: standard               # of the latents; mixture and vamp are learned, with `prior_components: 50`
  # bound_samples: 1              # draws of the bound that the last epochs train; needs objective.bound: iwae
  # iwae_from: 0.7                # share of the epochs before them
  #
  # Another range for each architecture takes a list of alternatives:
  #   architecture: {{type: categorical, choices: [mlp, conv]}}
  #   width:
  #     - {{type: categorical, choices: [128, 256, 512], when: {{architecture: mlp}}}}
  #     - {{type: categorical, choices: [16, 32], when: {{architecture: conv}}}}

# enqueue:                        # configs to try first
#   - {{latent_dim: 8, beta: 1.0}}
# warm_start:                     # earlier sweeps of the store that this one learns from
#   from: auto                    # those that are similar; or off, or a list of their names
#   configs: 5                    # most configs from sweeps on other data, and a tenth of the trials

budget:
  trials: 24                      # configs to try
  epochs: 27                      # of a trial that is not pruned
  # minutes: 30                   # of the whole sweep; none = no limit
  # patience: 50                  # a trial is complete after so many epochs without a better held-out bound
  # cpu_hours: 2                  # of all trainings; gpu_hours likewise; none = no limit
  # stop: {{gain_nats: 0.05, confidence: 0.95}}  # the search ends if the rest of it is likely to gain no more

# sampler: tpe                    # or random
pruning:                          # or off
  min_epochs: 3                   # trials are first compared here, then at 3 · 3, 3 · 3 · 3, ...
  reduction_factor: 3             # each time about one in three goes on

# metrics:                        # of every trial that completes, beside the bounds; columns metric_<name>
#   - ssim                        # ssim and frechet are ours; a function of your own is my_measures:mig
# objective:
#   bound: elbo                   # ranks trials; iwae is tighter, and the default where `promote` is given
#   stability_weight: 0.0         # minimised is bound + stability_weight * instability, both in nats
#   pareto: [neg_elbo, train_flops]  # instead: no criterion is weighed against another; instability is the third
#   prefer: neg_elbo              # who is confirmed first of those that no other trial beats in all of `pareto`

# confirm:                        # the best configs are trained again, with fresh seeds
#   finalists: 3                  # how many; 0 = none
#   seeds: 5                      # of the best of them, beside the one that it was chosen by
# promote:
#   model: digits                 # where it goes if it passes every gate and beats the champion
#   fit_prior: 0                  # e.g. 50: Gaussians of a prior fitted after training, kept if it is better

# ema_decay: 0.999                # evaluated are averaged weights; 0 = the weights of the last step
# lr_schedule: constant           # or cosine, wsd
# precision: float32              # of the products in training; bfloat16 is faster where the hardware has it
# log_variance_clamp: [-6.0, 2.0]
# checkpoint_s: 30                # least seconds between two checkpoints of a trial
# trial_timeout_s: null           # e.g. 600: an attempt that takes longer is ended, the second one for good
# max_retries: 3                  # how often a trial may lose its worker before it gets further
# keep: 5                         # how many of the best trials keep their weights

# resources:
#   cpus_per_trial: 1
#   gpus_per_trial: 0             # or a share of one, such as 0.25
#   memory: 0                     # to keep free for a trial, such as 4GiB; 0 = whatever there is
#   custom: {{}}                    # Ray's custom resources of a trial, such as {{fast_disk: 1}}
#   labels: {{}}                    # that a node must have, by Ray's names of them
#   concurrency: auto             # trials at once: a number, or as many as there is room for
"""


def template(name: str) -> str:
    """A spec called `name` that runs as it is and shows every key."""
    return _TEMPLATE.format(name=name)


_DIGITS = """\
# Handwritten digits, 8×8 pixels, built in: a minute or two.
name: digits
data: {source: digits, binarize: dynamic}
search_space:
  latent_dim: {type: int, low: 2, high: 16, log: true}
  beta: {type: float, low: 0.25, high: 4.0, log: true}
  learning_rate: {type: float, low: 3e-4, high: 1e-2, log: true}
  depth: {type: int, low: 1, high: 3}
  width: {type: categorical, choices: [32, 64, 128]}
budget: {trials: 24, epochs: 27}
"""
_FASHION = """\
# Fashion-MNIST with fully connected networks: about half an hour on two cores.
name: fashion-mlp
data: {source: fashion_mnist, binarize: dynamic, validation: 10000}
search_space:
  architecture: mlp
  latent_dim: {type: int, low: 8, high: 64, log: true}
  beta: {type: float, low: 0.25, high: 4.0, log: true}
  learning_rate: {type: float, low: 1e-4, high: 3e-3, log: true}
  depth: {type: int, low: 1, high: 4}
  width: {type: categorical, choices: [128, 256, 384, 512]}
  batch_size: {type: categorical, choices: [64, 128, 256]}
  activation: {type: categorical, choices: [tanh, relu, gelu, gated]}
budget: {trials: 30, epochs: 27}
pruning: {min_epochs: 3, reduction_factor: 3}
promote: {model: fashion}
"""
_FRONT = """\
# Two aims at once: a good bound and cheap training. No trial of the front is better than another in both.
name: digits-front
data: {source: digits, binarize: dynamic}
search_space:
  architecture: {type: categorical, choices: [mlp, conv]}
  latent_dim: {type: int, low: 2, high: 32, log: true}
  learning_rate: {type: float, low: 3e-4, high: 1e-2, log: true}
  width:
    - {type: categorical, choices: [64, 128, 256], when: {architecture: mlp}}
    - {type: categorical, choices: [16, 32], when: {architecture: conv}}
budget: {trials: 24, epochs: 27}
pruning: off
objective: {pareto: [neg_elbo, train_flops], prefer: neg_elbo}
"""

STARTERS: Mapping[str, str] = {
    "Digits, in a minute": _DIGITS,
    "Fashion-MNIST, in half an hour": _FASHION,
    "Two aims: bound and cost": _FRONT,
    "Every key, with its default": template("my-sweep"),
}
"""short specs by title; each may be submitted as it stands"""
