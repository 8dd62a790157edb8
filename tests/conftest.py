"""Fixtures by name: see `tests/fixtures/`."""

pytest_plugins = ["tests.fixtures.sshd", "tests.fixtures.redis", "tests.fixtures.stack"]
