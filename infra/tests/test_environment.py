"""environment.py and day_one.py against a `terraform`, an `aws`, an `az` and a `curl` of this file's."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import unittest
import unittest.mock
from pathlib import Path

INFRA = Path(__file__).resolve().parent.parent
sys.path.append(str(INFRA))

import day_one  # noqa: E402
import environment  # noqa: E402

FOR_AWS = {"environment": "staging", "transport": "federation-relay", "topic_endpoint": "https://topic.example/api/events"}
FROM_AWS = {"environment": "staging", "ingress_url": "https://ingress.example/", "api_url": "https://api.example/", "dead_letters_url": "https://dead.example/"}

TERRAFORM = """#!/bin/sh
echo "terraform $*" >>"$NOTES/calls"
echo "$TF_DATA_DIR" >>"$NOTES/data"
stack=$(basename "${1#-chdir=}"); shift
case "$1 $3" in
"output for_aws") cat "$NOTES/for_aws" ;;
"output azure_secret") echo '"the secret"' ;;
esac
case "$1 $2-$stack" in
"show -json-azure") [ ! -e "$NOTES/no-state" ] || exit 1; cat "$NOTES/state" 2>/dev/null || echo '{"format_version": "1.0"}' ;;
esac
case "$1-$stack" in
apply-aws) [ ! -e "$NOTES/aws-fails" ] || exit 1; cp "$NOTES/from_aws" "$NOTES/aws" ;;
plan-*) exit "${PLAN:-0}" ;;
esac
"""

# Keeps parameters as files.
AWS = """#!/bin/sh
echo "aws $*" >>"$NOTES/calls"
[ ! -e "$NOTES/silent" ] || exec sleep 600
case "$*" in
*delete-parameter*) rm -f "$NOTES/azure-secret" ;;
*get-parameter*) [ ! -e "$NOTES/denied" ] || { echo "An error occurred (AccessDeniedException)" >&2; exit 254; }
  name=$(echo "$*" | sed 's/.*--name [^ ]*\\/\\([^ ]*\\).*/\\1/')
  [ -e "$NOTES/$name" ] || { echo "An error occurred (ParameterNotFound) when calling GetParameter" >&2; exit 254; }
  case "$*" in *"--output text"*) cat "$NOTES/$name" ;; *) python3 -c 'import json,sys; print(json.dumps({"Parameter": {"Value": open(sys.argv[1]).read()}}))' "$NOTES/$name" ;; esac ;;
*put-parameter*) python3 -c 'import json,os,sys; r=json.load(sys.stdin); open(os.environ["NOTES"] + "/" + r["Name"].split("/")[-1], "w").write(r["Value"]); open(os.environ["NOTES"] + "/kinds", "a").write(r["Name"] + " " + r["Type"] + chr(10))' ;;
*get-caller-identity*) echo '{"Account": "111111111111"}' ;;
*) echo "" ;;
esac
"""


class Fakes(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.notes = Path(folder.name)
        (self.notes / "bin").mkdir()
        for name, text in (("terraform", TERRAFORM), ("aws", AWS)):
            (self.notes / "bin" / name).write_text(text)
            (self.notes / "bin" / name).chmod(0o755)
        (self.notes / "for_aws").write_text(json.dumps(FOR_AWS))
        (self.notes / "from_aws").write_text(json.dumps(FROM_AWS))
        self.place = self.notes / "staging"
        self.place.mkdir()
        for stack in ("azure", "aws"):
            (self.place / f"{stack}.tfvars").write_text('environment = "staging"\nregion = "eu-central-1"\n')
            (self.place / f"{stack}.tfbackend").write_text("")

    def run_it(self, *arguments, script="environment.py", **settings):
        env = {"PATH": f"{self.notes / 'bin'}{os.pathsep}{os.environ['PATH']}", "NOTES": str(self.notes), "HOME": str(self.notes), **settings}
        return subprocess.run([sys.executable, INFRA / script, *arguments], env=env, capture_output=True, text=True, timeout=60, check=False)

    def calls(self, *words):
        lines = (self.notes / "calls").read_text().splitlines() if (self.notes / "calls").exists() else []
        return [line for line in lines if all(word in line for word in words)]


class Applying(Fakes):
    def apply(self, **settings):
        return self.run_it("--folder", str(self.place), "--auto-approve", "apply", "staging", **settings)

    def steps(self):
        return [re.search(r"stacks/(\w+ apply)", line)[1] + (" with the way back" if "ingress_url=https://ingress.example/" in line else "")
                for line in self.calls("terraform", " apply ")]

    def test_azure_then_aws_then_the_way_back_and_never_again(self):
        done = self.apply()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.steps(), ["azure apply", "aws apply", "azure apply with the way back"])
        self.assertEqual(json.loads((self.notes / "azure").read_text()), FOR_AWS)
        (self.notes / "calls").unlink()
        self.assertEqual(self.apply().returncode, 0)
        self.assertEqual(self.steps(), ["azure apply with the way back", "aws apply"])

    def test_each_environment_has_its_own_data_and_state(self):
        self.apply(TF_DATA_DIR="/somewhere/else")
        data = set((self.notes / "data").read_text().splitlines())
        self.assertEqual(data, {str(self.place / ".terraform" / stack) for stack in ("azure", "aws")})
        self.assertEqual(len(self.calls("init", f"-backend-config={self.place / 'aws.tfbackend'}")), 1)

    def test_both_stacks_take_the_services_of_one_file(self):
        services = self.place / "services.tfvars"
        self.apply()
        self.assertEqual(self.calls(str(services)), [])
        services.write_text("services = {}\n")
        (self.notes / "calls").unlink()
        self.assertEqual(self.apply().returncode, 0)
        for stack in ("azure", "aws"):
            self.assertEqual(len(self.calls(f"stacks/{stack} apply", f"-var-file={self.place / f'{stack}.tfvars'} -var-file={services}")), 1)

    def test_a_secret_is_handed_over_encrypted_and_in_no_argument(self):
        (self.notes / "for_aws").write_text(json.dumps(FOR_AWS | {"transport": "api-destination"}))
        self.assertEqual(self.apply().returncode, 0)
        self.assertEqual((self.notes / "azure-secret").read_text(), "the secret")
        self.assertIn("/saga-bridge/staging/azure-secret SecureString", (self.notes / "kinds").read_text())
        self.assertEqual(self.calls("the secret"), [])

    def test_the_relay_hands_over_no_secret(self):
        self.apply()
        self.assertFalse((self.notes / "azure-secret").exists())

    def test_variables_of_another_environment_are_refused(self):
        for stack in ("azure", "aws"):
            with self.subTest(stack):
                file = self.place / f"{stack}.tfvars"
                file.write_text('environment = "prod"\nregion = "eu-central-1"\n')
                done = self.apply()
                self.assertEqual(done.returncode, 1)
                self.assertIn("is for the environment prod, not staging. Nothing was changed.", done.stderr)
                file.write_text('environment = "staging"\nregion = "eu-central-1"\n')
        self.assertEqual(self.calls(), [])

    def test_another_account_is_refused(self):
        (self.place / "aws.tfvars").write_text('environment = "staging"\nregion = "eu-central-1"\naccount_id = "222222222222"\n')
        done = self.apply()
        self.assertEqual((done.returncode, self.steps()), (1, []))
        self.assertIn("signed in to account 111111111111, and staging is in 222222222222", done.stderr)

    def test_roles_of_another_account_are_refused(self):
        (self.place / "aws.tfvars").write_text('environment = "staging"\nregion = "eu-central-1"\naccount_id = "111111111111"\n')
        (self.place / "azure.tfvars").write_text('environment = "staging"\nfederation = { role_arn = "arn:aws:iam::333333333333:role/staging-event-relay" }\n')
        done = self.apply()
        self.assertEqual((done.returncode, self.calls()), (1, []))
        self.assertIn("trusts roles of account 333333333333", done.stderr)

    def test_a_subscription_whose_way_back_is_not_found_is_kept(self):
        (self.notes / "state").write_text("module.topic.azurerm_eventgrid_event_subscription.to_ingress[0]\n")
        for what in ("apply", "plan"):
            done = self.run_it("--folder", str(self.place), what, "staging")
            self.assertEqual((done.returncode, self.steps()), (1, []))
            self.assertIn("Azure sends to a webhook of AWS", done.stderr)

    def test_an_answer_of_aws_that_never_comes_has_an_end(self):
        (self.notes / "silent").touch()
        one = environment.Environment("staging", self.place)
        around = {"PATH": f"{self.notes / 'bin'}{os.pathsep}{os.environ['PATH']}", "NOTES": str(self.notes)}
        with unittest.mock.patch.object(environment, "CALL_SECONDS", 1), unittest.mock.patch.dict(os.environ, around):
            with self.assertRaisesRegex(environment.Stop, "has not answered for 1 seconds. Both stacks keep what they have"):
                one.signed_in()

    def test_a_state_that_cannot_be_read_is_no_empty_one(self):
        (self.notes / "no-state").touch()
        done = self.apply()
        self.assertEqual((done.returncode, self.steps()), (1, []))
        self.assertIn("terraform show of the azure stack ended with 1", done.stderr)

    def test_what_another_environment_left_is_refused_on_both_ways(self):
        for by in ("aws", "azure"):
            with self.subTest(by):
                (self.notes / by).write_text(json.dumps(FROM_AWS | {"environment": "prod"}))
                done = self.run_it("--folder", str(self.place), "plan", "staging")
                self.assertEqual(done.returncode, 1)
                self.assertIn(f"/saga-bridge/staging/{by} holds what the environment prod left", done.stderr)
                (self.notes / by).unlink()

    def test_what_cannot_be_read_is_no_first_apply(self):
        (self.notes / "denied").touch()
        for what in ("plan", "drift", "apply"):
            done = self.run_it("--folder", str(self.place), what, "staging")
            self.assertEqual((done.returncode, self.calls("terraform")), (1, []))
            self.assertIn("AccessDenied", done.stderr)

    def test_what_aws_left_has_to_be_what_aws_leaves(self):
        for text in ("null", "[]", "no json", '{"environment": "staging", "ingress_url": null}'):
            with self.subTest(text):
                (self.notes / "aws").write_text(text)
                done = self.apply()
                self.assertEqual((done.returncode, self.steps()), (1, []))
                self.assertNotIn("Traceback", done.stderr)

    def test_only_the_top_level_of_the_variables_is_read(self):
        (self.place / "aws.tfvars").write_text('tags = {\n  region = "us-east-1" # }\n  environment = "prod"\n}\nenvironment = "staging" // here\nregion = "eu-central-1"\n')
        self.assertEqual(self.apply().returncode, 0)
        self.assertEqual(self.calls("--region us-east-1"), [])

    def test_a_name_that_is_none_is_refused(self):
        for name in ("../staging", "Staging", "a b", "a'b", "a$(id)", ""):
            with self.subTest(name):
                self.assertEqual(self.run_it("--folder", str(self.place), "apply", name).returncode, 1)
        self.assertEqual(self.calls(), [])

    def test_the_secret_of_a_transport_before_is_deleted(self):
        (self.notes / "azure-secret").write_text("old")
        self.assertEqual(self.apply().returncode, 0)
        self.assertFalse((self.notes / "azure-secret").exists())

    def test_any_command_of_terraform_with_the_data_of_the_environment(self):
        done = self.run_it("--folder", str(self.place), "terraform", "staging", "aws", "state", "rm", "x")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(self.calls("stacks/aws state rm x")), 1)
        self.assertEqual((self.notes / "data").read_text().strip(), str(self.place / ".terraform" / "aws"))

    def test_a_stack_that_fails_stops_it(self):
        (self.notes / "aws-fails").touch()
        done = self.apply()
        self.assertEqual(done.returncode, 1)
        self.assertEqual(self.steps(), ["azure apply", "aws apply"])
        self.assertIn("the aws stack ended with 1", done.stderr)

    def test_before_the_first_apply_aws_is_not_planned(self):
        done = self.run_it("--folder", str(self.place), "plan", "staging")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(self.calls("plan")), 1)
        self.assertIn("the Azure stack has left nothing yet", done.stderr)

    def test_drift_is_two(self):
        self.apply()
        self.assertEqual(self.run_it("--folder", str(self.place), "drift", "staging").returncode, 0)
        self.assertEqual(self.run_it("--folder", str(self.place), "drift", "staging", PLAN="2").returncode, 2)
        self.assertEqual(self.run_it("--folder", str(self.place), "plan", "staging", PLAN="2").returncode, 0)
        self.assertEqual(self.run_it("--folder", str(self.place), "plan", "staging", PLAN="1").returncode, 1)

    def test_the_examples_are_read(self):
        # The account that the stand-in is signed in to is staging's.
        self.assertEqual(self.run_it("plan", "staging").returncode, 0)
        self.assertIn("prod is in 222222222222", self.run_it("plan", "prod").stderr)


class DayOne(Fakes):
    def test_what_fails_says_what_was_expected_and_answered(self):
        (self.notes / "aws").write_text(json.dumps(FROM_AWS))
        (self.notes / "azure").write_text(json.dumps(FOR_AWS))
        for name in ("az", "curl"):
            (self.notes / "bin" / name).write_text("#!/bin/sh\nexit 1\n")
            (self.notes / "bin" / name).chmod(0o755)
        done = self.run_it("--folder", str(self.place), "--patience", "0", "staging", script="day_one.py")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(" 1 ok      AWS knows who you are", done.stdout)
        self.assertIn(" 3 ok      the Azure stack was applied", done.stdout)
        self.assertRegex(done.stdout, r"6 FAILED  the webhook refuses calls without a token\n +expected: 401\n +answered: .*\n +command: +curl .*https://ingress.example/")
        self.assertIn("saga_id is not known, because a line above failed", done.stdout)
        # Names stand in a query as it wants them.
        self.assertEqual(len(self.calls("[?contains(TopicArn, ':staging-saga-alerts')].SubscriptionArn".replace("[?", "Subscriptions[?"))), 1)

    def test_what_another_environment_left_does_not_count(self):
        (self.notes / "aws").write_text(json.dumps(FROM_AWS | {"environment": "prod", "region": "us-east-1"}))
        done = self.run_it("--folder", str(self.place), "--patience", "0", "staging", script="day_one.py")
        self.assertIn(" 2 FAILED  the AWS stack was applied", done.stdout)
        self.assertEqual(self.calls("us-east-1"), [])

    def test_no_key_is_in_an_argument(self):
        (self.notes / "bin" / "aws").write_text(AWS.replace('*get-caller', "*export-credentials*) printf 'junk\\nexport AWS_ACCESS_KEY_ID=AKID\\nexport AWS_SECRET_ACCESS_KEY=very-secret\\nexport AWS_SESSION_TOKEN=a-token\\n' ;;\n*get-caller"))
        (self.notes / "bin" / "curl").write_text('#!/bin/sh\necho "curl $*" >>"$NOTES/calls"\ncat >>"$NOTES/config"\necho "{\\"saga_id\\": \\"s\\"}"\n')
        (self.notes / "bin" / "curl").chmod(0o755)
        (self.notes / "aws").write_text(json.dumps(FROM_AWS))
        self.run_it("--folder", str(self.place), "--patience", "0", "staging", script="day_one.py")
        self.assertEqual(self.calls("very-secret") + self.calls("a-token"), [])
        config = (self.notes / "config").read_text()
        self.assertIn('user = "AKID:very-secret"\nheader = "x-amz-security-token: a-token"\n', config)
        self.assertEqual(len(self.calls("curl", "-d {\"order_id\":\"day-one-")), 2)

    def test_an_answer_that_never_comes_has_an_end(self):
        began = time.monotonic()
        with unittest.mock.patch.object(day_one, "CALL_SECONDS", 1):
            self.assertEqual(day_one.answer("sleep 300 | cat; sleep 300", {}), "no answer within 1 seconds")
        self.assertLess(time.monotonic() - began, 60)

    def test_the_list_asks_nobody(self):
        done = self.run_it("--folder", str(self.place), "--list", "staging", script="day_one.py")
        self.assertEqual((done.returncode, self.calls()), (0, []))
        self.assertIn("expected: COMPLETED", done.stdout)


if __name__ == "__main__":
    unittest.main()
