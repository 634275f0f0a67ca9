# Two commands do everything: `make demo` and `make test`. Stamps make a second call instant.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: demo test test-s3 lint bench bench-query bench-library bench-civitai bench-publish bench-train bench-generate bench-curves bench-sync clean

demo: $(STAMP)
	$(BIN)/hubman demo

test: $(STAMP) lint
	$(BIN)/python -m pytest -n 3 --dist worksteal

test-s3: $(STAMP)
	PYTHON=$(BIN)/python scripts/test-s3.sh

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP)
	$(BIN)/python benchmarks/start.py
	$(BIN)/python benchmarks/tui_start.py

bench-query: $(STAMP)
	$(BIN)/python benchmarks/library_query.py

bench-library: $(STAMP)
	$(BIN)/python benchmarks/library.py

bench-civitai: $(STAMP)
	$(BIN)/python benchmarks/parts.py civitai

bench-publish: $(STAMP)
	$(BIN)/python benchmarks/parts.py publish

bench-train: $(STAMP)
	$(BIN)/python benchmarks/train.py
	$(BIN)/python benchmarks/train_kills.py

bench-generate: $(STAMP)
	$(BIN)/python benchmarks/generate.py
	$(BIN)/python benchmarks/fingerprints.py

bench-curves: $(STAMP)
	$(BIN)/python benchmarks/curves.py
	$(BIN)/python benchmarks/conflicts.py

bench-sync: $(STAMP)
	$(BIN)/python benchmarks/parts.py sync

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[ml,dev]'
	touch $(STAMP)

clean:
	rm -rf $(VENV)
