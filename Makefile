# Two commands for everybody: `make run` (watch the note's Pod fall ill and heal), `make test`.
# Each sets up what it needs; scripts/ holds how.

VENV := .venv
BIN := $(VENV)/bin
FOR ?= 100s
SEEDS ?= 2000

.PHONY: run test check bench fuzz clean
.DEFAULT_GOAL := help

help:
	@echo "make run     the field note's Pod on this machine, seen healing itself (FOR=100s)"
	@echo "make test    all tests, real components included"
	@echo "make check   types, lint, layers"
	@echo "make fuzz    faults by dice, many lives (SEEDS=2000)"
	@echo "make bench   measurements, one JSON line each"

run: $(VENV)/.ready-run
	@scripts/system-packages run
	@$(BIN)/podward run examples/01-liveness/pod.yaml --for $(FOR)

test: $(VENV)/.ready-dev
	@scripts/system-packages test
	$(BIN)/pytest

check: $(VENV)/.ready-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	$(BIN)/mypy

fuzz: $(VENV)/.ready-dev
	PODWARD_FUZZ_SEEDS=$(SEEDS) $(BIN)/pytest -q tests/simulate/test_faults.py

bench: $(VENV)/.ready-dev
	@scripts/system-packages run
	@for file in benchmarks/bench_*.py; do $(BIN)/python $$file || exit 1; done

$(VENV)/.ready-run: pyproject.toml scripts/virtualenv
	@scripts/virtualenv $(VENV)
	@touch $@

$(VENV)/.ready-dev: pyproject.toml scripts/virtualenv
	@scripts/virtualenv $(VENV) dev
	@touch $@ $(VENV)/.ready-run

clean:
	rm -rf $(VENV) .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis
