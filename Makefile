# Everything a fresh machine needs after Python >= 3.11, Rust, Node >= 20 and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := build/uv/bin/uv
ARGS ?=
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

.PHONY: help setup demo examples page up docs test test-page test-rust test-unit test-contracts test-e2e test-flower check bench bench-bytes bench-round bench-proofs bench-pay bench-theft bench-rows bench-load bench-train gpu-check
.PHONY: clients wheel try-wheel docs-site screenshots test-faults test-hostile test-invariants test-invariants-nightly test-symbolic fuzz fuzz-rust slither sbom advisories format lock artifacts clean

help: ## what there is to make
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

setup: $(VENV)/.ready node_modules/.ready ## install everything below this folder

demo: setup ## a whole job, from escrow to audited payout; ARGS="--json FILE --rule krum-cosine ..."
	$(BIN)/merit demo $(ARGS)

page: frontend/dist/index.html ## build the page that `merit up` serves

up: setup page ## a whole market on this machine, with its page; ARGS="--port 8080"
	$(BIN)/merit up $(ARGS)

# What files are dated by: the same commit gives the same sdist, byte for byte, whoever builds it and where.
EPOCH := $(or $(SOURCE_DATE_EPOCH),$(shell git log -1 --format=%ct 2>/dev/null),315532800)

wheel: page ## build/dist: a wheel that needs neither Rust nor Node nor make, and its sdist
	rm -rf build/dist
	SOURCE_DATE_EPOCH=$(EPOCH) CARGO_TARGET_DIR=$(CURDIR)/build/wheel MATURIN_PEP517_ARGS="--compatibility pypi" \
	RUSTFLAGS="--remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)=cargo" $(UV) build -q --out-dir build/dist

try-wheel: wheel ## install it where neither Rust nor Node is, and play the demo; ARGS="--python python3.13"
	UV=$(CURDIR)/$(UV) scripts/same-sdist build/dist
	UV=$(CURDIR)/$(UV) scripts/try-wheel build/dist $(ARGS)

PAGES_OF_SOURCES := job_file_docs policy_docs command_line_docs api_docs contract_docs error_docs notebook

test: test-unit ## every test
	$(MAKE) -j 2 --output-sync=target test-rust test-contracts test-page test-invariants # each leaves a core idle at times
	$(MAKE) test-e2e

# A file's tests share its chains and jobs, so they stay with one of the two processes.
PYTEST := $(BIN)/pytest -q -n 2 --dist loadfile --no-loadscope-reorder

test-unit: setup
	$(PYTEST) tests/unit tests/soundness

test-rust:
	@echo "Compiling and testing the proof core (minutes the first time) ..."
	cd zk/core && MAKEFLAGS= cargo test -q --release --no-default-features --workspace

test-contracts: setup .venv-brownie/.ready
	SOLCX_BINARY_PATH=scripts/solc .venv-brownie/bin/brownie compile # once, before two workers would
	SOLCX_BINARY_PATH=scripts/solc .venv-brownie/bin/python -m pytest -c tests/contracts/pytest.ini -q tests/contracts

test-invariants: setup ## random lives of jobs against the market's rules
	rm -f build/forge/reach.txt
	forge test
	$(BIN)/python -m tests.invariants.reach

test-invariants-nightly: setup ## a million calls, broken contracts, and proofs; SEED=0x... for other calls
	rm -f build/forge/reach.txt
	FOUNDRY_PROFILE=nightly forge test $(if $(SEED),--fuzz-seed $(SEED))
	$(BIN)/python -m tests.invariants.reach
	$(BIN)/python -m tests.invariants.mutate
	$(MAKE) test-symbolic

test-symbolic: setup build/symbolic/venv/.ready ## what claims do to money, for all values at once
	$(BIN)/python -m scripts.symbolic $(ARGS)

test-flower: setup .venv-flower/.ready ## a trainer's own training by Flower, in Flower's environment
	.venv-flower/bin/python -m pytest -q tests/unit/test_own_training.py

test-page: page
	cd frontend && npm run -s check

test-e2e: setup page
	$(PYTEST) tests/faults tests/hostile tests/e2e

test-hostile: setup ## 2,000 hostile descriptions against real nodes; ARGS="--descriptions 2000 --seed 1 --minutes 25"
	$(BIN)/python -m tests.hostile.campaign $(ARGS)

test-faults: setup ## 200 seeded runs with faults; ARGS="--runs 200 --seed 1 --minutes 20"
	$(BIN)/python -m tests.faults.campaign $(ARGS)

check: setup ## types, style, import arrows, artifacts against sources
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m marketplace.chain.compile --check
	@for page in $(PAGES_OF_SOURCES); do $(BIN)/python -m scripts.$$page --check || exit 1; done
	$(BIN)/python -m mypy.stubtest zk._core --ignore-missing-stub
	cd zk/core && cargo fmt --check && cargo clippy -q --workspace --all-targets -- -D warnings
	forge fmt --check contracts tests/invariants tests/symbolic
	solhint --disc --max-warnings 0 'contracts/**/*.sol' 'tests/invariants/**/*.sol' 'tests/symbolic/**/*.sol'
	$(BIN)/python -m scripts.sbom --check
	$(BIN)/python -m tests.soundness.mutate --sample 4 --seed 7

fuzz: setup ## every decoder under atheris; ARGS="--seconds 60"
	$(BIN)/python -m tests.fuzz.run --target all --seed 7 $(ARGS)

fuzz-rust: ## the core's readers under libFuzzer (cargo install --locked cargo-fuzz)
	cd zk/core && for t in encoding openings srs ptau key; do cargo fuzz run -s none $$t -- -max_total_time=60 -seed=7 -max_len=512 -timeout=60 || exit 1; done

sbom: setup .venv-audit/.ready ## CycloneDX lists in build/sbom/ (Rust: cargo install --locked cargo-cyclonedx)
	$(BIN)/python -m scripts.sbom

slither: setup build/slither/venv/.ready ## Slither's findings against docs/security/slither.md
	$(BIN)/python -m scripts.slither

advisories: setup .venv-audit/.ready ## known holes in what is used; ARGS=--require
	$(BIN)/python -m scripts.advisories $(ARGS)

examples: setup .venv-flower/.ready ## every example as a whole job, beside training on all data; ARGS="--only digits --json FILE"
	$(BIN)/python -m examples.run $(ARGS)

bench: setup ## the Gram matrix, with time and bytes
	$(BIN)/python -m benches.gram

bench-bytes: setup ## accuracy by the bytes that travel in a round; ARGS="--seeds 5 --million --json FILE"
	$(BIN)/python -m benches.bytes $(ARGS)

bench-round: setup $(if $(findstring --flower,$(ARGS)),.venv-flower/.ready) ## whole rounds, beside Flower's; ARGS="--flower --json FILE"
	$(BIN)/python -m benches.round $(ARGS)

bench-proofs: setup ## commitments and Gram proofs; ARGS="--d 1048576 --n 16 --chunk 131072 --json FILE"
	$(BIN)/python -m benches.proofs $(ARGS)

bench-pay: setup ## pay against exact Shapley values, and under attacks; ARGS="--seeds 5 --models mlp cnn --json FILE"
	$(BIN)/python -m benches.pay $(ARGS)

bench-theft: setup ## what coalitions of owner, aggregator and trainers can take; ARGS="--seeds 3 --data digits --json FILE"
	$(BIN)/python -m benches.theft $(ARGS)

bench-rows: setup ## how far reference rows of other machines are apart; ARGS="--python OTHER/bin/python --json FILE"
	$(BIN)/python -m benches.rows $(ARGS)

bench-load: setup ## a node with 500 trainers, an aggregator with 32 of 2^20 parameters, memory; ARGS="node --minutes 60"
	$(BIN)/python -m benches.load $(ARGS)

bench-train: setup ## samples a second of a round against a plain loop and the best one; ARGS="--cases cnn --json FILE"
	$(BIN)/python -m benches.train $(ARGS)

gpu-check: setup ## what only a CUDA device shows, in less than 8 minutes; ARGS="--json FILE"
	timeout 180 $(BIN)/pytest -q tests/gpu
	timeout 300 $(BIN)/python -m benches.train --full $(ARGS)

clients: setup ## programs of others against a real market: a generated TypeScript client, an index by Ponder
	cd examples/clients/typescript && npm install --no-save --no-fund --no-audit --ignore-scripts --loglevel=error
	cd contrib/ponder && npm install --no-save --no-fund --no-audit --ignore-scripts --loglevel=error
	$(BIN)/pytest -q tests/e2e/test_clients.py

format: setup ## rewrite the sources in the house style
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .
	forge fmt contracts tests/invariants tests/symbolic
	cd zk/core && cargo fmt

screenshots: setup page ## make docs/images again
	$(BIN)/python -m scripts.screenshots

docs: setup ## write the pages that are made from the sources
	@for page in $(PAGES_OF_SOURCES); do $(BIN)/python -m scripts.$$page || exit 1; done

docs-site: .venv-docs/.ready ## build the documentation in docs/dist, which a node serves under /docs
	rm -rf docs/dist
	.venv-docs/bin/sphinx-build -q -W --keep-going -d build/site docs docs/dist
	.venv-docs/bin/python -m scripts.docs_site

artifacts: setup ## compile the contracts
	@echo "Compiling the contracts (half a minute) ..."
	$(BIN)/python -m marketplace.chain.compile

lock: $(UV) ## resolve the dependencies again
	$(UV) pip compile -q --python-version 3.11 --generate-hashes --no-emit-index-url --group dev --extra text --extra vision pyproject.toml -o requirements.lock
	$(UV) pip compile -q --python-version 3.11 --generate-hashes --no-emit-index-url --group brownie -o requirements-brownie.lock
	$(UV) pip compile -q --python-version 3.11 --generate-hashes --no-emit-index-url --group audit -o requirements-audit.lock
	$(UV) pip compile -q --python-version 3.11 --generate-hashes --no-emit-index-url --group flower pyproject.toml -o requirements-flower.lock
	$(UV) pip compile -q --python-version 3.11 --generate-hashes --no-emit-index-url --group docs -o requirements-docs.lock
	echo slither-analyzer==0.11.6 | $(UV) pip compile -q --python-version 3.11 --generate-hashes --no-emit-index-url - -o requirements-slither.lock
	echo halmos==0.3.3 | $(UV) pip compile -q --python-version 3.11 --generate-hashes --no-emit-index-url - -o requirements-symbolic.lock

clean: ## remove what was installed and built
	rm -rf $(VENV) .venv-brownie .venv-audit .venv-flower .venv-docs node_modules build docs/dist

$(UV):
	$(PYTHON) -m venv build/uv
	build/uv/bin/python -m pip install -q --disable-pip-version-check uv==0.13.8

PAGE := $(shell find frontend/src frontend/scripts frontend/public frontend/viewer frontend/index.html frontend/vite.config.ts -path '*/generated' -prune -o -type f -print)
CORE := $(shell find zk/core \( -name target -o -name fuzz \) -prune -o -type f -print)

$(VENV)/.ready: requirements.lock pyproject.toml $(CORE) | $(UV)
	@echo "Installing Python packages (6 GB, most of it PyTorch) and compiling the proof core (two minutes the first time) ..."
	$(UV) venv -q --allow-existing --python $(PYTHON) $(VENV)
	$(UV) pip sync -q --compile-bytecode --python $(BIN)/python requirements.lock
	$(UV) pip install -q --python $(BIN)/python --no-deps -e .
	touch $@

.venv-brownie/.ready: requirements-brownie.lock | $(UV)
	$(UV) venv -q --allow-existing --python $(PYTHON) .venv-brownie
	$(UV) pip sync -q --compile-bytecode --python .venv-brownie/bin/python requirements-brownie.lock
	touch $@

build/slither/venv/.ready: requirements-slither.lock | $(UV)
	$(UV) venv -q --allow-existing --python $(PYTHON) build/slither/venv
	$(UV) pip sync -q --python build/slither/venv/bin/python requirements-slither.lock
	touch $@

build/symbolic/venv/.ready: requirements-symbolic.lock | $(UV)
	$(UV) venv -q --allow-existing --python $(PYTHON) build/symbolic/venv
	$(UV) pip sync -q --python build/symbolic/venv/bin/python requirements-symbolic.lock
	touch $@

.venv-flower/.ready: requirements-flower.lock $(VENV)/.ready | $(UV)
	@echo "Installing Flower beside what Merit needs (6 GB) ..."
	$(UV) venv -q --allow-existing --python $(PYTHON) .venv-flower
	$(UV) pip sync -q --compile-bytecode --python .venv-flower/bin/python requirements-flower.lock
	touch $@

.venv-docs/.ready: requirements-docs.lock | $(UV)
	$(UV) venv -q --allow-existing --python $(PYTHON) .venv-docs
	$(UV) pip sync -q --compile-bytecode --python .venv-docs/bin/python requirements-docs.lock
	touch $@

.venv-audit/.ready: requirements-audit.lock | $(UV)
	$(UV) venv -q --allow-existing --python $(PYTHON) .venv-audit
	$(UV) pip sync -q --compile-bytecode --python .venv-audit/bin/python requirements-audit.lock
	touch $@

frontend/node_modules/.ready: frontend/package.json frontend/package-lock.json
	@echo "Installing what the page is built with from npm ..."
	cd frontend && npm install --no-save --no-fund --no-audit --loglevel=error
	touch $@

frontend/dist/index.html: $(VENV)/.ready frontend/node_modules/.ready $(PAGE)
	@echo "Building the page (ten seconds) ..."
	cd frontend && npm run -s build
	touch $@

node_modules/.ready: package.json package-lock.json
	@echo "Installing the chain (Anvil, Ganache) and the contracts' compiler from npm ..."
	npm install --no-save --no-fund --no-audit --loglevel=error # not ci: some mirrors lack other systems' anvil
	touch $@
