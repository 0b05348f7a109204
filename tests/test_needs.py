"""What COURSE_REQUIRE names ends the run where it is missing; without it, tests that need it are skipped."""

import needs
import pytest


@pytest.fixture(autouse=True)
def no_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(needs.MISSING, "sandbox", lambda: "")
    monkeypatch.setitem(needs.MISSING, "browser", lambda: "Chromium is not on this machine.")


def test_a_named_requirement_that_is_missing_ends_the_run():
    with pytest.raises(pytest.UsageError, match=r"asks for browser, .* Chromium is not on this machine\."):
        needs.require("sandbox,browser")


@pytest.mark.parametrize("names", ["", "sandbox"])
def test_without_a_missing_requirement_it_goes_on(names):
    needs.require(names)


def test_a_requirement_that_nobody_knows_is_refused():
    with pytest.raises(pytest.UsageError, match="knows sandbox, browser, postgres, hub, and no 'chrome'"):
        needs.require("chrome")
