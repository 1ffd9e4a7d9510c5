# make demo   the whole chain on this machine, from made-up scenes to a published damage map
# make test   proves it;  make check  style, types, layers;  make lock  renews requirements.lock
PYTHON ?= python3.11
DATA ?=
VENV := .venv
INSTALLED := $(VENV)/.installed

.PHONY: demo test check lock setup clean
.DEFAULT_GOAL := demo

setup: $(INSTALLED)

$(INSTALLED): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) not found; name yours: make PYTHON=…/python3.11"; exit 1; }
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(INSTALLED)
	@$(VENV)/bin/siamese demo $(if $(DATA),--data $(DATA))

test: $(INSTALLED)
	@OMP_WAIT_POLICY=PASSIVE $(VENV)/bin/python -m pytest

check: $(INSTALLED)
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports
	@$(VENV)/bin/siamese stages --check

lock: $(INSTALLED)
	$(VENV)/bin/python -m pip install --quiet pip-tools
	$(VENV)/bin/pip-compile --quiet --extra dev --extra imagenet --extra int8 --generate-hashes --allow-unsafe --strip-extras \
	  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-header -o requirements.lock pyproject.toml

clean:
	@test ! -x $(VENV)/bin/siamese || $(VENV)/bin/siamese down
	rm -rf $(VENV) .siamese data
