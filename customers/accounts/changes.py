"""What somebody wants of an account, new or old: read, then normalised, with all that is wrong told at once."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from customers.accounts import emails, guessable, names, passwords
from customers.accounts.customer import Customer
from customers.errors import FieldError, InvalidInput


@dataclass(frozen=True)
class Registration:
    email: str
    password: str = field(repr=False)
    first_name: str
    last_name: str

    def checked(self) -> "Registration":
        """With its values normalised; raises InvalidInput naming every wrong field."""
        mistakes = _Mistakes()
        right = replace(
            self,
            email=mistakes.read("email", self.email, emails.normalised),
            password=mistakes.read("password", self.password, passwords.normalised),
            first_name=mistakes.read("first_name", self.first_name, names.normalised),
            last_name=mistakes.read("last_name", self.last_name, names.normalised),
        )
        mistakes.refuse_guessable(right.password, (right.email, right.first_name, right.last_name))
        mistakes.raise_if_any()
        return right


@dataclass(frozen=True)
class Changes:
    """None leaves a value as it is. A new address or password needs the current password."""

    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    password: str | None = field(default=None, repr=False)
    current_password: str | None = field(default=None, repr=False)

    def checked(self, customer: Customer) -> dict[str, str]:
        """The values to change, normalised; raises InvalidInput naming every wrong field."""
        mistakes = _Mistakes()
        normalisers: dict[str, Callable[[str], str]] = {
            "email": emails.normalised,
            "first_name": names.normalised,
            "last_name": names.normalised,
            "password": passwords.normalised,
        }
        values = {
            name: mistakes.read(name, text, normalise)
            for name, normalise in normalisers.items()
            if (text := getattr(self, name)) is not None
        }
        if "password" in values:
            own = (values.get(name, getattr(customer, name)) for name in ("email", "first_name", "last_name"))
            mistakes.refuse_guessable(values["password"], own)
        mistakes.raise_if_any()
        return values


class _Mistakes:
    """Collects what is wrong with several fields, so that all of it is told at once."""

    def __init__(self) -> None:
        self._errors: list[FieldError] = []

    def read(self, name: str, text: str, normalise: Callable[[str], str]) -> str:
        try:
            return normalise(text)
        except ValueError as error:
            self._errors.append(FieldError(name, str(error)))
            return ""

    def refuse_guessable(self, password: str, own_texts: Iterable[str]) -> None:
        """Asked last, of a password that is otherwise right."""
        if password:
            self.read("password", password, lambda text: _not_guessable(text, own_texts))

    def raise_if_any(self) -> None:
        if self._errors:
            raise InvalidInput(self._errors)


def _not_guessable(password: str, own_texts: Iterable[str]) -> str:
    guessable.refuse_guessable(password, own_texts)
    return password
