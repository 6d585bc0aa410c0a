"""How long tests wait for what an idle machine does in moments: no test fails because others keep the machine busy."""

PATIENCE = 120.0
"""Seconds; for a bound whose only task is that a test ends. A time that is part of what is tested is written there."""
