# dynbuild: `make demo` and `make test` do all of their own set-up.

VENV  := .venv
PY    := $(VENV)/bin/python
RUN   := $(VENV)/bin/dynbuild
STAMP := $(VENV)/.installed
PYTHON ?= python3
EMULATED := tests/images/test_platforms.py
# Commands are tested and measured as users have them: without bytecode each takes half as long again.
unexport PYTHONDONTWRITEBYTECODE

# A disk that is too full is told of before anything is downloaded.
.NOTPARALLEL:
.PHONY: help demo test emulated tries cuda proof ready fast fuzz page check fix render generate bench clean

help: ## Show the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

# The tools are pinned in requirements.lock (made by: make lock).
$(STAMP): pyproject.toml requirements.lock
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

demo: $(STAMP) ## Build the runtime image for real, run it, ask it something
	$(RUN) engine up --if-needed
	$(RUN) engine base --suite trixie
	$(RUN) build --config examples/demo/dynbuild.toml --context examples/demo
	$(RUN) run --image dynamo-demo:latest-none-runtime-cpu-index --gpus none --network none \
		-v $(CURDIR)/examples/demo:/demo:ro -- python /demo/serve.py ask

test: ready check ## Lint, types, drift; the quick tests; then real builds on a real engine
	@$(PY) -m pytest -n auto -m "not engine"
	@$(PY) -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m engine tests/engine tests/images \
		--ignore $(EMULATED)

# Emulation makes a build of minutes one of a quarter of an hour.
emulated: ready $(STAMP) ## Build for the architecture that this machine is not
	@$(PY) -m pytest -n 0 -m engine $(EMULATED)

tries: ready $(STAMP) ## Kill a push 20 times; fill an empty engine from a registry 20 times; 300 cells
	@TRIES=20 CELLS=300 $(PY) -m pytest -n 0 -m engine tests/images/own_engine/test_matrix.py \
		tests/images/test_registry_cache.py -k "killed or whole_matrix or hundreds"

cuda: ready $(STAMP) ## More of CUDA than the tests have time for: the bases of CUDA 12.4 and 13.0
	@$(PY) -m pytest -n 0 -m engine tests/cuda

proof: $(STAMP) ## Build real vLLM and SGLang images from the package index and look at each (15 GB, 45 min)
	@$(PYTHON) tests/ready.py proof
	@$(PY) -m pytest -n 0 -s -m engine tests/proof

ready:
	@$(PYTHON) tests/ready.py

fast: $(STAMP) ## Only the tests that need no engine
	@$(PY) -m pytest -n auto -m "not engine"

fuzz: $(STAMP) ## Try ten thousand odd inputs: command lines, settings, records, git, exports
	@$(PY) -m tests.fuzz

page: $(STAMP) ## Try the report's page in Chromium; screenshots go to .page/
	@command -v chromium >/dev/null || apt-get install --yes --no-install-recommends chromium
	@$(PY) -m pip install --quiet --disable-pip-version-check --requirement tests/browser/requirements.txt
	@$(PY) -m pytest -n 0 tests/browser/page_in_chromium.py

check: $(STAMP) ## Lint, types, drift of generated files
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(PY) dockerfiles/generate.py --check

fix: $(STAMP) ## Format and mend what can be mended
	@$(VENV)/bin/ruff check --fix .
	@$(VENV)/bin/ruff format .

render: generate
generate: $(STAMP) ## Write dockerfiles/ and docs/plan.schema.json anew
	@$(PY) dockerfiles/generate.py

bench: $(STAMP) ## Measure: ratios side by side in one run; with ONLY=cells that alone
	@$(PY) bench/bench.py $(ONLY)

lock: ## Pin the tools anew
	@$(PYTHON) -m venv $(VENV)
	@$(PY) -m pip install --quiet --upgrade uv
	@$(VENV)/bin/uv pip compile --quiet --no-header --no-emit-index-url --no-annotate \
		--python-version 3.11 --universal --group dev --output-file requirements.lock pyproject.toml

clean: ## End the private engine, unless others use it; remove the virtual environment and records
	@test ! -x $(RUN) || $(RUN) engine down --if-unused
	@rm -rf $(VENV) .dynbuild .mypy_cache .pytest_cache .ruff_cache .hypothesis
