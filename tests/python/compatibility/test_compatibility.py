# SPDX-License-Identifier: Apache-2.0
"""The compatibility page says what is true: probes see the same, or a difference that is declared."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import observing
import page


def test_every_public_name_has_a_probe_that_uses_it():
    assert list(page.check_claims()) == []


@pytest.mark.parametrize("name", observing.observed())
def test_a_probe_sees_the_same_or_a_declared_difference(name):
    assert list(page.check_probe(name)) == []


def test_the_page_is_what_the_probes_say():
    written = page.PAGE.read_text(encoding="utf-8")
    assert written == page.render(), "run make compatibility"
