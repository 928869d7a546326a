"""What can be wrong with a spec: each mistake is found, placed, and said in one line."""

from pathlib import Path
from typing import NamedTuple

import pytest

from vae_search.core.references import LONGEST_NAME, NAME_PATTERN
from vae_search.errors import InvalidSpec
from vae_search.spec.sweep_spec import SweepSpec, json_schema, overridden, read_spec

VALID = """\
name: demo
data: {source: digits}
search_space:
  latent_dim: {type: int, low: 2, high: 16, log: true}
  beta: {type: float, low: 0.25, high: 4.0}
  architecture: {type: categorical, choices: [mlp, conv]}
  depth: 2
budget: {trials: 4, epochs: 9}
"""
DEEP = "[" * 40 + "]" * 40
BILLION_LAUGHS = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"


class Bad(NamedTuple):
    """A spec (YAML text, or the bytes of a file), where its mistake is, and what must be said about it."""

    spec: str | bytes
    line: int | None
    fragment: str
    overrides: tuple[str, ...] = ()


def at(line: int, text: str) -> str:
    """The valid spec with one line replaced."""
    lines = VALID.splitlines()
    lines[line - 1] = text
    return "\n".join(lines) + "\n"


def latent(text: str) -> str:
    return at(4, f"  latent_dim: {text}")


def beta(text: str) -> str:
    return at(5, f"  beta: {text}")


def depth(text: str) -> str:
    return at(7, f"  depth: {text}")


def budget(text: str) -> str:
    return at(8, f"budget: {{{text}}}")


def plus(text: str) -> str:
    """The valid spec with text after its end; its first line is line 9."""
    return f"{VALID}{text}\n"


CASES = {
    # a parameter of another family
    "blocks of an mlp": Bad(
        at(7, "  blocks: {type: int, low: 1, high: 3}"),
        7,
        "mlp has no blocks. Let it apply only `when: {architecture: resnet}`.",
    ),
    # the file
    "empty": Bad("", None, "the file is empty"),
    "only comments": Bad("# nothing\n\n", None, "the file is empty"),
    "only a document mark": Bad("---\n...\n", None, "the file is empty"),
    "a list": Bad("- name: demo\n", 1, "a spec is a mapping (`key: value` lines), but this is a list"),
    "plain text": Bad("hello\n", 1, "but this is text"),
    "too large": Bad(VALID + "é" * 300_000, None, "at most 256 KiB"),
    "too deep": Bad(plus(f"enqueue: {DEEP}"), 9, "nested at most 32 deep"),
    "UTF-16": Bad(VALID.encode("utf-16"), 1, "a spec is UTF-8 text, but here is byte 0xff"),
    "Latin-1": Bad(b"name: demo\ndata: {source: caf\xe9}\n", 2, "but here is byte 0xe9"),
    "a NUL": Bad("name: demo\ndata: \x00\n", 2, "the character U+0000 has no place in a spec"),
    "an escape character": Bad("name: \x1b[31mdemo\n", 1, "the character U+001B"),
    "a lone surrogate": Bad("name: demo\n# \ud800\n", 2, "a spec is UTF-8 text, but here is byte 0xed"),
    "a control character in quotes": Bad(at(1, r'name: "de\x00mo"'), 1, r"must be printable text on one line"),
    "a line break in quotes": Bad(at(2, r'data: {source: "a\nb"}'), 2, r"must be printable text on one line"),
    "tab indentation": Bad(
        "name: demo\ndata:\n\tsource: digits\n", 3, "the indentation has a tab. Indent with spaces."
    ),
    "a tab before a value": Bad("name: demo\ndata: \t- x\n", 2, "this is not YAML"),
    "an open bracket": Bad(at(2, "data: {source: digits"), 3, "this is not YAML"),
    "an open quote": Bad(at(1, 'name: "demo'), 9, "this is not YAML"),
    "two colons": Bad(at(1, "name: demo: again"), 1, "this is not YAML: mapping values are not allowed here"),
    "a wrong indentation": Bad(at(5, "   beta: 1.0"), 5, "this is not YAML"),
    "two documents": Bad(plus("---\nname: other"), 9, "a second one starts here"),
    "an unknown directive version": Bad("%YAML 3.0\n---\n" + VALID, 1, "this is not YAML"),
    "an alias": Bad(at(2, "data: *data"), 2, "a spec has no aliases, but got `*data`"),
    "an anchor": Bad(at(2, "data: &data {source: digits}"), 2, "a spec has no anchors, but got `&data`"),
    "a billion laughs": Bad(BILLION_LAUGHS, 2, "a spec has no aliases"),
    "a tag": Bad(at(1, "name: !!str demo"), 1, "a spec has no tags, but got `tag:yaml.org,2002:str`"),
    "a Python tag": Bad(at(1, "name: !!python/object/apply:os.system [id]"), 1, "a spec has no tags"),
    "a merge key": Bad(plus("<<: {seed: 1}"), 9, "<<: unknown key"),
    "a duplicate key": Bad(plus("name: other"), 9, "name: is already given on line 1. Keep one of the two."),
    "a duplicate nested key": Bad(
        latent("{type: int, low: 2, low: 3, high: 4}"), 4, "latent_dim.low: is already given"
    ),
    "a key that is a list": Bad(plus("[a, b]: 1"), 9, "a key is a plain name"),
    # keys
    "no name": Bad(at(1, "seed: 1"), None, "name: is missing, but every sweep needs it. Add it, for example"),
    "no data": Bad(at(2, ""), None, "data: is missing"),
    "no source": Bad(at(2, "data: {binarize: dynamic}"), 2, "data.source: is missing"),
    "no search space": Bad(
        "name: demo\ndata: {source: digits}\nbudget: {trials: 1, epochs: 1}\n", None, "search_space: is"
    ),
    "no budget": Bad(at(8, ""), None, "budget: is missing"),
    "no trials": Bad(budget("epochs: 9"), 8, "budget.trials: is missing, but every sweep needs it"),
    "no epochs": Bad(budget("trials: 9"), 8, "budget.epochs: is missing, but every sweep needs it"),
    "a misspelt key": Bad(plus("smapler: tpe"), 9, "smapler: unknown key. Did you mean sampler?"),
    "a misspelt nested key": Bad(budget("trials: 4, epoch: 9"), 8, "budget.epoch: unknown key. Did you mean epochs?"),
    "a key in the wrong place": Bad(plus("trials: 4"), 9, "trials: unknown key. Did you mean budget.trials?"),
    "a parameter in the wrong place": Bad(plus("width: 4"), 9, "width: unknown key. Did you mean search_space.width?"),
    "a key of a later version": Bad(plus("fairness: {share: 2}"), 9, "fairness: unknown key. Known are: name, seed"),
    "an empty key": Bad(plus('"": 1'), 9, "unknown key"),
    "a mapping that is a number": Bad(at(8, "budget: 9"), 8, "must be a mapping with the keys trials, epochs, minutes"),
    "a mapping that is empty": Bad(at(2, "data:"), 2, "data: must be a mapping with the keys source"),
    # simple values
    "a name with capitals": Bad(at(1, "name: Demo"), 1, "must be 1 to 63 of a-z, 0-9 and -, and begin"),
    "a name with a slash": Bad(at(1, "name: ../demo"), 1, "but got '../demo'"),
    "a name with an emoji": Bad(at(1, "name: demo🙂"), 1, "must be 1 to 63 of a-z"),
    "a long name": Bad(at(1, f"name: {'a' * 64}"), 1, "must be 1 to 63 of a-z"),
    "a name with an underscore": Bad(at(1, "name: a_b"), 1, "must be 1 to 63 of a-z, 0-9 and -, and begin"),
    "a name that is a number": Bad(at(1, "name: 2024"), 1, "name: must be text, but got 2024."),
    "a negative seed": Bad(plus("seed: -1"), 9, "seed: must be >= 0, but got -1."),
    "a huge seed": Bad(plus("seed: 2147483648"), 9, "seed: must be < 2147483648"),
    "a boolean seed": Bad(plus("seed: true"), 9, "seed: must be a whole number, but got true."),
    "an octal seed stays decimal": Bad(plus("seed: -010"), 9, "seed: must be >= 0, but got -10."),
    "zero trials": Bad(budget("trials: 0, epochs: 9"), 8, "budget.trials: must be >= 1, but got 0."),
    "too many trials": Bad(budget("trials: 1000000000, epochs: 9"), 8, "budget.trials: must be <= 100000"),
    "a fraction of an epoch": Bad(budget("trials: 4, epochs: 9.5"), 8, "epochs: must be a whole number, but got 9.5."),
    "a number in quotes": Bad(budget('trials: "4", epochs: 9'), 8, "trials: must be a whole number, but got '4'."),
    "no minutes": Bad(budget("trials: 4, epochs: 9, minutes: 0"), 8, "budget.minutes: must be > 0, but got 0."),
    "infinite minutes": Bad(budget("trials: 4, epochs: 9, minutes: .inf"), 8, "minutes: must be finite, but got inf."),
    "a time of day": Bad(budget("trials: 4, epochs: 9, minutes: 1:30"), 8, "must be a number, but got '1:30'."),
    "an unknown sampler": Bad(plus("sampler: tp"), 9, "must be one of tpe, random, but got 'tp'. Did you mean tpe?"),
    "an unknown likelihood": Bad(plus("likelihood: poisson"), 9, "likelihood: must be one of bernoulli"),
    "an unknown schedule": Bad(plus("lr_schedule: cos"), 9, "must be one of constant, cosine, wsd, but got 'cos'."),
    "a full decay": Bad(plus("ema_decay: 1.0"), 9, "ema_decay: must be < 1, but got 1.0."),
    "a reversed clamp": Bad(plus("log_variance_clamp: [2, -6]"), 9, "must be [low, high] with -50 <= low < high <= 50"),
    "a clamp of three": Bad(plus("log_variance_clamp: [1, 2, 3]"), 9, "but got [1, 2, 3]."),
    "a clamp of NaN": Bad(plus("log_variance_clamp: [.nan, 2]"), 9, "but got [nan, 2]."),
    "a negative weight": Bad(plus("objective: {stability_weight: -1}"), 9, "must be >= 0, but got -1."),
    "a NaN weight": Bad(plus("objective: {stability_weight: .nan}"), 9, "must be finite, but got nan."),
    "an overflowing weight": Bad(plus("objective: {stability_weight: 1e999}"), 9, "must be finite, but got inf."),
    "promotion of what is not confirmed": Bad(
        plus("promote: {model: m}\nconfirm: {finalists: 0}"),
        10,
        "confirm: to be promoted, a config needs 3 fresh seeds, but got (finalists=0, seeds=5). Raise them, or leave "
        "promote out.",
    ),
    "promotion by too few seeds": Bad(
        plus("promote: {model: m}\nconfirm: {seeds: 2}"),
        10,
        "confirm: to be promoted, a config needs 3 fresh seeds, but got (finalists=3, seeds=2). Raise them, or leave "
        "promote out.",
    ),
    "no checkpoints": Bad(plus("checkpoint_s: 0"), 9, "checkpoint_s: must be > 0, but got 0."),
    "a word for a number": Bad(plus("keep: all"), 9, "keep: must be a whole number, but got 'all'."),
    "no processor": Bad(
        plus("resources: {cpus_per_trial: 0}"), 9, "resources.cpus_per_trial: must be >= 1, but got 0."
    ),
    "a misspelt auto": Bad(
        plus("resources: {concurrency: atuo}"), 9, "must be auto or a whole number >= 1, but got 'atuo'"
    ),
    "a share of two GPUs": Bad(
        plus("resources: {gpus_per_trial: 1.5}"), 9, "must be 0, a share of one GPU below 1, or a whole number, but got"
    ),
    "a negative share": Bad(
        plus("resources: {gpus_per_trial: -0.5}"), 9, "resources.gpus_per_trial: must be 0, a share"
    ),
    "a share that Ray cannot count": Bad(
        plus("resources: {gpus_per_trial: 1e-5}"), 9, "resources.gpus_per_trial: must"
    ),
    "a share of NaN": Bad(plus("resources: {gpus_per_trial: .nan}"), 9, "below 1, or a whole number, but got nan."),
    "a GPU of true": Bad(plus("resources: {gpus_per_trial: true}"), 9, "below 1, or a whole number, but got true."),
    "memory without a unit of bytes": Bad(
        plus("resources: {memory: 4 gigs}"),
        9,
        "memory: must be bytes or a size such as 500MB or 4GiB, but got '4 gigs'",
    ),
    "memory in bits": Bad(plus("resources: {memory: 4Gb}"), 9, "resources.memory: must be bytes or a size"),
    "negative memory": Bad(plus("resources: {memory: -1}"), 9, "resources.memory: must be bytes or a size"),
    "memory of no computer": Bad(
        plus("resources: {memory: 9999999TB}"), 9, "resources.memory: must be bytes or a size"
    ),
    "a custom resource that has a key": Bad(
        plus("resources: {custom: {GPU: 1}}"), 9, "but got 'GPU'; CPUs, GPUs and memory have keys."
    ),
    "none of a custom resource": Bad(
        plus("resources: {custom: {tpu: 0}}"), 9, "resources.custom.tpu: must be a number >= 0.0001, but got 0."
    ),
    "a custom resource in words": Bad(
        plus("resources: {custom: {tpu: one}}"), 9, "must be a number >= 0.0001, but got"
    ),
    "custom resources in a list": Bad(plus("resources: {custom: [tpu]}"), 9, "resources.custom: must be a mapping"),
    "a label that is a number": Bad(plus("resources: {labels: {zone: 1}}"), 9, "labels.zone: must be text, but got 1."),
    # data
    "a misspelt data set": Bad(at(2, "data: {source: fashion_mnst}"), 2, "Did you mean fashion_mnist?"),
    "a data set with a hyphen": Bad(at(2, "data: {source: Fashion-MNIST}"), 2, "Did you mean fashion_mnist?"),
    "a mistyped data set": Bad(
        at(2, "data: {source: fashion-mnist}"), 2, "Built in are digits, photo_patches, mnist, fashion_mnist, cifar10"
    ),
    "a data set with an invisible letter": Bad(
        at(2, "data: {source: \u2066digits}"), 2, r"'\u2066digits' is no data set"
    ),
    "an address of nothing": Bad(at(2, "data: {source: ftp://host/x.npz}"), 2, "the address of one file, https://"),
    "an address of a folder": Bad(at(2, "data: {source: s3://bucket/x}"), 2, "that ends in .npz, .npy, .parquet"),
    "an address with a password": Bad(at(2, 'data: {source: "https://u:p@host/x.npz"}'), 2, "without user, password"),
    "an address of a hidden file": Bad(at(2, "data: {source: s3://bucket/x/.npz}"), 2, "the address of one file"),
    "sent images that lead elsewhere": Bad(at(2, "data: {source: store:../x.npz}"), 2, "must be store:<digest>/<name>"),
    "an empty source": Bad(at(2, 'data: {source: ""}'), 2, "data.source: must not be empty"),
    "grey pixels": Bad(
        at(2, "data: {source: digits, binarize: none}"), 2, "has no density for grey pixels, but got none."
    ),
    "a binarised gaussian": Bad(
        at(2, "data: {source: digits}\nlikelihood: gaussian"), 2, "data.binarize: must be none, since gaussian explains"
    ),
    "a binarised logistic": Bad(
        at(2, "data: {source: digits, binarize: threshold}\nlikelihood: discretized_logistic"), 2, "but got threshold."
    ),
    "one validation image": Bad(
        at(2, "data: {source: digits, validation: 1}"), 2, "must be a count (>= 2) or a fraction"
    ),
    "all images": Bad(at(2, "data: {source: digits, test: 1.0}"), 2, "data.test: must be a count (>= 2) or a fraction"),
    "nothing left": Bad(
        at(2, "data: {source: digits, validation: 0.5, test: 0.5}"), 2, "must leave images to train on"
    ),
    # parameters
    "no parameter": Bad("name: demo\nsearch_space: {}\n", 2, "search_space: must have 1 to 64 parameters, but got 0."),
    "a space that is a list": Bad("name: demo\nsearch_space: [depth]\n", 2, "must be a mapping of parameters"),
    "65 parameters": Bad(
        depth("[" + ", ".join(["{type: fixed, value: 1}"] * 65) + "]"), 3, "must have 1 to 64 parameters, but got 68."
    ),
    "an unknown parameter": Bad(at(7, "  depht: 2"), 7, "no parameter is called 'depht'. Did you mean depth?"),
    "a bare value of the wrong type": Bad(
        depth("two"), 7, "search_space.depth: must be a whole number, but got 'two'."
    ),
    "a bare value out of bounds": Bad(depth("9"), 7, "search_space.depth: must be >= 1 and <= 8, but got 9."),
    "no value": Bad(depth(""), 7, "search_space.depth: must be a whole number, but got nothing."),
    "a bare list": Bad(depth("[1, 2]"), 7, "For choices write {type: categorical, choices: [1, 2]}."),
    "no type": Bad(
        latent("{low: 2, high: 16}"), 4, "type must be one of int, float, categorical, fixed, but it is missing"
    ),
    "an unknown type": Bad(latent("{type: uniform, low: 2, high: 16}"), 4, "but got 'uniform'."),
    "the wrong type": Bad(latent("{type: float, low: 2, high: 16}"), 4, "it needs type: int, but got type: float."),
    "a range of names": Bad(at(6, "  architecture: {type: int, low: 1, high: 2}"), 6, "it needs type: categorical"),
    "a misspelt bound": Bad(
        latent("{type: int, low: 2, hgih: 16}"), 4, "latent_dim.hgih: unknown key. Did you mean high?"
    ),
    "a missing bound": Bad(
        latent("{type: int, low: 2}"), 4, "latent_dim.high: is missing, but a parameter of type int"
    ),
    "a bound in words": Bad(
        latent("{type: int, low: two, high: 16}"), 4, "low: must be a whole number, but got 'two'."
    ),
    "a boolean bound": Bad(beta("{type: float, low: false, high: 1}"), 5, "beta.low: must be a number, but got false."),
    "a real bound": Bad(latent("{type: int, low: 2.0, high: 16}"), 4, "low: must be a whole number, but got 2.0."),
    "a NaN bound": Bad(beta("{type: float, low: .nan, high: 1}"), 5, "beta.low: must be > 0 and <= 100, but got nan."),
    "an infinite bound": Bad(beta("{type: float, low: 1, high: .inf}"), 5, "beta.high: must be > 0 and <= 100"),
    "an endless bound": Bad(latent(f"{{type: int, low: 2, high: {'9' * 5000}}}"), 4, "high: must be a whole number"),
    "a bound out of bounds": Bad(latent("{type: int, low: 2, high: 5000}"), 4, "high: must be >= 1 and <= 1024"),
    "reversed bounds": Bad(
        beta("{type: float, low: 5, high: 1}"), 5, "`low <= high` must hold, but got (low=5, high=1)"
    ),
    "a log scale from 0": Bad(
        at(5, "  learning_rate: {type: float, low: 0, high: 1e-2, log: true}"),
        5,
        "search_space.learning_rate.low: a log scale needs low > 0, but got 0. Raise low or drop log: true.",
    ),
    "a log scale of yes": Bad(
        beta("{type: float, low: 1, high: 2, log: yes}"), 5, "must be true or false, but got 'yes'"
    ),
    "log and step": Bad(
        latent("{type: int, low: 2, high: 8, log: true, step: 2}"), 4, "`log` and `step` exclude each other"
    ),
    "a step of 0": Bad(
        latent("{type: int, low: 2, high: 8, step: 0}"), 4, "step: must be a whole number > 0, but got 0."
    ),
    "a step beyond the range": Bad(
        latent("{type: int, low: 2, high: 8, step: 9}"), 4, "`step <= high - low` must hold"
    ),
    "a step that does not fit": Bad(
        latent("{type: int, low: 2, high: 9, step: 2}"), 4, "`high` must be low plus a multiple"
    ),
    "no choices": Bad(
        depth("{type: categorical, choices: []}"), 7, "choices: must list at least one value, but got []."
    ),
    "choices in a word": Bad(depth("{type: categorical, choices: 3}"), 7, "must list at least one value, but got 3."),
    "a choice twice": Bad(
        depth("{type: categorical, choices: [1, 2, 1]}"), 7, "choices[2]: 1 is already choice 1. Keep one."
    ),
    "mixed choices": Bad(
        depth("{type: categorical, choices: [1, two]}"), 7, "choices[1]: must be a whole number, but got"
    ),
    "a choice that is a list": Bad(depth("{type: categorical, choices: [[1, 2]]}"), 7, "but got [1, 2]."),
    "1001 choices": Bad(
        depth(f"{{type: categorical, choices: {[1] * 1001}}}"), 7, "at most 1000 values, but got 1001."
    ),
    "an unknown choice": Bad(at(6, "  architecture: {type: categorical, choices: [mpl]}"), 6, "Did you mean mlp?"),
    # conditions
    "a condition on an unknown parameter": Bad(
        depth("{type: fixed, value: 2, when: {architectur: mlp}}"), 7, "Did you mean architecture?"
    ),
    "a condition on an undeclared parameter": Bad(
        depth("{type: fixed, value: 2, when: {width: 64}}"), 7, "width is not in the search space, so it is always 256."
    ),
    "a condition that never holds": Bad(
        depth("{type: fixed, value: 2, when: {architecture: pyramid}}"), 7, "architecture can never be 'pyramid'."
    ),
    "a condition outside a range": Bad(
        depth("{type: fixed, value: 2, when: {latent_dim: [2, 17]}}"), 7, "latent_dim can never be 17."
    ),
    "a condition on a continuous range": Bad(
        depth("{type: fixed, value: 2, when: {beta: 1.0}}"), 7, "search_space.depth.when.beta: beta can never be 1.0."
    ),
    "a condition that is no mapping": Bad(
        depth("{type: fixed, value: 2, when: conv}"), 7, "must be a mapping like {architecture: conv}, but got 'conv'."
    ),
    "a condition without values": Bad(
        depth("{type: fixed, value: 2, when: {architecture: []}}"), 7, "at least one value"
    ),
    "a condition on itself": Bad(depth("{type: fixed, value: 2, when: {depth: 2}}"), 7, "cannot depend on itself"),
    "a circle of conditions": Bad(
        at(6, "  width: {type: categorical, choices: [64], when: {depth: 2}}").replace(
            "depth: 2\n", "depth: {type: fixed, value: 2, when: {width: 64}}\n"
        ),
        6,
        "the conditions run in a circle: width needs depth needs width.",
    ),
    "alternatives that overlap": Bad(
        depth("[{type: fixed, value: 2, when: {architecture: mlp}}, {type: fixed, value: 3}]"), 7, "can apply at once"
    ),
    "a mistake in an alternative": Bad(
        "name: demo\nsearch_space:\n  depth:\n    - {type: fixed, value: 2}\n    - {type: fixed, value: 9}\n",
        5,
        "search_space.depth[1].value: must be >= 1 and <= 8, but got 9.",
    ),
    # enqueue
    "enqueued in a mapping": Bad(plus("enqueue: {beta: 1}"), 9, "enqueue: must be a list of configs"),
    "an enqueued number": Bad(
        plus("enqueue:\n  - {beta: 1}\n  - 3"), 11, "enqueue[1]: must be a mapping from parameter"
    ),
    "an enqueued unknown parameter": Bad(
        plus("enqueue: [{bta: 1}]"), 9, "enqueue[0].bta: no parameter is called 'bta'"
    ),
    "an enqueued value out of the range": Bad(
        plus("enqueue:\n- {beta: 9}"), 10, "enqueue[0].beta: must lie in 0.25..4.0"
    ),
    "an enqueued undeclared parameter": Bad(plus("enqueue: [{width: 9}]"), 9, "is not part of this search space"),
    "an enqueued list": Bad(plus("enqueue: [{beta: [1]}]"), 9, "enqueue[0].beta: must be a number, but got [1]."),
    "an enqueued boolean": Bad(plus("enqueue: [{latent_dim: true}]"), 9, "must be a whole number, but got true."),
    "1001 enqueued": Bad(plus(f"enqueue: [{', '.join(['{}'] * 1001)}]"), 9, "at most 1000 configs, but got 1001."),
    "more enqueued than trials": Bad(
        plus("enqueue: [{}, {beta: 1}, {beta: 2}, {beta: 3}, {beta: 4}]"),
        9,
        "enqueue: must have no more configs than trials, but got (5 configs, budget.trials=4). Raise budget.trials, or",
    ),
    "patience with a cosine": Bad(
        budget("trials: 4, epochs: 9, patience: 2") + "lr_schedule: cosine\n",
        8,
        "budget.patience: needs lr_schedule: constant, since a decay brings its gain in the last epochs",
    ),
    "no patience at all": Bad(budget("trials: 4, epochs: 9, patience: 0"), 8, "budget.patience: must be >= 1, but"),
    # rungs and warm-up
    "pruning with a word": Bad(
        plus("pruning: on"), 9, "must be off or a mapping such as {min_epochs: 3}, but got 'on'."
    ),
    "pruning with nothing": Bad(plus("pruning:"), 9, "pruning: has no value. Write off, or a mapping"),
    "a rung at 0": Bad(plus("pruning: {min_epochs: 0}"), 9, "pruning.min_epochs: must be >= 1, but got 0."),
    "a factor of 1": Bad(plus("pruning: {min_epochs: 3, reduction_factor: 1}"), 9, "must be >= 2, but got 1."),
    "a rung after the end": Bad(
        plus("pruning: {min_epochs: 10}"), 9, "`min_epochs <= budget.epochs` must hold, but got"
    ),
    "a warm-up past the first rung": Bad(
        at(7, "  kl_warmup_epochs: {type: int, low: 0, high: 3}") + "pruning: {min_epochs: 3}\n",
        7,
        "the warm-up must end before the first rung, epoch 3, but may last 3 epochs.",
    ),
    "a warm-up past a default rung": Bad(
        at(7, "  kl_warmup_epochs: 1"), 7, "the warm-up must end before the first rung, epoch 1, but may last 1 epochs."
    ),
    "a warm-up without an end": Bad(
        at(7, "  kl_warmup_epochs: {type: categorical, choices: [9, 0]}") + "pruning: off\n",
        7,
        "the warm-up must end before the last epoch, 9, but may last 9 epochs.",
    ),
    # overrides
    "an override without =": Bad(VALID, None, "an override is written key=value", ("budget.trials",)),
    "an override without a key": Bad(VALID, None, "an override is written key=value", ("=3",)),
    "an override of a misspelt key": Bad(
        VALID, None, "budget.trial: unknown key. Did you mean trials?", ("budget.trial=3",)
    ),
    "an override of a misspelt section": Bad(
        VALID, None, "budgt: unknown key. Did you mean budget?", ("budgt.trials=3",)
    ),
    "an override through a value": Bad(
        VALID, None, "depth is a number, so it has no keys.", ("search_space.depth.low=3",)
    ),
    "an override of the wrong type": Bad(
        VALID, None, "must be a whole number, but got 'many'", ("budget.trials=many",)
    ),
    "an override that is no YAML": Bad(VALID, None, "this is not YAML", ("budget={trials: 3",)),
    "an override of two lines": Bad(VALID, None, "this is not YAML", ("budget={trials: 3\n}}",)),
    "an override with a duplicate": Bad(VALID, None, "is already given", ("budget={trials: 3, trials: 4, epochs: 3}",)),
    "an endless override": Bad(VALID, None, "an override is written key=value", (".".join("a" * 5000) + "=1",)),
}


def problems_of(bad: Bad, folder: Path) -> tuple[str, ...]:
    path = folder / "bad.yaml"
    path.write_bytes(bad.spec if isinstance(bad.spec, bytes) else bad.spec.encode("utf-8", "surrogatepass"))
    with pytest.raises(InvalidSpec) as caught:
        read_spec(path, bad.overrides)
    return tuple(line.replace(str(path), "bad.yaml") for line in caught.value.problems)


@pytest.mark.parametrize("bad", CASES.values(), ids=CASES.keys())
def test_a_mistake_is_placed_and_explained_in_one_line(bad: Bad, tmp_path: Path) -> None:
    place = f"--set {bad.overrides[0][:10]}" if bad.overrides else f"bad.yaml:{bad.line or ''}"

    lines = problems_of(bad, tmp_path)

    assert [line for line in lines if bad.fragment in line and line.startswith(place)], lines
    assert all(line.isprintable() for line in lines)


def test_there_are_at_least_fifty_kinds_of_mistakes() -> None:
    assert len(CASES) >= 50


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """\
name: Demo
data: {source: digits, binarize: none, validatoin: 100}
search_space:
  latent_dim: {type: float, low: 2, high: 16}
  learning_rate: {type: float, low: 0, high: 1e-2, log: true, stpe: 1}
  depth: {type: int, low: 9, high: 0}
  depth: 2
enqueue: [{latent_dim: 0}]
budget: {trials: 0}
budget.minutes: 3
"""

    lines = problems_of(Bad(text, None, "", ("seed=-1",)), tmp_path)

    assert [line.partition(": ")[0] + " " + line.split(": ")[1] for line in lines] == [
        "bad.yaml:1 name",
        "bad.yaml:2 data.validatoin",
        "bad.yaml:4 search_space.latent_dim.type",
        "bad.yaml:5 search_space.learning_rate.stpe",
        "bad.yaml:5 search_space.learning_rate.low",
        "bad.yaml:6 search_space.depth.low",
        "bad.yaml:6 search_space.depth.high",
        "bad.yaml:7 search_space.depth",
        "bad.yaml … and 5 more.",
    ]


def test_mistakes_of_overrides_follow_those_of_the_file(tmp_path: Path) -> None:
    text = plus("enqueue: [{latent_dim: 0}]").replace("trials: 4", "trials: 0")

    lines = problems_of(Bad(text, None, "", ("seed=-1",)), tmp_path)

    assert [line.partition(": ")[0] + " " + line.split(": ")[1] for line in lines] == [
        "bad.yaml:8 budget.trials",
        "bad.yaml:9 enqueue[0].latent_dim",
        "--set seed=-1 seed",
    ]


def test_a_mistaken_family_says_nothing_about_parameters_of_one_family(tmp_path: Path) -> None:
    text = at(6, "  architecture: {type: categorical, choices: [renset]}") + "enqueue: [{latent_dim: 4}]\n"
    text = text.replace("  depth: 2\n", "  depth: 2\n  blocks: 2\n")

    (line,) = problems_of(Bad(text, None, ""), tmp_path)

    assert "'renset' is unknown. Did you mean resnet?" in line


def test_relations_among_right_parts_are_checked_although_other_parts_are_wrong(tmp_path: Path) -> None:
    text = depth("{type: int, low: 1, high: 2}").replace("name: demo", "name: Demo").replace("epochs: 9", "epochs: 2")
    text += "enqueue: [{depth: 3}]\npruning: {min_epochs: 3}\n"

    lines = problems_of(Bad(text, None, ""), tmp_path)

    assert [line.split(": ")[1] for line in lines] == ["name", "enqueue[0].depth", "pruning.min_epochs"]


def test_of_a_hundred_mistakes_eight_are_shown_and_the_others_counted(tmp_path: Path) -> None:
    lines = problems_of(Bad(VALID + "".join(f"key{number}: 1\n" for number in range(100)), None, ""), tmp_path)

    assert [line.split(": ")[1] for line in lines[:8]] == [f"key{number}" for number in range(8)]
    assert lines[8:] == ("bad.yaml: … and 92 more.",)


def test_of_many_wrong_overrides_eight_are_shown(tmp_path: Path) -> None:
    lines = problems_of(Bad(VALID, None, "", tuple(f"wrong{number}" for number in range(10))), tmp_path)

    assert lines[8:] == ("--set: … and 2 more.",)


@pytest.mark.parametrize("text", [VALID.replace("digits", "nowhere/x.npz").replace("demo", "Demo"), "a: ["])
def test_a_file_below_the_current_folder_is_named_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    (tmp_path / "specs").mkdir()
    path = tmp_path / "specs" / "bad.yaml"
    path.write_text(text)
    monkeypatch.chdir(tmp_path)

    with pytest.raises(InvalidSpec) as refusal:
        read_spec(path)

    assert str(refusal.value).startswith("specs/bad.yaml:1")


def test_a_going_sweep_may_have_fewer_trials_than_it_began_with_configs(tmp_path: Path) -> None:
    path = tmp_path / "good.yaml"
    path.write_text(plus("enqueue: [{}, {beta: 1}]"))
    spec = read_spec(path).spec

    smaller = overridden(spec, ["budget.trials=1"])

    with pytest.raises(InvalidSpec, match=r"enqueue: must have no more configs than trials"):
        read_spec(path, ["budget.trials=1"])
    assert SweepSpec.from_json(smaller.to_json()) == smaller


def test_names_are_refused_in_the_words_of_the_rule(tmp_path: Path) -> None:
    path = tmp_path / "good.yaml"
    path.write_text(at(1, f"name: {'a' * LONGEST_NAME}"))

    assert len(read_spec(path).spec.name) == LONGEST_NAME == 63
    assert json_schema()["properties"]["name"]["pattern"] == NAME_PATTERN


@pytest.mark.parametrize(("name", "reason"), [("none.yaml", "No such file"), ("", "Is a directory")])
def test_a_file_that_cannot_be_read_is_a_mistake_of_the_command_line(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(InvalidSpec, match=reason):
        read_spec(tmp_path / name)
