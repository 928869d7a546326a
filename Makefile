# The commands of this project; the README's two are `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test install lint clean

# Ray's and TensorFlow's wheels decide which Python works: 3.11 is what requirements.lock was resolved on.
.venv/installed: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint requirements.lock --editable .
	touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint requirements.lock --editable '.[dev]'
	touch $@

install: .venv/installed

demo: .venv/installed
	$(BIN)/vae-search run search_spaces/digits.yaml
	$(BIN)/vae-search best digits
	$(BIN)/vae-search sample digits -o digits-samples.png

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest

clean:
	rm -rf .venv vae-store build dist *.egg-info
