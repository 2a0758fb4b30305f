"""End-to-end tests on LocalStack: `make localstack-test`."""
