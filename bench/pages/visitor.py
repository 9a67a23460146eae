"""One visitor's browser, as far as the server can tell: one connection, cookies, gzip, forms found on pages."""

import gzip
import http.client
import re
import time
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlencode, urlsplit


@dataclass
class Form:
    """``fields``: what it sends besides what its button does."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)


class _Forms(HTMLParser):
    """Forms by position and by id; buttons may stand outside of theirs."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.by_id: dict[str, Form] = {}
        self.elsewhere: list[tuple[str, str]] = []
        self._open: Form | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._open = Form(values.get("action", ""))
            self.forms.append(self._open)
            self.by_id[values.get("id", "")] = self._open
        elif tag == "input" and self._open is not None and "name" in values:
            self._open.fields[values["name"]] = values.get("value", "")
        elif tag == "button" and "formaction" in values:
            self.elsewhere.append((values.get("form", ""), values["formaction"]))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = None


@dataclass(frozen=True)
class Answer:
    """``seconds``: until the last byte was there. ``size``: of the body as it came."""

    status: int
    seconds: float
    size: int
    text: str
    location: str

    def form(self, action: str) -> Form:
        """The form, or the button of a form, that sends to an address of this pattern."""
        found = _Forms()
        found.feed(self.text)
        for owner, address in found.elsewhere:
            if re.fullmatch(action, address):
                return Form(address, dict(found.by_id[owner].fields))
        for form in found.forms:
            if re.fullmatch(action, form.action):
                return form
        message = f"no form on the page sends to {action}"
        raise LookupError(message)


class Visitor:
    """``waited``: for all answers so far, in seconds."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
        self.cookies: dict[str, str] = {}
        self.waited = 0.0
        self.requests = 0

    def get(self, path: str) -> Answer:
        return self._ask("GET", path, None)

    def post(self, form: Form, **typed: str) -> Answer:
        """Send it, and follow to the page that it leads to."""
        answer = self._ask("POST", form.action, urlencode(form.fields | typed))
        if answer.status != 303:
            message = f"POST {form.action} was answered {answer.status}: {answer.text[:2_000]}"
            raise RuntimeError(message)
        return self.get(answer.location)

    def close(self) -> None:
        self._connection.close()

    def _ask(self, method: str, path: str, body: str | None) -> Answer:
        headers = {"Accept-Encoding": "gzip", "Accept": "text/html", "Sec-Fetch-Site": "same-origin"}
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        begun = time.perf_counter()
        self._connection.request(method, path, body, headers)
        response = self._connection.getresponse()
        data = response.read()
        seconds = time.perf_counter() - begun
        self.waited += seconds
        self.requests += 1
        for line in response.headers.get_all("Set-Cookie") or ():
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        text = gzip.decompress(data) if response.headers.get("Content-Encoding") == "gzip" else data
        location = response.headers.get("Location", "")
        return Answer(response.status, seconds, len(data), text.decode(errors="replace"), location)
