# The commands of this project; the README's two are `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin

# Two workers; tests on Ray share one of them, and it begins with these.
WORKERS := --numprocesses 2 --dist loadgroup --no-loadscope-reorder

.PHONY: demo serve-demo check test test-all docs chaos e2e install lint clean bench-speed bench-service bench-kernel bench-precision bench-memory bench-rungs bench-rung-rules bench-first-rung bench-target bench-quality bench-planned bench-planner bench-champions \
	bench-bits bench-durability bench-bucket bench-scaling bench-pareto bench-stability bench-sampler bench-ranking bench-plots bench-clip bench-best-epoch bench-gates bench-data bench-warm bench-stop bench-gan bench-conditional bench-first-sweep bench-priors bench-fashion-priors bench-iwae bench-families

# Ray's and TensorFlow's wheels decide which Python works: 3.11 to 3.13. requirements.lock serves all of them.
.venv/installed: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint requirements.lock --editable .
	touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint requirements.lock --editable '.[dev]'
	touch $@

.venv/installed-web: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint requirements.lock --editable '.[web]'
	touch $@

install: .venv/installed

demo: .venv/installed
	$(BIN)/vae-search run search_spaces/digits.yaml
	$(BIN)/vae-search models digits
	$(BIN)/vae-search sample digits -o digits-samples.png

# The demo's sweep in the browser: trains it first if it is not there, then prints the address.
serve-demo: .venv/installed-web
	test -d vae-store/models/digits || $(BIN)/vae-search run search_spaces/digits.yaml
	$(BIN)/vae-search serve

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# What needs neither Ray nor TensorFlow: two minutes.
check: lint
	$(BIN)/python -m pytest --tier check $(WORKERS) tests/unit

# Every promise once: twelve minutes.
test: lint
	$(BIN)/python -m pytest --tier test $(WORKERS)

test-all: lint
	$(BIN)/python -m pytest --tier all $(WORKERS)

# The manual, into build/docs.
docs: .venv/installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

# Hours of kills, full disks and broken files; prints seeds and schedules (tests/chaos/README.md).
chaos: .venv/installed-dev
	VAE_SEARCH_CHAOS=1 $(BIN)/python -m pytest tests/chaos tests/unit/store/test_s3.py -s

# Clusters that lose their heads, share GPUs and are called back.
e2e: .venv/installed-dev
	VAE_SEARCH_E2E=1 $(BIN)/python -m pytest tests/integration tests/cluster -s

# Each prints its ratios and writes benchmarks/results/*.json. Let nothing else run on the machine meanwhile.
bench-speed: .venv/installed
	for trials in 12 48 96; do $(BIN)/python benchmarks/sweep_speed.py --trials $$trials --repeats 3 || exit 1; done

bench-service: .venv/installed-dev
	$(BIN)/python benchmarks/service.py

bench-kernel: .venv/installed
	$(BIN)/python benchmarks/kernel.py

bench-precision: .venv/installed
	$(BIN)/python benchmarks/precision.py

bench-conditional: .venv/installed
	$(BIN)/python benchmarks/conditional.py

bench-priors: .venv/installed
	$(BIN)/python benchmarks/priors.py

bench-fashion-priors: .venv/installed
	$(BIN)/python benchmarks/fashion_priors.py

bench-iwae: .venv/installed
	$(BIN)/python benchmarks/iwae_training.py

bench-families: .venv/installed
	$(BIN)/python benchmarks/families.py

bench-gan: .venv/installed
	$(BIN)/python benchmarks/gan_contrast.py

bench-memory: .venv/installed
	$(BIN)/python benchmarks/worker_memory.py

bench-data: .venv/installed
	$(BIN)/python benchmarks/large_data.py

bench-first-sweep: .venv/installed
	$(BIN)/python benchmarks/first_sweep.py

bench-rungs: .venv/installed
	$(BIN)/python benchmarks/rung_study.py

bench-rung-rules: .venv/installed
	$(BIN)/python benchmarks/rung_rules.py

bench-first-rung: .venv/installed
	$(BIN)/python benchmarks/first_rung.py

bench-target: .venv/installed
	$(BIN)/python benchmarks/time_to_target.py

bench-quality: .venv/installed
	$(BIN)/python benchmarks/fashion_quality.py

bench-planned: .venv/installed
	$(BIN)/python benchmarks/planned_half_hour.py

bench-planner: .venv/installed-dev
	$(BIN)/python benchmarks/planner_rules.py

bench-bits: .venv/installed
	$(BIN)/python benchmarks/fashion_bits.py

bench-champions: .venv/installed
	$(BIN)/python benchmarks/false_champions.py
	$(BIN)/python benchmarks/fashion_champion.py

bench-gates: .venv/installed
	$(BIN)/python benchmarks/gate_cases.py

bench-durability: .venv/installed
	$(BIN)/python benchmarks/durability.py

bench-bucket: .venv/installed
	$(BIN)/python benchmarks/bucket_latency.py

bench-scaling: .venv/installed
	$(BIN)/python benchmarks/scaling.py

bench-pareto: .venv/installed
	$(BIN)/python benchmarks/pareto_pruning.py

bench-clip: .venv/installed
	$(BIN)/python benchmarks/clipping.py

bench-best-epoch: .venv/installed
	$(BIN)/python benchmarks/best_epoch.py

bench-stability: .venv/installed
	$(BIN)/python benchmarks/stability_corpus.py
	$(BIN)/python benchmarks/stability_weight.py

bench-sampler: .venv/installed
	$(BIN)/python benchmarks/sampler_view.py
	$(BIN)/python benchmarks/surrogate_search.py

bench-warm: .venv/installed
	$(BIN)/python benchmarks/warm_start.py

bench-stop: .venv/installed
	$(BIN)/python benchmarks/gain_stop.py

bench-ranking: .venv/installed
	$(BIN)/python benchmarks/ranking_noise.py

bench-plots: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint requirements.lock --editable '.[bench]'
	$(BIN)/python benchmarks/plots.py

clean:
	rm -rf .venv vae-store build dist *.egg-info
