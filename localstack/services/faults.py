"""The provider's switches: what goes wrong, for which service, how often and how long.

Invariant: chance depends on the seed, the fault, the key and how often that key was asked, and on nothing else. So the same
run meets the same faults, whatever the threads do and however often the provider is restarted.
"""

from __future__ import annotations

import hashlib
import threading
import time
from typing import Any

from store import Store

EVERY_SERVICE = "*"
ACT_ONLY = ("later", "refuse", "bad_output")
Number = (int, float)
# Members that every fault may have: chance of each request, how many requests, how long from now, `act` or `undo` only.
COMMON: dict[str, Any] = {"probability": Number, "count": int, "for_seconds": Number, "verb": ("act", "undo")}
# What each fault may have besides: a type, or the words that are allowed (one, or a list from which chance takes one).
KINDS: dict[str, dict[str, Any]] = {
    "down": {},
    "hang": {"seconds": Number},
    "status": {"code": (400, 401, 403, 404, 408, 409, 425, 429, 500, 502, 503, 504), "retry_after": Number, "as_date": bool, "after_effect": bool},
    "redirect": {"code": (301, 302, 303, 307, 308), "location": str},
    "later": {"seconds": Number},
    "delay": {"seconds": Number, "at_least": Number},
    "refuse": {"reason": str},
    "die": {"when": ("before", "after")},
    "apply_and_time_out": {"hold": Number},
    "garbage": {"kind": ("text", "unknown", "wrong_verb", "truncated", "large")},
    "bad_output": {"kind": ("array", "large", "reserved")},
    "forget_keys_after": {"seconds": Number},
}


class BadSwitch(Exception):
    """The message says which service, fault and member."""


class Faults:
    def __init__(self, store: Store, seed: str):
        self._store, self._seed, self._lock = store, seed, threading.Lock()
        self._faults: dict[str, dict[str, Any]] = store.read_faults()

    def replace(self, faults: Any, service: str | None = None) -> None:
        """All faults, or those of one service."""
        if service is not None:
            faults = {service: faults}
        check(faults)
        now = time.time()
        for members in (fault for of_service in faults.values() for fault in of_service.values()):
            if "for_seconds" in members:
                members["until"] = now + members["for_seconds"]
        with self._lock:
            self._faults = faults if service is None else {**self._faults, **faults}
            self._store.write_faults(self._faults)

    def shown(self) -> dict[str, Any]:
        """Those that still hold; `count` is what remains of it."""
        now = time.time()
        with self._lock:
            held = {service: {name: fault for name, fault in faults.items() if holds(fault, now)} for service, faults in self._faults.items()}
        return {service: faults for service, faults in held.items() if faults}

    def remembered_since(self, service: str) -> float:
        """Keys from before this moment are forgotten."""
        fault = self._find(service, "forget_keys_after")
        return 0.0 if fault is None else time.time() - fault.get("seconds", 60)

    def draw(self, name: str, request: Request) -> dict[str, Any] | None:
        """The fault's name and members when it strikes this request, with one of its choices each."""
        if name in ACT_ONLY and request.verb != "act":
            return None
        with self._lock:
            fault = self._find(request.service, name)
            if fault is None or fault.get("verb", request.verb) != request.verb or self.chance(name, request) >= fault.get("probability", 1):
                return None
            if "count" in fault:
                fault["count"] -= 1
                self._store.write_faults(self._faults)
            drawn = {"fault": name, **fault}
        for member, allowed in KINDS[name].items():
            if isinstance(allowed, tuple) and allowed is not Number:
                choices = drawn.get(member, DEFAULTS.get((name, member), list(allowed)))
                choices = choices if isinstance(choices, list) else [choices]
                drawn[member] = choices[int(self.chance(f"{name} {member}", request) * len(choices))]
        return drawn

    def chance(self, name: str, request: Request) -> float:
        """At least 0 and less than 1."""
        text = "\0".join((self._seed, name, request.service, request.verb, request.key, str(request.asked)))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48

    def _find(self, service: str, name: str) -> dict[str, Any] | None:
        now = time.time()
        for of in (service, EVERY_SERVICE):
            fault = self._faults.get(of, {}).get(name)
            if fault is not None and holds(fault, now):
                return fault
        return None


class Request:
    """What chance depends on. `asked` counts the requests with this key."""

    def __init__(self, service: str, verb: str, key: str, asked: int):
        self.service, self.verb, self.key, self.asked = service, verb, key, asked


# For members from which chance does not choose unless it is asked to.
DEFAULTS: dict[tuple[str, str], list[Any]] = {("status", "code"): [500], ("redirect", "code"): [302], ("die", "when"): ["after"]}


def holds(fault: dict[str, Any], now: float) -> bool:
    return fault.get("count", 1) > 0 and fault.get("until", now + 1) > now


def check(faults: Any) -> None:
    """Raises BadSwitch unless this is {service: {fault: {member: value}}}."""
    for service, of_service in members("the body", faults):
        for name, fault in members(f"service {service}", of_service):
            if name not in KINDS:
                raise BadSwitch(f"service {service}: there is no fault {name}; there are {', '.join(KINDS)}")
            allowed = {**COMMON, **KINDS[name]}
            for member, value in members(f"service {service}, fault {name}", fault):
                where = f"service {service}, fault {name}, {member}"
                if member not in allowed:
                    raise BadSwitch(f"{where}: there is no such member; there are {', '.join(allowed)}")
                if not fits(value, allowed[member]):
                    raise BadSwitch(f"{where}: {value!r} is not allowed")


def members(where: str, value: Any):
    if not isinstance(value, dict):
        raise BadSwitch(f"{where}: this must be an object")
    return value.items()


def fits(value: Any, allowed: Any) -> bool:
    if allowed is bool or allowed is str:
        return isinstance(value, allowed)
    if allowed is int or allowed is Number:
        return isinstance(value, allowed) and not isinstance(value, bool) and value >= 0
    values = value if isinstance(value, list) else [value]
    return bool(values) and all(one in allowed for one in values)
