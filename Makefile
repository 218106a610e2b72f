# Everything a developer does here, on a machine that has a Rust toolchain, make and Python >= 3.10.
# The targets make their own virtual environment; nothing is installed outside this directory.
#
#   make test PYTHON=python3.13 VENV=.venv-3.13     another Python, in an environment of its own

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:

PYTHON ?=
VENV ?= .venv
# quick: not optimised over all crates, which takes minutes for a few percent; release: as users have it.
PROFILE ?= quick
PYTEST_ARGS ?=
PYTEST_WORKERS ?= auto
BENCH_ARGS ?=
TORTURE_KILLS ?= 1000
TORTURE_ARGS ?=
FUZZ_CASES ?= 20000
FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?= json_line gzip_blocks gzip_member anomalies_split fast_path partial_state scan_split redact

# What the caller has set for other Pythons, installs and traces must not reach into ours.
unexport PYTHONPATH PYTHONHOME PYTHONSTARTUP PYTHONSAFEPATH PYTHONOPTIMIZE PYTHONWARNINGS
unexport PYTHONUNBUFFERED PYTHONDONTWRITEBYTECODE
unexport VIRTUAL_ENV PIP_USER PIP_TARGET PIP_PREFIX PIP_REQUIRE_VIRTUALENV
unexport INSPECT_TRACE_DIR INSPECT_TRACE_FILE INSPECT_TRACE_LEVEL INSPECT_TRACE_RUN INSPECT_TRACE_REDACT
unexport INSPECT_TRACE_ENGINE INSPECT_TRACE_STALL_S INSPECT_TRACE_ARCHIVE
export PIP_DISABLE_PIP_VERSION_CHECK := 1

BIN := $(abspath $(VENV))/bin
PIP := $(BIN)/python -m pip --quiet
# Cargo builds the binding for this Python, in whatever command: one build serves them all.
export PYO3_PYTHON := $(BIN)/python

# Files of tests side by side, those with most tests first; PYTEST_WORKERS=0: in this process.
ON_ALL_CORES := --numprocesses $(PYTEST_WORKERS) --maxprocesses 4 --dist loadfile

# What has been done, and has not to be done again until what it stands on changes.
MADE := $(VENV)/.made
# There is one wheel, of one profile.
WHEEL := $(VENV)/.wheel-$(PROFILE)
INSTALLED := $(VENV)/.installed-$(PROFILE)
READY := $(VENV)/.ready-$(PROFILE)
DOCS_READY := $(VENV)/.docs-ready

SOURCES := Cargo.toml Cargo.lock pyproject.toml README.md LICENSE \
	$(shell find rust python -type f \
		\( -name '*.rs' -o -name '*.toml' -o -name '*.py' -o -name '*.pyi' -o -name py.typed \
		-o -name '*.js' -o -name '*.css' -o -name '*.html' \) \
		-not -path '*/target/*' 2>/dev/null)

.PHONY: help
help: ## Show this help
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' \
		$(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: $(INSTALLED) ## See it work: a traced program hangs, is killed, and its log tells where
	@$(BIN)/python examples/demo.py

.PHONY: test
test: $(READY) ## Run all tests: the core's without Python, then Python's on the installed wheel
	cargo test --locked --workspace
	$(BIN)/python -m pytest $(ON_ALL_CORES) $(PYTEST_ARGS)

.PHONY: browser
browser: ## Install the browser that tests the page of timeline, if that is possible (apt-get)
	@scripts/install-browser

.PHONY: test-engine
test-engine: $(READY) ## Test inside the other versions of inspect_ai in tests/engine/versions.txt
	scripts/test-engine $(BIN)/python $(VENV)/wheel $(abspath $(VENV))-engine $(ON_ALL_CORES)

.PHONY: test-litellm
test-litellm: $(INSTALLED) ## Test the source of litellm, in an environment of its own
	scripts/test-litellm $(BIN)/python $(VENV)/wheel $(abspath $(VENV))-litellm

.PHONY: test-ray
test-ray: $(INSTALLED) ## Test `--engine ray`, in an environment of its own
	scripts/test-ray $(BIN)/python $(VENV)/wheel $(abspath $(VENV))-ray

.PHONY: torture
torture: $(INSTALLED) ## Kill tracing programs TORTURE_KILLS=1000 times: is a record lost?
	cd tests && $(BIN)/python -m torture --kills $(TORTURE_KILLS) $(TORTURE_ARGS)
	cd tests && $(BIN)/python -m torture.crowd --kills $$((3 * $(TORTURE_KILLS)))
	cd tests && $(BIN)/python -m torture.crowd --kills $$((3 * $(TORTURE_KILLS))) --inherit

.PHONY: lint
lint: $(READY) ## Check format, lints and types, in Rust and in Python
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.PHONY: bench
bench: ## Measure against yardsticks and the reference, results to benches/README.md
	@$(MAKE) --no-print-directory PROFILE=release $(VENV)/.ready-release
	cargo bench --locked -p inspect-trace-core --bench core -- --quiet
	$(BIN)/python benches/run.py $(BENCH_ARGS)

.PHONY: bench-smoke
bench-smoke: $(READY) ## Run every bench once on a tiny log: does it run at all?
	$(BIN)/python benches/run.py --smoke
	cargo test --quiet --locked -p inspect-trace-core --bench core

.PHONY: docs
docs: $(DOCS_READY) ## Build the documentation into site/, warnings being errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

.PHONY: fuzz
fuzz: ## Fuzz every parser for FUZZ_SECONDS=60 each (needs cargo-fuzz: cargo install cargo-fuzz)
	@cargo fuzz --version >/dev/null || \
		{ echo "make fuzz: cargo-fuzz is missing: cargo install cargo-fuzz --locked" >&2; exit 1; }
	cd rust/fuzz && for target in $(FUZZ_TARGETS); do \
		mkdir -p corpus/$$target; \
		if [ -f seeds/$$target.tar.gz ]; then \
			tar -xzf seeds/$$target.tar.gz -C corpus/$$target || exit 1; \
		fi; \
		RUSTC_BOOTSTRAP=1 cargo fuzz run --fuzz-dir . --sanitizer none $$target -- \
			-dict=log.dict -max_total_time=$(FUZZ_SECONDS) || exit 1; \
	done

.PHONY: property-long
property-long: $(MADE) ## Run the core's property tests long (FUZZ_CASES=20000 cases each)
	PROPTEST_CASES=$(FUZZ_CASES) cargo test --locked --release -p inspect-trace-core

.PHONY: clean
clean: ## Remove everything that was made here
	rm -rf $(VENV) $(VENV)-engine $(VENV)-litellm $(VENV)-ray dist site target .mypy_cache .pytest_cache .ruff_cache .hypothesis benches/data

$(MADE): scripts/find-python
	rm -rf $(VENV)
	python=$$(scripts/find-python "$(PYTHON)") && "$$python" -m venv $(VENV)
	$(PIP) install --upgrade 'pip>=25.1' 'maturin>=1.9.4,<2'
	touch $@

$(WHEEL): $(MADE) $(SOURCES)
	rm -rf $(VENV)/wheel $(VENV)/.wheel-*
	$(BIN)/maturin build --quiet --profile $(PROFILE) --locked --interpreter $(BIN)/python \
		--out $(VENV)/wheel
	touch $@

$(INSTALLED): $(WHEEL)
	rm -f $(VENV)/.installed-* $(VENV)/.ready-*
	$(PIP) install $(VENV)/wheel/*.whl
	$(PIP) install --force-reinstall --no-deps $(VENV)/wheel/*.whl
	touch $@

# inspect_ai brings a script `inspect` of its own: ours has to be laid over it, so it comes last.
$(READY): $(INSTALLED)
	$(PIP) install --group dev
	$(PIP) install --force-reinstall --no-deps $(VENV)/wheel/*.whl
	touch $@

$(DOCS_READY): $(INSTALLED)
	$(PIP) install --group docs
	touch $@
