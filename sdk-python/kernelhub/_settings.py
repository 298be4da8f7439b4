"""Where the service is and who we are: arguments, environment, `kernelhub serve`'s token file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from .errors import ConfigurationError

DEFAULT_URL = "http://127.0.0.1:8080"
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Settings:
    """url without a slash at its end; token "" for a service that asks for none."""

    url: str
    token: str

    @property
    def is_local(self) -> bool:
        return urlsplit(self.url).hostname in LOOPBACK


def find_settings(
    url: str | None, token: str | None, environ: Mapping[str, str] | None = None
) -> Settings:
    """Each of the two from the argument, else the environment, else the token file.

    A token from the file is only ever used with the service that the file names: it shall not
    travel to another host because KERNELHUB_URL points there.
    """
    environ = os.environ if environ is None else environ
    url = url or environ.get("KERNELHUB_URL") or None
    if token is None:
        token = environ.get("KERNELHUB_TOKEN") or None
    path = token_file(environ)
    stored: dict[str, str] = {}
    if url is None or token is None:
        stored = read_token_file(path)
    stored_url = stored.get("url", DEFAULT_URL)
    if token is None and stored.get("token") and (url is None or _same_service(url, stored_url)):
        token = stored["token"]
    url = _checked_url(url or stored_url)
    if token is None:
        raise ConfigurationError(
            f"no token for {url}",
            hint="set KERNELHUB_TOKEN, or pass Client(token=...), or start `kernelhub serve` as "
            f"this user, which leaves one in {path}. For a service started with --auth none "
            'pass token="".',
        )
    if not token.isascii() or not token.isprintable():
        raise ConfigurationError("the token has characters that no HTTP header can carry")
    return Settings(url, token)


def token_file(environ: Mapping[str, str]) -> Path:
    if environ.get("KERNELHUB_TOKEN_FILE"):
        return Path(environ["KERNELHUB_TOKEN_FILE"])
    if environ.get("XDG_CONFIG_HOME"):
        return Path(environ["XDG_CONFIG_HOME"]) / "kernelhub" / "token"
    return Path("~/.config/kernelhub/token").expanduser()


def read_token_file(path: Path) -> dict[str, str]:
    """Its `name=value` lines; nothing when there is no such file."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"cannot read the token file {path}: {error}",
            hint="it is readable only by the user who started `kernelhub serve`",
        ) from error
    pairs = (line.partition("=") for line in lines if not line.lstrip().startswith("#"))
    return {name.strip(): value.strip() for name, found, value in pairs if found}


def _checked_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise ConfigurationError(
            f"not an address of the service: {url!r}", hint=f"it looks like {DEFAULT_URL}"
        )
    return url.rstrip("/")


def _same_service(one: str, other: str) -> bool:
    return _identity(one) == _identity(other)


def _identity(url: str) -> tuple[str, str, int | None, str]:
    parts = urlsplit(_checked_url(url))
    host = "localhost" if parts.hostname in LOOPBACK else parts.hostname or ""
    return parts.scheme, host, parts.port, parts.path
