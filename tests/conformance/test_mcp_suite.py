"""MCP's official conformance suite: with its fixtures everything that is scored passes, and without them all that is no fixture's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mcp_suite
import pytest
from integration_conftest import Service

REVISIONS = {"2025-11-25": 30, "2026-07-28": 37}  # how many scenarios are scored: the lists are frozen
BASELINE = Path(__file__).with_name("mcp-product.yml")


@pytest.fixture(scope="module")
def fixtures() -> Iterator[Any]:
    s = Service("server/auth=none", "mcp/fixtures=1")
    try:
        s.start()
        yield s
    finally:
        s.destroy()


@pytest.mark.parametrize("revision", REVISIONS)
def test_with_its_fixtures_every_scored_scenario_passes(fixtures: Any, revision: str) -> None:
    wanted = mcp_suite.scored(revision)
    assert len(wanted) == REVISIONS[revision]
    report = mcp_suite.run(fixtures.url, revision, "fixtures")
    assert wanted <= report.scenarios.keys(), wanted - report.scenarios.keys()
    faults = [fault for fault in report.faults() if fault.split()[1].rstrip(":") in wanted]
    assert (report.code, faults) == (0, []), report.text[-6000:]


@pytest.mark.parametrize("revision", REVISIONS)
def test_as_a_product_it_fails_where_it_has_no_fixtures_and_nowhere_else(open_service: Any, revision: str) -> None:
    report = mcp_suite.run(open_service.url, revision, "product", BASELINE)
    assert mcp_suite.scored(revision) <= report.scenarios.keys()
    assert report.code == 0, report.text[-6000:]


def test_fixtures_are_for_loopback_alone() -> None:
    s = Service("server/auth=none", "mcp/fixtures=1", "server/address=0.0.0.0")
    try:
        with pytest.raises(RuntimeError, match="mcp/fixtures|loopback"):
            s.start()
    finally:
        s.destroy()
