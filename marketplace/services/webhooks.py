"""Webhooks: who is told of a market's events, and how one event is sent (Standard Webhooks, docs/how-to/webhooks.md).

Only what the operator wrote into `webhooks.yaml` is ever asked, redirects are not followed, no proxy or password of the
environment is used, and nothing of an answer is read but its status.
"""

import base64
import binascii
import hashlib
import hmac
import ipaddress
import json
import stat
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import requests
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_result,
    stop_after_delay,
    stop_when_event_set,
    wait_exponential_jitter,
)
from tenacity.nap import sleep_using_event

from marketplace.documents import MAX_FILE_BYTES, explain, parse_yaml
from marketplace.domain import Event
from marketplace.errors import InputError
from marketplace.files import read_within
from marketplace.urls import without_secrets

FILE_NAME = "webhooks.yaml"
MOST_HOOKS = 16
SECRET_BYTES = (24, 64)  # of Standard Webhooks
PREFIX = "whsec_"
ANSWER_WITHIN = 15.0  # seconds until a receiver has answered
PAUSES = (1.0, 600.0)  # seconds between two attempts: at first, and at most
GIVE_UP = 3 * 86_400.0  # seconds after which an event is left out, and the next is sent
GONE = 410  # a receiver's answer that nothing is to be sent to it any more
_TOO_OPEN = stat.S_IRWXG | stat.S_IRWXO


class Webhook(BaseModel):
    """One receiver. Its address and secret are never shown: it is called by its name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", description="What logs and metrics call it.")
    url: SecretStr = Field(description="https://…; http:// for this machine only. May hold user and password.")
    secret: SecretStr = Field(description="whsec_ and 24 to 64 random bytes as base64: what it is signed with.")
    jobs: Literal["own", "all"] | Annotated[tuple[int, ...], Field(max_length=1000)] = Field(
        default="own", description="Those that this node's accounts created or take part in, all, or these numbers."
    )
    events: tuple[str, ...] = Field(default=(), max_length=100, description="Kinds of events; none: every kind.")

    @field_validator("url")
    @classmethod
    def _safe(cls, url: SecretStr) -> SecretStr:
        try:
            parts = urlsplit(url.get_secret_value())
            host, _ = parts.hostname or "", parts.port
        except ValueError:
            raise ValueError("this is no address") from None
        if not host or parts.fragment or parts.scheme not in ("https", "http"):
            raise ValueError("an address begins with https://, has a host, and no #")
        if parts.scheme == "http" and not _is_loopback(host):
            raise ValueError("http:// can be read on its way: it is for this machine only, use https://")
        return url

    @field_validator("secret")
    @classmethod
    def _long_enough(cls, secret: SecretStr) -> SecretStr:
        if not SECRET_BYTES[0] <= len(key_of(secret)) <= SECRET_BYTES[1]:
            raise ValueError(f"a secret is {PREFIX} and the base64 of {SECRET_BYTES[0]} to {SECRET_BYTES[1]} bytes")
        return secret


class WebhookFile(BaseModel):
    """What `webhooks.yaml` holds."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    webhooks: Annotated[tuple[Webhook, ...], Field(max_length=MOST_HOOKS)]


KINDS = frozenset(kind.__name__ for kind in Event.__subclasses__())


def read_webhooks(path: Path) -> tuple[Webhook, ...]:
    """The receivers that the file names; none where there is no file.

    Raises InputError, which tells neither addresses nor secrets.
    """
    if not path.exists():
        return ()
    if path.stat().st_mode & _TOO_OPEN:
        raise InputError(f"{path} holds secrets and can be read by others: `chmod 600` it.")
    try:
        text = read_within(path, MAX_FILE_BYTES).decode()
        hooks = WebhookFile.model_validate(parse_yaml(text, where=str(path))).webhooks
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8.") from error
    except ValidationError as error:
        raise InputError(f"{path} is not right: {explain(error)}.") from None  # the cause holds what was given
    names = [hook.name for hook in hooks]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"{path}: {', '.join(twice)} is the name of two webhooks.")
    for hook in hooks:
        if unknown := sorted(set(hook.events) - KINDS):
            said = f"{path}: {hook.name}: there is no event {', '.join(unknown)}; docs/reference/events.md names them."
            raise InputError(said)
    return hooks


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


# ---------------------------------------------------------------- one message


@dataclass(frozen=True, slots=True)
class Message:
    """id: the same whenever the same event is sent. body: JSON."""

    id: str
    body: bytes


def message_of(
    market: str, chain_id: int, place: tuple[int, int], transaction: str, document: dict[str, Any]
) -> Message:
    """document: the body. place: the event's block and log index, by which the chain's own events differ."""
    name = f"{chain_id} {market} {place[0]} {place[1]} {transaction}"
    body = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    return Message(f"evt_{hashlib.sha256(name.encode()).hexdigest()[:32]}", body)


def key_of(secret: SecretStr) -> bytes:
    """The bytes that it stands for; none for what is no secret."""
    try:
        return base64.b64decode(secret.get_secret_value().removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return b""


def signature(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """As Standard Webhooks has it, version 1."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


# ---------------------------------------------------------------- sending


class Outcome(Enum):
    TAKEN = "taken"
    GIVEN_UP = "given-up"
    GONE = "gone"  # nothing is to be sent any more
    STOPPED = "stopped"


class Sender:
    """Sends to one receiver until it has taken a message. clock: Unix seconds, of the signature."""

    def __init__(
        self,
        hook: Webhook,
        stop: threading.Event,
        complain: Callable[[str], None],
        *,
        pauses: tuple[float, float] = PAUSES,
        give_up: float = GIVE_UP,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._hook = hook
        self._stop = stop
        self._clock = clock
        self._complain = complain
        self._session = requests.Session()
        self._session.trust_env = False  # neither a proxy nor ~/.netrc is the operator's word on this receiver
        self._retrying = Retrying(
            retry=retry_if_result(bool),
            wait=wait_exponential_jitter(multiplier=pauses[0], max=pauses[1], jitter=pauses[0]),
            stop=stop_after_delay(give_up) | stop_when_event_set(stop),
            sleep=sleep_using_event(stop),
            before_sleep=self._said,
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else "",
        )

    def send(self, message: Message) -> Outcome:
        """Sends until it is taken, or there is no use in it any more."""
        trouble: str | None = self._retrying(self._once, message)
        if trouble is None:
            return Outcome.GONE
        if not trouble:
            return Outcome.TAKEN
        return Outcome.STOPPED if self._stop.is_set() else Outcome.GIVEN_UP

    def _once(self, message: Message) -> str | None:
        """What is in the way; "" where it was taken, None where the receiver is gone."""
        url, now = self._hook.url.get_secret_value(), int(self._clock())
        headers = {
            "content-type": "application/json",
            "user-agent": "merit-webhooks",
            "webhook-id": message.id,
            "webhook-timestamp": str(now),
            "webhook-signature": signature(key_of(self._hook.secret), message.id, now, message.body),
        }
        try:
            with self._session.post(
                url, data=message.body, headers=headers, timeout=ANSWER_WITHIN, allow_redirects=False, stream=True
            ) as answer:
                status = answer.status_code
        except (requests.RequestException, ValueError, OSError) as error:
            return without_secrets(type(error).__name__, url)
        if status == GONE:
            return None
        return "" if 200 <= status < 300 else f"it answered {status}"

    def _said(self, state: RetryCallState) -> None:
        trouble = state.outcome.result() if state.outcome else ""
        self._complain(f"Webhook {self._hook.name} took an event not yet ({trouble}): attempt {state.attempt_number}.")
