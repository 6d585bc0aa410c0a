"""Every error that Merit raises on purpose.

    MeritError            exit code
    ├── InputError          2   what the user gave is wrong: a file, an option, a document, a password
    ├── NotFound            3   no such job, round, content or key
    ├── ChainError          4   the chain cannot be reached, or did not do what was asked
    │   └── Reverted        5   the contract refused a call; carries the decoded error
    ├── StorageError        6   content cannot be stored or fetched
    │   └── CorruptContent  7   bytes are not what their CID, commitment, seal or format says
    │       └── WrongSum    7   a round's sum, whole as its CID says, does not open: its aggregator's doing
    ├── JobOver             8   the job has ended, or has moved past what was asked
    └── AuditFailed         1   an audit found a mismatch

A message is one sentence for a person: what is wrong, where, and what to do. Errors of libraries are caught at the
adapter that called the library and raised `from` the original; nothing else is caught. `zk`, `aggregator` and `trainer`
raise ValueError for arguments that break their contracts; a service turns those that a user can cause into InputError.
"""


class MeritError(Exception):
    """Base of the tree; `exit_code` is what the command line returns for it."""

    exit_code = 70


class InputError(MeritError):
    exit_code = 2


class NotFound(MeritError):
    exit_code = 3


class ChainError(MeritError):
    exit_code = 4


class Reverted(ChainError):
    """The contract refused a call.

    name: the Solidity error's name, or "" where the revert could not be decoded.
    values: its arguments by name.
    """

    exit_code = 5

    def __init__(self, message: str, *, name: str = "", values: dict[str, object] | None = None) -> None:
        super().__init__(message)
        self.name = name
        self.values = values or {}


class StorageError(MeritError):
    exit_code = 6


class CorruptContent(StorageError):
    exit_code = 7


class WrongSum(CorruptContent):
    pass


class JobOver(MeritError):
    exit_code = 8


class AuditFailed(MeritError):
    exit_code = 1
