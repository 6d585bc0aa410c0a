"""Structured logs: one JSON object a line, on standard error."""

import logging
import sys
from datetime import UTC, datetime

from marketplace.documents import json_line


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "text": record.getMessage(),
        }
        facts = getattr(record, "facts", None)
        if isinstance(facts, dict):
            line |= facts
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json_line(line)


def log_to_stderr(level: int = logging.INFO) -> None:
    """Sends every logger's records there; the server's own access log is left out (metrics.py writes one)."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("merit").setLevel(level)
    logging.getLogger("uvicorn.access").disabled = True
