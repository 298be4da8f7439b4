from __future__ import annotations

import pytest

from kernelhub import Client, ConfigurationError
from kernelhub._settings import Settings, find_settings

FILE = "# left by serve\nurl=http://127.0.0.1:8123\ntoken = kh_file\nnew=1\n"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "kernelhub" / "token"
    path.parent.mkdir()
    path.write_text(FILE)
    return path


def test_arguments_win(file):
    environ = {"KERNELHUB_URL": "http://e", "KERNELHUB_TOKEN": "kh_e"}
    assert find_settings("http://a/", "kh_a", environ) == Settings("http://a", "kh_a")


def test_then_the_environment(file):
    environ = {"KERNELHUB_URL": "http://e:1/x/", "KERNELHUB_TOKEN": "kh_e"}
    assert find_settings(None, None, environ) == Settings("http://e:1/x", "kh_e")


def test_then_the_file_in_each_of_its_places(file, monkeypatch):
    found = Settings("http://127.0.0.1:8123", "kh_file")
    assert find_settings(None, None, {"KERNELHUB_TOKEN_FILE": str(file)}) == found
    assert find_settings(None, None, {"XDG_CONFIG_HOME": str(file.parent.parent)}) == found
    home = file.parent.parent
    (home / ".config").mkdir()
    file.parent.rename(home / ".config" / "kernelhub")
    monkeypatch.setenv("HOME", str(home))
    assert find_settings(None, None, {}) == found


def test_the_files_token_does_not_travel_to_another_service(file):
    environ = {"KERNELHUB_TOKEN_FILE": str(file), "KERNELHUB_URL": "http://elsewhere:8123"}
    with pytest.raises(ConfigurationError):
        find_settings(None, None, environ)
    environ["KERNELHUB_URL"] = "http://localhost:8123/"
    assert find_settings(None, None, environ).token == "kh_file"


def test_without_a_token_the_error_says_what_to_do(tmp_path):
    with pytest.raises(ConfigurationError) as caught:
        Client()
    for word in ("KERNELHUB_TOKEN", "kernelhub serve", str(tmp_path)):
        assert word in str(caught.value)


def test_an_empty_token_is_for_a_service_that_asks_for_none(tmp_path):
    assert find_settings(None, "", {"XDG_CONFIG_HOME": str(tmp_path)}) == Settings("http://127.0.0.1:8080", "")


@pytest.mark.parametrize("url", ["127.0.0.1:8080", "ftp://x", "http://", "http://x:99999", "x"])
def test_a_bad_address_is_named(url):
    with pytest.raises(ConfigurationError, match="not an address"):
        find_settings(url, "kh_x", {})


@pytest.mark.parametrize("token", ["kh_\n", "kh_ä"])
def test_a_token_that_no_header_carries_is_refused(token):
    with pytest.raises(ConfigurationError):
        find_settings("http://x", token, {})
