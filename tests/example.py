"""The example of a job file, with what it leaves to say: who aggregates."""

from pathlib import Path

import yaml

from marketplace.spec import JobFile

PATH = Path(__file__).parents[1] / "examples" / "digits" / "job.yaml"
TEXT = PATH.read_text("utf-8") + "  aggregator: anyone\n"


def example(**parts: object) -> JobFile:
    """The job, but for these parts of its document."""
    return JobFile.model_validate(yaml.safe_load(TEXT) | parts)
