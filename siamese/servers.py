"""What the answer of an HTTP server means to its client: it works, refuses the login, is somebody else, or is away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from siamese.errors import SiameseError, TransientError

UNAUTHORIZED: Final = 401
FORBIDDEN: Final = 403
_PROXY_LOGIN: Final = 407
_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_QUOTED: Final = 160


@dataclass(frozen=True)
class Answer:
    """What is known of a server's answer, whichever library received it."""

    status: int
    url: str
    """Where it came from in the end, after any redirects."""
    media_type: str = ""
    text: str = ""


@dataclass(frozen=True)
class Server:
    """A server as its client is set up for it."""

    name: str
    """E.g. ``MLflow``."""
    url: str
    address_setting: str
    """The setting that holds the address."""
    login_fix: str
    """What to do about a refused login: names the settings."""

    @property
    def where(self) -> str:
        """Name and address, for messages."""
        return f"{self.name} {without_login(self.url)}"

    def fault(self, answer: Answer) -> SiameseError | None:
        """What is wrong when it answered so; None when it is the answer of a working API.

        Server-side failures are worth another try and so are a :class:`TransientError`; a refused login is not.
        """
        redirected = _place(answer.url) != _place(self.url)
        match answer.status:
            case status if status == UNAUTHORIZED or (status == FORBIDDEN and not _host_refused(answer.text)):
                said = _quoted(answer)
                return self._error(f"refused the login ({status}){f': {said}' if said else ''}", self.login_fix)
            case status if status == FORBIDDEN:
                fix = f"name the server in {self.address_setting} as it is configured, or allow this name there"
                return self._error(f"refused the host name ({status}): {_quoted(answer)}", fix)
            case status if status == _PROXY_LOGIN:
                return self._error("the proxy on the way asks for a login", "check HTTPS_PROXY and NO_PROXY")
            case status if status in _PASSING:
                what = f"the server answers {status}" if _is_json(answer) else f"the proxy before it answers {status}"
                return TransientError(what, where=self.where, fix="see the server's log, or try again later")
            case status if 300 <= status < 400 or _is_page(answer):
                there = f" of {without_login(answer.url)}" if redirected else ""
                fix = f"check {self.address_setting}; if it is a login page: {self.login_fix}"
                return self._error(f"a web page{there} answers ({status}) instead of the API", fix)
            case status if status >= 400 and not _is_json(answer):
                fix = f"check {self.address_setting}, also its path"
                return self._error(f"no such API at this address ({status})", fix)
        if redirected:
            # A client that writes would have its POST turned into a GET on the way.
            place = _place(answer.url)
            return self._error(f"redirects to {place}", f"set {self.address_setting} to the address there")
        return None

    def away(self, reason: str = "") -> TransientError:
        """The server does not answer at all."""
        fix = "`siamese status` shows why; `siamese up` starts the local stack"
        what = f"the server does not answer{f': {reason}' if reason else ''}"
        return TransientError(what, where=self.where, fix=fix)

    def _error(self, what: str, fix: str) -> SiameseError:
        return SiameseError(what, where=self.where, fix=fix)


def mlflow_server(url: str, *, user: bool, password: bool, token: bool) -> Server:
    """The MLflow server; which parts of a login its client has decides what to do when it is refused."""
    if user and password:
        fix = "check MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        fix += ", which win over MLFLOW_TRACKING_TOKEN" if token else ""
    elif token:
        fix = "check MLFLOW_TRACKING_TOKEN"
    elif user or password:
        fix = f"set MLFLOW_TRACKING_{'PASSWORD' if user else 'USERNAME'} too"
    else:
        fix = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
    return Server("MLflow", url, "MLFLOW_TRACKING_URI", fix)


def prefect_server(url: str, *, auth_string: bool, api_key: bool) -> Server:
    """The Prefect server, with what to do about its login as the client's settings stand."""
    if auth_string:
        fix = "check PREFECT_API_AUTH_STRING (user:password) in the environment and the Prefect profile"
        fix += "; it wins over PREFECT_API_KEY" if api_key else ""
    elif api_key:
        fix = "check PREFECT_API_KEY in the environment and the Prefect profile"
    else:
        fix = "set PREFECT_API_AUTH_STRING (or PREFECT_API_KEY), in the environment or the Prefect profile"
    return Server("Prefect", url, "PREFECT_API_URL", fix)


def without_login(url: str) -> str:
    """An address that may be shown: without user and password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def _place(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _is_json(answer: Answer) -> bool:
    return "json" in answer.media_type or answer.text.lstrip()[:1] in ("{", "[")


def _is_page(answer: Answer) -> bool:
    return "html" in answer.media_type or answer.text.lstrip()[:15].lower().startswith(("<!doctype", "<html"))


def _host_refused(text: str) -> bool:
    return "Host header" in text or "rebinding" in text


def _quoted(answer: Answer) -> str:
    """The server's own words, when they are short and no web page."""
    return "" if _is_page(answer) else " ".join(answer.text.split())[:_QUOTED]
