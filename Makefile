# Everything a developer or a curious visitor types. Needs git, make and Python 3.11 or newer with its venv module.

BIN := .venv/bin
READY := .venv/.ready
PROVABLE := .venv/.provable
# djlint: J018 is Flask's url_for; H023 forbids the entities that keep invisible characters visible in mail templates.
NOT_OURS := J018,H023
# Tests wait for servers and paces about as long as they work: two at once for each core.
WORKERS := $(shell echo $$(($$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2) * 2)))

.DEFAULT_GOAL := help
.PHONY: help setup demo up test proof night reliability check words bench clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r what why; do printf '%-18s %s\n' "$$what" "$$why"; done

setup: $(READY) ## install the locked versions into .venv/ (the others do it by themselves)

$(READY): requirements/dev.lock pyproject.toml .ci/setup
	@.ci/setup

$(PROVABLE): $(READY) requirements/proof.lock
	@.ci/setup proof

demo: $(READY) ## see it work: a digest, an alert, an unsubscribe (ONCE=1 ends by itself)
	@$(BIN)/newsletter demo $(if $(ONCE),--once)

up: $(READY) ## run everything on this machine until Ctrl-C
	@$(BIN)/newsletter up

test: $(READY) ## run the tests, in parallel, against real servers (ARGS="-k word" for some)
	@$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

proof: $(PROVABLE) ## run the long proofs (SHORT=1 the short ones)
	@$(BIN)/python -m pytest -m "$(if $(SHORT),proof and short,proof)" --timeout 1500 $(ARGS)

reliability: $(READY) ## break everything and audit the books, an hour (SEED=7 ONLY=kills ARGS="-k storm")
	@SEED=$(SEED) timeout --kill-after=60 5400 $(BIN)/python -m pytest -m "proof and not short" --timeout 1500 \
		$(if $(ONLY),tests/reliability/test_$(ONLY).py,tests/reliability) $(ARGS)

night: $(READY) ## live through an emergency night on this machine and print a page about it (SEED=7 OUT=page.txt)
	@SEED=$(SEED) timeout --kill-after=60 1200 $(BIN)/python -m tests.night $(if $(OUT),--out $(OUT))

check: $(READY) ## format, lint, types, layers, templates, examples of the documents, catalogues
	@$(BIN)/ruff format --check --quiet . || { echo "Some files are not formatted: $(BIN)/ruff format ." >&2; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports
	@if [ -d templates ]; then $(BIN)/djlint templates --lint --quiet --profile jinja --ignore $(NOT_OURS); fi
	@for asked in tests/test_docs.py tests/test_catalogues.py; do \
		$(BIN)/python -m pytest $$asked -p no:cacheprovider >/dev/null || $(BIN)/python -m pytest $$asked || exit 1; done

words: $(READY) ## bring the catalogues of every language up to the English (docs/translating.md)
	@$(BIN)/python -m tests.catalogues

bench: $(READY) ## measure; benchmarks/README.md says what and how
	@$(BIN)/python -m benchmarks $(ARGS)

bench-sending: $(READY) ## measure sending beside its rivals (PARTS="wire dkim", ARGS="--rounds 3"); an hour
	@$(BIN)/python -m benchmarks $(or $(PARTS),sending) $(ARGS)

clean: ## remove what was installed or cached here; never data, never keys
	@rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
