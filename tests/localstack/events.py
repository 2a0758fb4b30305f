"""Events that no saga waits for."""

from __future__ import annotations

import uuid


def event(target: str) -> dict:
    """A CloudEvent for this target."""
    saga = str(uuid.uuid4())
    return {
        "specversion": "1.0", "id": uuid.uuid4().hex, "source": "saga.orchestrator", "type": "PaymentReserved",
        "subject": f"saga/{saga}/advance", "time": "2026-11-21T02:00:00.123Z", "sagaid": saga, "sagadef": "payment", "sagaver": 1,
        "sagastep": 1, "sagaverb": "advance", "sagatarget": target, "sagaorigin": "aws", "sagahop": 1, "data": {"saga_id": saga},
    }
