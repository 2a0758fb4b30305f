"""What the sample services decide, and every switch of the faulty provider."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import tempfile
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime

from .support import SERVICES, Faulty, ProviderTest, a_call, exchange, undo_of

import signature  # noqa: E402 (support says where it is)

PAID = {"account": "alice", "amount": "120.50", "iban": "DE89370400440532013000"}
SECRETS = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"]


class FaultTest(ProviderTest):
    provider: Faulty

    def ask(self, path, body, **options):
        return self.provider.call(path, body, **options)

    def act(self, service="bank", given=None):
        call = a_call(PAID if given is None else given)
        return call, self.ask(f"/{service}/act", call)

    def fault(self, **faults):
        self.provider.faults({"bank": faults})


class Business(FaultTest):
    @classmethod
    def setUpClass(cls):
        """An account for each test."""
        file = tempfile.NamedTemporaryFile("w", suffix=".json")
        cls.addClassCleanup(file.close)
        json.dump({"accounts": {"one": "100.00", "two": "100.00", "three": "100.00"}, "payees": {"dave": "open", "mallory": "blocked"}}, file)
        file.flush()
        cls.extra = ["--accounts", file.name]
        super().setUpClass()

    def decided(self, service, **given):
        return self.act(service, given)[1].body

    def test_ledger_debits_until_the_balance_is_too_small(self):
        self.assertEqual(self.decided("ledger", account="one", amount="60.00")["decision"], "accepted")
        self.assertEqual(self.decided("ledger", account="one", amount=40.01), {"decision": "refused", "reason": "the balance of one is 40.00, which is less than 40.01"})
        self.assertEqual(self.decided("ledger", account="one", amount=40)["decision"], "accepted")
        self.assertIn("no account", self.decided("ledger", account="nobody", amount=1)["reason"])
        for amount in ("-1", "0", "NaN", "Infinity", "much", True, None, []):
            self.assertIn("no positive amount", self.decided("ledger", account="one", amount=amount)["reason"])

    def test_an_undone_debit_is_there_to_spend_again(self):
        call, _ = self.act("ledger", {"account": "two", "amount": "100.00"})
        self.assertEqual(self.decided("ledger", account="two", amount=1)["decision"], "refused")
        self.ask("/ledger/undo", undo_of(call))
        self.assertEqual(self.decided("ledger", account="two", amount=100)["decision"], "accepted")

    def test_many_debits_at_once_do_not_overdraw(self):
        with ThreadPoolExecutor(20) as pool:
            said = list(pool.map(lambda _: self.decided("ledger", account="three", amount="7.00")["decision"], range(30)))
        self.assertEqual(said.count("accepted"), 14)

    def test_bank_refuses_unknown_and_blocked_payees(self):
        self.assertEqual(self.decided("bank", payee="dave", amount="1.00")["decision"], "accepted")
        self.assertEqual(self.decided("bank", payee="mallory")["reason"], "the payee 'mallory' is blocked")
        self.assertEqual(self.decided("bank", iban="XX")["reason"], "the payee 'XX' is unknown")
        self.assertEqual(self.decided("bank")["decision"], "refused")

    def test_mail_and_any_other_service_accept(self):
        for service in ("mail", "shipping-2"):
            self.assertEqual(self.decided(service)["decision"], "accepted")


class Switches(FaultTest):
    def test_apply_and_time_out_does_the_work_and_says_nothing(self):
        self.fault(apply_and_time_out={"hold": 0, "count": 1})
        call, answer = self.act()
        self.assertEqual((answer.status, self.provider.net("bank", call["key"])), (0, [1]))
        self.assertEqual(self.ask("/bank/act", call).decision, "accepted")
        self.assertEqual(self.provider.net("bank", call["key"]), [1])

    def test_apply_and_time_out_holds_its_reply_so_long(self):
        self.fault(apply_and_time_out={"hold": 20})
        call = a_call(PAID)
        with self.assertRaises(TimeoutError):
            self.ask("/bank/act", call, seconds=0.3)
        self.assertEqual(self.provider.net("bank", call["key"]), [1])

    def test_a_delayed_request_is_in_flight_for_others_with_its_key(self):
        self.fault(delay={"at_least": 1, "seconds": 1, "count": 1})
        call, began = a_call(PAID), time.monotonic()
        with ThreadPoolExecutor(1) as pool:
            slow = pool.submit(self.ask, "/bank/act", call)
            self.until(lambda: self.requested(call["key"]))
            early = self.ask("/bank/act", call)
            self.assertEqual((early.status, early.headers["retry-after"]), (409, "1"))
            self.assertEqual(self.ask("/ledger/act", call).decision, "accepted")
            self.assertEqual(slow.result().decision, "accepted")
        self.assertGreaterEqual(time.monotonic() - began, 1)

    def test_an_undo_during_its_act_is_what_counts(self):
        self.fault(delay={"at_least": 1, "seconds": 1, "verb": "act"})
        call = a_call(PAID)
        with ThreadPoolExecutor(1) as pool:
            slow = pool.submit(self.ask, "/bank/act", call)
            self.until(lambda: self.requested(call["key"]))
            self.assertEqual(self.ask("/bank/undo", undo_of(call)).decision, "undone")
            self.assertEqual(slow.result().decision, "refused")
        self.assertEqual(self.provider.net("bank", call["key"]), [])

    def test_status_without_and_with_the_effect(self):
        for code in (400, 401, 404, 429, 500, 503):
            self.fault(status={"code": code, "count": 1})
            call, answer = self.act()
            self.assertEqual((answer.status, self.provider.net("bank", call["key"])), (code, []))
            self.assertEqual(answer.headers.get("retry-after"), "1" if code == 429 else None)
            self.assertEqual(self.ask("/bank/act", call).decision, "accepted")
        self.fault(status={"code": 500, "after_effect": True})
        call, answer = self.act()
        self.assertEqual((answer.status, self.provider.net("bank", call["key"])), (500, [1]))

    def test_retry_after_in_both_forms(self):
        self.fault(status={"code": 503, "retry_after": 7})
        self.assertEqual(self.act()[1].headers["retry-after"], "7")
        self.fault(status={"code": 429, "retry_after": 60, "as_date": True})
        date = parsedate_to_datetime(self.act()[1].headers["retry-after"])
        self.assertAlmostEqual(date.timestamp(), time.time() + 60, delta=3)

    def test_redirect(self):
        self.fault(redirect={})
        call, answer = self.act()
        self.assertEqual((answer.status, answer.headers["location"], self.provider.net("bank", call["key"])), (302, "/elsewhere/act", []))
        self.fault(redirect={"code": 307, "location": "http://127.0.0.1:1/"})
        self.assertEqual([self.act()[1].status, self.act()[1].headers["location"]], [307, "http://127.0.0.1:1/"])

    def test_garbage_after_the_work(self):
        for kind in ("text", "unknown", "wrong_verb", "large", "truncated"):
            self.fault(garbage={"kind": kind, "count": 1})
            call, answer = self.act()
            self.assertEqual(self.provider.net("bank", call["key"]), [1])
            if kind == "text":
                self.assertRaises(ValueError, lambda: answer.body)
            elif kind == "large":
                self.assertGreater(len(answer.content), 64 * 1024)
            else:
                self.assertEqual(answer.decision, {"unknown": "perhaps", "wrong_verb": "undone", "truncated": "status 0"}[kind])
            self.assertEqual(self.ask("/bank/act", call).decision, "accepted")

    def test_later_decides_when_it_is_asked_after_its_time(self):
        self.fault(later={"seconds": 1.5})
        call, answer = self.act()
        self.assertEqual((answer.status, answer.body), (202, {"decision": "later"}))
        self.assertEqual((self.ask("/bank/act", call).status, self.provider.net("bank", call["key"])), (202, []))
        self.provider.kill()
        self.provider.start()
        self.until(lambda: self.ask("/bank/act", call).status != 202)
        self.assertEqual(self.ask("/bank/act", call).decision, "accepted")
        self.assertEqual(self.provider.net("bank", call["key"]), [1])

    def test_an_undo_of_what_was_put_off(self):
        self.fault(later={"seconds": 30})
        call, answer = self.act()
        self.assertEqual(answer.status, 202)
        self.assertEqual(self.ask("/bank/undo", undo_of(call)).decision, "undone")
        self.assertEqual(self.ask("/bank/act", call).decision, "refused")

    def test_hang_says_nothing_and_does_nothing(self):
        self.fault(hang={"seconds": 0.5, "count": 1})
        began = time.monotonic()
        call, answer = self.act()
        self.assertEqual((answer.status, self.provider.net("bank", call["key"])), (0, []))
        self.assertGreaterEqual(time.monotonic() - began, 0.5)
        self.assertEqual(self.ask("/bank/act", call).decision, "accepted")

    def test_a_service_that_hangs_does_not_slow_another(self):
        self.fault(hang={"seconds": 60})
        calls = [a_call(PAID) for _ in range(30)]
        for call in calls:
            connection = http.client.HTTPConnection("127.0.0.1", self.provider.port)
            self.addCleanup(connection.close)
            connection.request("POST", "/bank/act", json.dumps(call), {"idempotency-key": call["key"]})
        self.until(lambda: all(self.requested(call["key"]) for call in calls))
        self.assertEqual(self.act("ledger")[1].decision, "accepted")  # within the ten seconds of a call

    def test_a_refusal_by_switch_is_final(self):
        self.fault(refuse={"reason": "the bank is shy"})
        call, answer = self.act()
        exchange(self.provider.port, "DELETE", "/faults")
        self.assertEqual(answer.body, {"decision": "refused", "reason": "the bank is shy"})
        self.assertEqual(self.ask("/bank/act", call).body, answer.body)

    def test_a_refusal_by_switch_changes_no_decision(self):
        call, _ = self.act()
        self.fault(refuse={})
        self.assertEqual(self.ask("/bank/act", call).decision, "accepted")

    def test_bad_output(self):
        for kind in ("array", "large", "reserved"):
            self.fault(bad_output={"kind": kind, "count": 1})
            call, answer = self.act()
            output = answer.body["output"]
            self.assertTrue({"array": lambda: isinstance(output, list), "large": lambda: len(output["booking"]) > 4096, "reserved": lambda: "saga_id" in output}[kind]())
            self.assertEqual(list(self.ask("/bank/act", call).body["output"]), ["booking"])
            self.assertEqual(self.provider.net("bank", call["key"]), [1])

    def test_die_before_and_after_the_effect(self):
        for when, effects in (("before", []), ("after", [1])):
            self.fault(die={"when": when, "count": 1})
            call, answer = self.act()
            self.provider.process.wait(5)
            self.assertEqual((answer.status, self.provider.net("bank", call["key"])), (0, effects))
            self.provider.start()
            self.assertEqual(self.ask("/bank/act", call).decision, "accepted")
            self.assertEqual(self.provider.net("bank", call["key"]), [1])

    def test_a_forgotten_key_is_a_second_effect_that_the_ledger_shows(self):
        call, _ = self.act()
        self.fault(forget_keys_after={"seconds": 0.3})
        time.sleep(0.4)
        self.ask("/bank/act", call)
        self.assertEqual(self.provider.net("bank", call["key"]), [1, 1])

    def test_what_was_done_is_taken_back_after_its_key_is_forgotten(self):
        call, _ = self.act()
        self.fault(forget_keys_after={"seconds": 0})
        for _ in range(2):
            self.assertEqual(self.ask("/bank/undo", undo_of(call)).decision, "undone")
        self.assertEqual(self.provider.net("bank", call["key"]), [1, -1])
        self.assertEqual(self.provider.rows("SELECT found FROM decisions WHERE verb = 'undo' AND act_key = ?", call["key"]), [("accepted",), ("undone",)])

    def test_a_forgotten_tombstone_refuses_nothing(self):
        call = a_call(PAID)
        self.ask("/bank/undo", undo_of(call))
        self.fault(forget_keys_after={"seconds": 0})
        self.assertEqual(self.ask("/bank/act", call).decision, "accepted")
        self.assertEqual(self.provider.rows("SELECT found FROM decisions WHERE verb = 'undo' AND act_key = ?", call["key"]), [("unseen",)])

    def test_down_for_a_while(self):
        self.fault(down={"for_seconds": 1.5})
        call, answer = self.act()
        self.assertEqual((answer.status, self.ask("/bank/undo", undo_of(call)).status, self.effects()), (0, 0, []))
        self.assertEqual(self.act("ledger")[1].decision, "accepted")
        self.until(lambda: self.ask("/bank/undo", undo_of(call)).status)
        self.assertEqual(self.ask("/bank/act", call).decision, "refused")

    def test_faults_of_one_service_of_all_and_of_one_verb(self):
        put = lambda path, body: exchange(self.provider.port, "PUT", path, body)  # noqa: E731
        self.assertEqual(put("/faults", {"*": {"status": {"verb": "undo"}}, "bank": {"status": {"code": [503]}}}).status, 200)
        call, answer = self.act()
        self.assertEqual((answer.status, self.ask("/ledger/undo", undo_of(call)).status, self.act("ledger")[1].status), (503, 500, 200))
        self.assertEqual(put("/faults/bank", {}).body, {"*": {"status": {"verb": "undo"}}})
        self.assertEqual(self.ask("/bank/act", call).status, 200)
        self.assertEqual(exchange(self.provider.port, "DELETE", "/faults").body, {})
        self.assertEqual(self.ask("/ledger/undo", undo_of(call)).status, 200)

    def test_counts_go_down_and_faults_survive_a_kill(self):
        self.fault(status={"count": 2})
        call, _ = self.act()
        self.assertEqual(exchange(self.provider.port, "GET", "/faults").body, {"bank": {"status": {"count": 1}}})
        self.provider.kill()
        self.provider.start()
        self.assertEqual([self.ask("/bank/act", call).status for _ in range(2)], [500, 200])
        self.assertEqual(exchange(self.provider.port, "GET", "/faults").body, {})

    def test_a_wrong_switch_is_400_and_changes_nothing(self):
        self.fault(status={"count": 9})
        for faults, said in (
            ([], "must be an object"), ({"bank": {"explode": {}}}, "no fault explode"), ({"bank": {"status": {"code": 200}}}, "200 is not allowed"),
            ({"bank": {"delay": {"sconds": 1}}}, "no such member"), ({"bank": {"delay": {"seconds": "1"}}}, "not allowed"), ({"bank": {"hang": {"count": True}}}, "not allowed"),
            ({"bank": {"garbage": {"kind": []}}}, "not allowed"), (b"{", "no JSON"),
        ):
            answer = exchange(self.provider.port, "PUT", "/faults", faults)
            self.assertEqual(answer.status, 400)
            self.assertIn(said, answer.body["detail"])
        self.assertEqual(exchange(self.provider.port, "GET", "/faults").body, {"bank": {"status": {"count": 9}}})

    def test_chance_repeats_with_its_seed_across_threads_and_restarts(self):
        calls = [a_call(PAID, saga=f"saga-{number}") for number in range(40)]
        faults = {"status": {"probability": 0.4, "code": [429, 500, 503]}, "apply_and_time_out": {"probability": 0.3, "hold": 0}}

        def run(threads):
            self.fault(**faults)
            with ThreadPoolExecutor(threads) as pool:
                first = list(pool.map(lambda call: self.ask("/bank/act", call).status, calls))
            return first

        one = run(8)
        self.provider.kill()
        for file in self.provider.folder.glob("ledger.sqlite*"):
            file.unlink()
        self.provider.start()
        self.assertEqual(one, run(1))
        self.assertEqual(set(one), {0, 200, 429, 500, 503})

    def test_the_requests_are_counted_with_times_and_replies(self):
        began = time.time()
        self.fault(status={"count": 1})
        call, _ = self.act()
        self.ask("/bank/act", call)
        self.ask("/bank/undo", undo_of(call))
        page = exchange(self.provider.port, "GET", f"/requests?service=bank&key={call['key']}").body
        self.assertEqual(page["totals"], {"bank": {"act": 2, "undo": 0}})
        (entry,) = page["requests"]
        self.assertEqual((entry["count"], entry["replies"]), (2, ["500", "200 accepted"]))
        self.assertTrue(all(began - 0.01 <= at <= time.time() for at in entry["at"]))
        self.assertEqual(exchange(self.provider.port, "GET", f"/requests?since={time.time()}").body, {"totals": {}, "requests": []})
        self.assertEqual(exchange(self.provider.port, "GET", "/requests?since=x").status, 400)

    def test_the_ledger_over_http_is_that_of_the_file(self):
        call, _ = self.act("ledger")
        self.ask("/ledger/undo", undo_of(call))
        totals = exchange(self.provider.port, "GET", f"/ledger?saga={call['saga_id']}").body["totals"]
        self.assertEqual(totals, {"ledger": {"applied": 1, "undone": 1}})
        page = exchange(self.provider.port, "GET", "/ledger").body
        self.assertEqual([(one["service"], one["key"], one["effect"]) for one in page["effects"]], self.provider.effects())
        of_one = exchange(self.provider.port, "GET", f"/ledger?service=ledger&saga={call['saga_id']}").body["effects"]
        self.assertEqual([(one["account"], one["amount"], one["effect"]) for one in of_one], [("alice", "120.50", 1), ("alice", "120.50", -1)])

    def requested(self, key):
        return exchange(self.provider.port, "GET", f"/requests?key={key}").body["requests"]

    def until(self, condition):
        end = time.monotonic() + 10
        while not condition():
            self.assertLess(time.monotonic(), end, "it did not happen")
            time.sleep(0.01)


class Restarting(FaultTest):
    extra = ["--restart-after", "0.05"]

    def test_it_comes_back_by_itself_and_goes_with_its_parent(self):
        pid = exchange(self.provider.port, "GET", "/status").body["pid"]
        self.fault(die={"count": 1})
        call, answer = self.act()
        self.provider.wait()
        self.assertEqual((answer.status, self.ask("/bank/act", call).decision, self.provider.net("bank", call["key"])), (0, "accepted", [1]))
        self.assertNotEqual(exchange(self.provider.port, "GET", "/status").body["pid"], pid)
        self.provider.kill()
        end = time.monotonic() + 10
        while exchange(self.provider.port, "GET", "/status").status and time.monotonic() < end:
            time.sleep(0.02)
        self.assertEqual(exchange(self.provider.port, "GET", "/status").status, 0)

    def test_a_provider_that_cannot_start_is_not_started_for_ever(self):
        done = subprocess.run(self.provider.command(), capture_output=True, text=True, timeout=20)  # its port is taken
        self.assertEqual((done.returncode, "Address already in use" in done.stderr), (1, True))


class Signed(FaultTest):
    extra = ["--signature", " ".join(SECRETS)]

    def signed(self, call, secrets=SECRETS, late=0, path="/bank/act", **changes):
        body, timestamp = json.dumps(call).encode(), str(int(time.time()) - late)
        signatures = " ".join(signature.sign(signature.secret_of(secret), call["key"], timestamp, body) for secret in secrets)
        headers = {"webhook_id": call["key"], "webhook_timestamp": timestamp, "webhook_signature": signatures, "idempotency_key": call["key"], **changes}
        return self.ask(path, body, **headers)

    def test_one_valid_secret_is_enough(self):
        for secrets in (SECRETS, SECRETS[:1], SECRETS[1:], ["whsec_AAAA", SECRETS[1]]):
            self.assertEqual(self.signed(a_call(PAID), secrets).decision, "accepted")

    def test_anything_else_is_401_and_changes_nothing(self):
        call = a_call(PAID)
        answers = [
            self.ask("/bank/act", call), self.signed(call, ["whsec_AAAA"]), self.signed(call, late=301), self.signed(call, late=-301), self.signed(call, webhook_id="another"),
            self.signed(call, webhook_timestamp="yesterday"), self.signed(call, webhook_signature="v1,"), self.signed(call, webhook_signature="v2,é"),
        ]
        self.assertEqual([answer.status for answer in answers], [401] * len(answers))
        self.assertEqual(self.effects(), [])
        self.assertEqual(self.signed(call, late=290).decision, "accepted")

    def test_the_specs_example(self):
        secret = signature.secret_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        signed = signature.sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}')
        self.assertEqual(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")

    def test_a_secret_that_is_none_is_refused_at_the_start(self):
        for secret in ("hunter2", "whsec_?"):
            done = subprocess.run([sys.executable, str(SERVICES / "provider.py"), "--port", "1", "--ledger", "x", "--signature", secret], capture_output=True, text=True, timeout=20)
            self.assertEqual(done.returncode, 2)


if __name__ == "__main__":
    unittest.main()
