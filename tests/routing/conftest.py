"""Comparisons that fail in the shared helpers are shown in full, as those of the tests are."""

import pytest

pytest.register_assert_rewrite("tests.routing.desk", "tests.routing.pair")
