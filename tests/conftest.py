"""Fixtures that every suite may ask for."""

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.servers.azurite", "tests.servers.dovecot"]

# The shared suites assert outside of test files, where pytest would not explain a failure.
pytest.register_assert_rewrite("tests.contract.mailbox", "tests.contract.storage", "tests.contract.target")

# A busy machine makes no test fail: what counts is what was found, not how soon.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
