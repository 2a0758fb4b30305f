"""What a customer key encrypts, on an emulator that keeps keys: the modules of `customer_managed_key`, applied beside the stack."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

from local_stack.read_back import aws_json
from stack.support import ROOT, StackTest, wait_for

CONFIGURATION = """
terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}

provider "aws" {
  region                      = "%(region)s"
  access_key                  = "test"
  secret_key                  = "test"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true

  endpoints {
    iam = "%(aws)s"
    kms = "%(aws)s"
    sns = "%(aws)s"
    sqs = "%(aws)s"
    ssm = "%(aws)s"
    sts = "%(aws)s"
  }
}

module "encryption" {
  source = "%(modules)s/encryption"
  region = "%(region)s"
  prefix = "%(prefix)s"
}

module "queues" {
  source      = "%(modules)s/queues"
  prefix      = "%(prefix)s"
  kms_key_arn = module.encryption.key_arn
}

module "alerts" {
  source      = "%(modules)s/alerts"
  prefix      = "%(prefix)s"
  kms_key_arn = module.encryption.key_arn
}

resource "aws_ssm_parameter" "secret" {
  name   = "/saga-bridge/%(prefix)s/azure-secret"
  type   = "SecureString"
  key_id = module.encryption.key_arn
  value  = "the secret"
}

output "made" {
  value = {
    key   = module.encryption.key_arn
    queue = module.queues.events.url
    topic = module.alerts.topic_arn
  }
}
"""


class Keys(StackTest):
    def test_the_key_queues_the_topic_and_a_parameter_are_made_and_work(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        prefix = f"keys-{uuid.uuid4().hex[:8]}-"
        values = {"region": self.e["region"], "aws": self.e["aws"], "modules": ROOT / "infra" / "modules", "prefix": prefix}
        (Path(folder.name) / "main.tf").write_text(CONFIGURATION % values)
        self.terraform(folder.name, "init", "-input=false")
        self.terraform(folder.name, "apply", "-input=false", "-auto-approve", "-parallelism=40")
        self.terraform(folder.name, "plan", "-input=false", "-detailed-exitcode")  # 2 where something would change
        made = json.loads(self.terraform(folder.name, "output", "-json", "made"))

        self.assertTrue(self.call("kms", "TrentService.GetKeyRotationStatus", KeyId=made["key"])["KeyRotationEnabled"])
        policy = self.call("kms", "TrentService.GetKeyPolicy", KeyId=made["key"], PolicyName="default")["Policy"]
        self.assertIn("events.amazonaws.com", policy)
        attributes = self.sqs("GetQueueAttributes", QueueUrl=made["queue"], AttributeNames=["KmsMasterKeyId"])["Attributes"]
        self.assertEqual(attributes, {"KmsMasterKeyId": made["key"]})
        self.sqs("SendMessage", QueueUrl=made["queue"], MessageBody="whole")
        received = wait_for("the message", lambda: self.sqs("ReceiveMessage", QueueUrl=made["queue"]).get("Messages"))
        self.assertEqual([message["Body"] for message in received], ["whole"])
        kept, read = (
            self.call("ssm", "AmazonSSM.GetParameter", Name=f"/saga-bridge/{prefix}/azure-secret", WithDecryption=plain)["Parameter"]["Value"]
            for plain in (False, True)
        )
        self.assertEqual(read, "the secret")
        self.assertNotEqual(kept, read)

    def call(self, service: str, target: str, **body) -> dict:
        return aws_json(self.e, service, target, body, version="1.1")

    def terraform(self, folder: str, *arguments: str) -> str:
        command = [sys.executable, str(ROOT / "infra" / "terraform.py"), f"-chdir={folder}", *arguments, "-no-color"]
        if arguments[0] == "output":
            command.remove("-no-color")
        env = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_VAR_", "TF_CLI_ARGS"))}
        done = subprocess.run(command, env=env | {"TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}, capture_output=True, text=True, timeout=600)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout
