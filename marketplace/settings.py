"""What a Merit process is told from outside. Only the entry points (`cli/main.py` and `merit`) build Settings from the
environment; everything below them takes values as arguments.

Each field is also an environment variable with the prefix MERIT_, e.g. MERIT_RPC. Command-line options win.
"""

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from marketplace.addresses import parse_address
from marketplace.documents import explain
from marketplace.errors import InputError


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="MERIT_", extra="ignore", frozen=True)

    home: Path = Field(default=Path("~/.merit"), description="Keys, address book and work in progress.")
    rpc: str = Field(
        default="http://127.0.0.1:8545",
        repr=False,  # providers put keys into addresses
        description="The chain's JSON-RPC address. Where neither it nor storage and market are given, and the home "
        "folder has no market of its own, they are those of the `merit up` that runs from it.",
    )
    storage: str = Field(
        default="",
        repr=False,  # providers put keys into addresses
        description="folder:PATH, an IPFS RPC address, or node+https://HOST; the default is HOME/storage.",
    )
    market: str = Field(
        default="", description="The market contract; the default is the address book's for this chain."
    )
    key: str = Field(default="default", description="Name or address of the keystore to act with.")
    password: SecretStr | None = Field(default=None, description="The keystore's password; asked for when absent.")
    password_file: Path | None = Field(default=None, description="A file whose first line is the password.")
    allow_development_setup: bool = Field(
        default=False, description="Accept a development set-up, whose proofs can be forged, on a public chain too."
    )
    rpc_timeout: float = Field(default=30.0, gt=0, description="Seconds before a request to the chain is given up.")
    storage_timeout: float = Field(default=60.0, gt=0, description="Seconds without a byte before storage is given up.")
    receipt_timeout: float = Field(default=180.0, gt=0, description="Seconds to wait for a transaction to be mined.")
    finality: int | None = Field(
        default=None,
        ge=0,
        description="Seconds that a job's end must be past before agents stop, and its last submission before updates "
        "are delivered; by default 900, or 0 on a development chain.",
    )
    poll: float = Field(
        default=1.0,
        gt=0,
        description="Seconds between two looks at the chain; where its node tells of new blocks (eth_subscribe over a "
        "websocket at the RPC's address), each brings a look too.",
    )

    @field_validator("market")
    @classmethod
    def _address(cls, typed: str) -> str:
        return parse_address(typed) if typed else typed

    @field_validator("key")
    @classmethod
    def _name_or_address(cls, typed: str) -> str:
        return parse_address(typed) if typed.startswith(("0x", "0X")) else typed

    @property
    def home_folder(self) -> Path:
        """Raises InputError where `~name` is nobody's."""
        try:
            return self.home.expanduser().resolve()
        except RuntimeError as error:
            raise InputError(f"The home folder {str(self.home)!r} cannot be found ({error}); give a path.") from error

    @property
    def storage_address(self) -> str:
        return self.storage or f"folder:{self.home_folder / 'storage'}"


def settings_with(given: Mapping[str, object]) -> Settings:
    """What is given, apart from None, and the environment for the rest. Raises InputError."""
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        raise InputError(f"A setting is wrong: {explain(error)}.") from error
