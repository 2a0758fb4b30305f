"""Both sample services keep both promises of the participant contract, as processes that may be killed at any moment."""

from __future__ import annotations

import random
import threading
import time
import unittest
from concurrent.futures import ThreadPoolExecutor

from .support import Faulty, ProviderTest, Second, a_call, undo_of

PAID = {"account": "alice", "amount": "120.50", "iban": "DE89370400440532013000"}


class Promises:
    def ask(self, path, body, **headers):
        return self.provider.call(path, body, **headers)

    def test_the_same_key_twice_is_one_effect_and_the_same_answer(self):
        call = a_call(PAID)
        first = self.ask("/ledger/act", call)
        again = self.ask("/ledger/act", {**call, "attempt": 2, "deadline_at": "2031-01-01T00:00:00Z"})
        self.assertEqual((first.decision, first.body), ("accepted", again.body))
        self.assertIsInstance(first.body["output"], dict)
        self.assertEqual(self.provider.net("ledger", call["key"]), [1])

    def test_twenty_at_once_are_one_effect(self):
        call = a_call(PAID)
        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(lambda _: self.ask("/ledger/act", call), range(20)))
        self.assertEqual({one.decision for one in answers} - {"status 409"}, {"accepted"})
        self.assertTrue(all(one.headers.get("retry-after") for one in answers if one.status == 409))
        self.assertEqual(self.provider.net("ledger", call["key"]), [1])

    def test_a_refusal_is_final_and_has_a_reason(self):
        call = a_call(self.provider.refused())
        answers = [self.ask("/ledger/act", call).body for _ in range(2)]
        self.assertEqual(answers[0]["decision"], "refused")
        self.assertTrue(answers[0]["reason"])
        self.assertEqual(answers[0], answers[1])
        self.assertEqual(self.ask("/ledger/undo", undo_of(call)).decision, "undone")
        self.assertEqual(self.provider.net("ledger", call["key"]), [])

    def test_the_same_key_at_another_service_is_another_key(self):
        call = a_call(PAID)
        self.ask("/ledger/act", call)
        self.assertEqual(self.ask("/bank/act", call).decision, "accepted")
        self.assertEqual([self.provider.net(service, call["key"]) for service in ("ledger", "bank")], [[1], [1]])

    def test_an_undo_twice_is_one_undo(self):
        call = a_call(PAID)
        self.ask("/ledger/act", call)
        for _ in range(2):
            self.assertEqual(self.ask("/ledger/undo", undo_of(call)).body, {"decision": "undone"})
        self.assertEqual(self.ask("/ledger/undo", undo_of(call, reason="cancelled by an operator")).decision, "undone")
        self.assertEqual(self.ask("/ledger/undo", undo_of(call, key=f"{call['key']}.another")).decision, "undone")
        self.assertEqual(self.provider.net("ledger", call["key"]), [1, -1])

    def test_an_act_after_its_undo_keeps_its_answer_and_does_nothing(self):
        call = a_call(PAID)
        first = self.ask("/ledger/act", call)
        self.ask("/ledger/undo", undo_of(call))
        self.assertEqual(self.ask("/ledger/act", call).body, first.body)
        self.assertEqual(self.provider.net("ledger", call["key"]), [1, -1])

    def test_an_undo_of_a_key_never_seen_refuses_a_late_act(self):
        call = a_call(PAID)
        self.assertEqual(self.ask("/ledger/undo", undo_of(call)).decision, "undone")
        for _ in range(2):
            late = self.ask("/ledger/act", call)
            self.assertEqual(late.decision, "refused")
            self.assertTrue(late.body["reason"])
        self.assertEqual(self.provider.net("ledger", call["key"]), [])

    def test_an_undo_beside_its_act_leaves_no_effect(self):
        calls = [a_call(PAID) for _ in range(10)]
        with ThreadPoolExecutor(20) as pool:
            acts = [pool.submit(self.ask, "/ledger/act", call) for call in calls]
            undos = [pool.submit(self.ask, "/ledger/undo", undo_of(call)) for call in calls]
            for asked in (*acts, *undos):
                self.assertEqual(asked.result().status, 200)
        for call in calls:
            self.assertIn(self.provider.net("ledger", call["key"]), ([], [1, -1]))

    def test_malformed_requests_change_nothing(self):
        call = a_call(PAID)
        for body, headers in (
            (b"{", {}), (b"[]", {}), (b"null", {}), (b"\xff\xfe", {}), ({**call, "key": "x"}, {"idempotency_key": "y"}), ({**call, "key": ["x"]}, {"idempotency_key": "x"}),
        ):
            with self.subTest(body=body):
                self.assertEqual(self.ask("/ledger/act", body, **headers).status, 400)
        self.assertEqual(self.ask("/ledger/undo", {**undo_of(call), "act_key": 7}).status, 400)
        self.assertEqual(self.ask("/ledger/act", b"x" * (300 * 1024)).status, 413)
        self.assertEqual(self.ask("/ledger/other", call).status, 404)
        self.assertEqual(self.effects(), [])

    def test_what_was_decided_is_there_after_a_kill(self):
        accepted, refused, unseen = a_call(PAID), a_call(self.provider.refused()), a_call(PAID)
        first = self.ask("/ledger/act", accepted).body
        self.ask("/ledger/act", refused)
        self.ask("/ledger/undo", undo_of(unseen))
        self.provider.kill()
        self.assertEqual(self.provider.net("ledger", accepted["key"]), [1])
        self.provider.start()
        self.assertEqual(self.ask("/ledger/act", accepted).body, first)
        self.assertEqual(self.ask("/ledger/act", refused).decision, "refused")
        self.assertEqual(self.ask("/ledger/act", unseen).decision, "refused")
        self.assertEqual(self.ask("/ledger/undo", undo_of(accepted)).decision, "undone")
        self.assertEqual(self.provider.net("ledger", accepted["key"]), [1, -1])

    def test_no_effect_is_doubled_or_lost_by_kills_in_the_middle(self):
        """Callers ask until they have a decision, while the process is killed at random."""
        calls = [a_call(PAID) for _ in range(40)]
        cancelled = calls[::3]
        done = threading.Event()

        def until_decided(path, body):
            while (answer := self.ask(path, body)).status != 200:
                time.sleep(0.01)
            return answer.decision

        def run(call):
            return [until_decided("/ledger/act", call), *(until_decided("/ledger/undo", undo_of(call)) for _ in range(call in cancelled))]

        def kill_at_random():
            while not done.wait(random.uniform(0.02, 0.15)):
                self.provider.kill()
                self.provider.start()

        killer = threading.Thread(target=kill_at_random)
        killer.start()
        try:
            with ThreadPoolExecutor(6) as pool:
                heard = list(pool.map(run, calls * 2))
        finally:
            done.set()
            killer.join()
        for call, answers in zip(calls * 2, heard):
            want = ([1, -1], ["accepted", "undone"]) if call in cancelled else ([1], ["accepted"])
            self.assertEqual((self.provider.net("ledger", call["key"]), answers), want)


class FaultyProvider(Promises, ProviderTest):
    kind = Faulty

    def test_members_in_another_order_are_the_same_body(self):
        call = a_call({"b": {"x": 1, "y": [2]}, "a": 1.10})
        self.ask("/any/act", call)
        turned = {**dict(reversed(call.items())), "input": {"a": 1.1, "b": {"y": [2], "x": 1}}}
        self.assertEqual(self.ask("/any/act", turned).decision, "accepted")

    def test_a_key_with_another_body_is_422_and_changes_nothing(self):
        call = a_call(PAID)
        self.ask("/ledger/act", call)
        self.assertEqual(self.ask("/ledger/act", {**call, "input": {**PAID, "amount": "1.00"}}).status, 422)
        self.assertEqual(self.provider.net("ledger", call["key"]), [1])


class SecondProvider(Promises, ProviderTest):
    kind = Second

    def test_the_key_alone_tells_requests_apart(self):
        call = a_call(PAID)
        first = self.ask("/ledger/act", call)
        self.assertEqual(self.ask("/ledger/act", {**call, "input": {}}).body, first.body)
        self.assertEqual(self.provider.net("ledger", call["key"]), [1])

    def test_a_line_that_was_cut_off_is_no_decision(self):
        cut, kept = a_call(PAID), a_call(PAID)
        self.ask("/ledger/act", kept)
        self.ask("/ledger/act", cut)
        self.provider.kill()
        file = self.provider.folder / "ledger.jsonl"
        file.write_bytes(file.read_bytes()[:-20])
        self.provider.start()
        self.assertEqual(self.provider.net("ledger", cut["key"]), [])
        self.assertEqual(self.ask("/ledger/act", cut).decision, "accepted")
        self.assertEqual([self.provider.net("ledger", call["key"]) for call in (kept, cut)], [[1], [1]])


class ChaoticSecondProvider(ProviderTest):
    kind = Second
    extra = ["--chaos", "1"]

    def test_answers_get_lost_and_effects_do_not(self):
        calls = [a_call(PAID) for _ in range(12)]

        def ask(call):
            try:
                return self.provider.call("/ledger/act", call, seconds=0.5).status
            except TimeoutError:
                return -1

        with ThreadPoolExecutor(12) as pool:
            statuses = [set(pool.map(ask, calls)) for _ in range(3)]
        self.assertIn(0, set.union(*statuses))
        self.assertIn(500, set.union(*statuses))
        nets = [self.provider.net("ledger", call["key"]) for call in calls]
        self.assertTrue(all(net in ([], [1]) for net in nets) and [1] in nets, nets)


if __name__ == "__main__":
    unittest.main()
