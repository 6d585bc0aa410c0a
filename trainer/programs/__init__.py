"""Programs: what a job trains. One type for a model that is described, and for one that its owner exported."""

from trainer.programs.opening import check_program, open_program
from trainer.programs.program import Described, Program
from trainer.programs.tokens import check_tokens

__all__ = ["Described", "Program", "check_program", "check_tokens", "open_program"]
