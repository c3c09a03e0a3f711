"""Fixtures that every suite may ask for."""

import pytest

pytest_plugins = ["tests.servers.azurite", "tests.servers.dovecot"]

# The shared suites assert outside of test files, where pytest would not explain a failure.
pytest.register_assert_rewrite("tests.contract.mailbox", "tests.contract.storage", "tests.contract.target")
