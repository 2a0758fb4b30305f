variables {
  services = {
    ledger = { cloud = "aws", url = "https://abcdef1234.execute-api.eu-central-1.amazonaws.com/prod/saga", auth = "sigv4" }
    mail   = { cloud = "aws", lambda = "arn:aws:lambda:eu-central-1:123456789012:function:mail:live", auth = "lambda", max_concurrency = 1 }
    stock  = { cloud = "aws", url = "https://stock.example.com:8443/", auth = "signature", secret = "prod/stock", inside = true }
    tax    = { cloud = "aws", url = "https://abc.lambda-url.eu-central-1.on.aws", auth = "sigv4", resource = "arn:aws:lambda:eu-central-1:123456789012:function:tax" }
    bank   = { cloud = "azure", url = "https://bank.example.com/saga", auth = "entra", audience = "api://bank", max_concurrency = 100 }
    fraud = {
      cloud    = "azure", url = "https://fraud.example.com", auth = "signature", secret = "https://vault1.vault.azure.net/secrets/fraud",
      resource = "/subscriptions/0/resourceGroups/keys/providers/Microsoft.KeyVault/vaults/vault1"
    }
    local  = { cloud = "aws", url = "http://127.0.0.1:4590/local", auth = "none" }
    signed = { cloud = "azure", url = "http://localhost:4590", auth = "signature", secret = "env:SIGNED" }
  }
}

run "each_cloud_takes_its_own" {
  command = plan

  assert {
    condition     = { for cloud, services in output.of : cloud => join(" ", keys(services)) } == { aws = "ledger local mail stock tax", azure = "bank fraud signed" }
    error_message = "By cloud."
  }

  assert {
    condition     = jsonencode(output.seen["bank"]) == "{\"audience\":\"api://bank\",\"auth\":\"entra\",\"cloud\":\"azure\",\"max_concurrency\":100,\"url\":\"https://bank.example.com/saga\"}"
    error_message = "As in a services file, without what is not set."
  }

  assert {
    condition     = alltrue([for service in output.seen : length(setintersection(keys(service), ["inside", "resource"])) == 0]) && output.seen["ledger"].max_concurrency == 5
    error_message = "What roles and networks are made from is no member of a services file."
  }
}

run "none_is_fine" {
  command = plan

  variables {
    services = {}
  }

  assert {
    condition     = jsonencode(output.seen) == "{}" && length(output.of["aws"]) == 0
    error_message = "No service is bound by default."
  }
}

run "refuses_a_name_that_no_queue_can_have" {
  command = plan

  variables {
    services = { "Ledger_1" = { cloud = "aws", url = "https://a.example.com", auth = "signature", secret = "s" } }
  }

  expect_failures = [var.services]
}

run "refuses_a_name_that_means_people" {
  command = plan

  variables {
    services = { outside = { cloud = "aws", url = "https://a.example.com", auth = "signature", secret = "s" } }
  }

  expect_failures = [var.services]
}

run "refuses_a_name_that_is_too_long" {
  command = plan

  variables {
    services = { abcdefghijklmnopqrstuvwxy = { cloud = "aws", url = "https://a.example.com", auth = "signature", secret = "s" } }
  }

  expect_failures = [var.services]
}

run "refuses_too_many" {
  command = plan

  variables {
    services = { for number in range(11) : "s${number}" => { cloud = "aws", url = "https://a.example.com", auth = "signature", secret = "s" } }
  }

  expect_failures = [var.services]
}

run "refuses_another_cloud" {
  command = plan

  variables {
    services = { a = { cloud = "gcp", url = "https://a.example.com", auth = "signature", secret = "s" } }
  }

  expect_failures = [var.services]
}

run "refuses_no_address" {
  command = plan

  variables {
    services = { a = { cloud = "aws", auth = "sigv4" } }
  }

  expect_failures = [var.services]
}

run "refuses_two_addresses" {
  command = plan

  variables {
    services = { a = { cloud = "aws", url = "https://a.example.com", lambda = "arn:aws:lambda:eu-central-1:123456789012:function:a", auth = "lambda" } }
  }

  expect_failures = [var.services]
}

run "refuses_plain_http" {
  command = plan

  variables {
    services = { a = { cloud = "aws", url = "http://a.example.com", auth = "signature", secret = "s" } }
  }

  expect_failures = [var.services]
}

run "refuses_a_host_that_begins_like_loopback" {
  command = plan

  variables {
    services = { a = { cloud = "aws", url = "http://localhost.example.com", auth = "none" } }
  }

  expect_failures = [var.services]
}

run "refuses_a_user_in_the_url" {
  command = plan

  variables {
    services = { a = { cloud = "aws", url = "https://me:secret@a.example.com", auth = "signature", secret = "s" } }
  }

  expect_failures = [var.services]
}

run "refuses_a_query" {
  command = plan

  variables {
    services = { a = { cloud = "aws", url = "https://a.example.com/?key=1", auth = "signature", secret = "s" } }
  }

  expect_failures = [var.services]
}

run "refuses_a_function_by_name" {
  command = plan

  variables {
    services = { a = { cloud = "aws", lambda = "a", auth = "lambda" } }
  }

  expect_failures = [var.services]
}

run "refuses_every_function" {
  command = plan

  variables {
    services = { a = { cloud = "aws", lambda = "arn:aws:lambda:eu-central-1:123456789012:function:*", auth = "lambda" } }
  }

  expect_failures = [var.services]
}

run "refuses_a_function_from_azure" {
  command = plan

  variables {
    services = { a = { cloud = "azure", lambda = "arn:aws:lambda:eu-central-1:123456789012:function:a", auth = "entra" } }
  }

  expect_failures = [var.services]
}

run "refuses_entra_from_aws" {
  command = plan

  variables {
    services = { a = { cloud = "aws", url = "https://a.example.com", auth = "entra" } }
  }

  expect_failures = [var.services]
}

run "refuses_sigv4_from_azure" {
  command = plan

  variables {
    services = { a = { cloud = "azure", url = "https://a.example.com", auth = "sigv4" } }
  }

  expect_failures = [var.services]
}

run "refuses_nobody_in_the_network" {
  command = plan

  variables {
    services = { a = { cloud = "aws", url = "https://a.example.com", auth = "none" } }
  }

  expect_failures = [var.services]
}

run "refuses_an_audience_without_entra" {
  command = plan

  variables {
    services = { a = { cloud = "aws", url = "https://a.example.com", auth = "signature", secret = "s", audience = "api://a" } }
  }

  expect_failures = [var.services]
}

run "refuses_a_signature_without_a_secret" {
  command = plan

  variables {
    services = { a = { cloud = "aws", url = "https://a.example.com", auth = "signature" } }
  }

  expect_failures = [var.services]
}

run "refuses_a_secret_that_nobody_uses" {
  command = plan

  variables {
    services = { a = { cloud = "azure", url = "https://a.example.com", auth = "entra", secret = "https://v.vault.azure.net/secrets/a" } }
  }

  expect_failures = [var.services]
}

run "refuses_every_secret" {
  command = plan

  variables {
    services = { a = { cloud = "aws", url = "https://a.example.com", auth = "signature", secret = "*" } }
  }

  expect_failures = [var.services]
}

run "refuses_a_secret_of_the_environment_in_a_cloud" {
  command = plan

  variables {
    services = { a = { cloud = "aws", url = "https://a.example.com", auth = "signature", secret = "env:A" } }
  }

  expect_failures = [var.services]
}

run "refuses_a_secret_of_the_other_cloud" {
  command = plan

  variables {
    services = { a = { cloud = "azure", url = "https://a.example.com", auth = "signature", secret = "prod/a", resource = "/subscriptions/0/resourceGroups/k/providers/Microsoft.KeyVault/vaults/v" } }
  }

  expect_failures = [var.services]
}

run "refuses_a_vault_that_nobody_named" {
  command = plan

  variables {
    services = { a = { cloud = "azure", url = "https://a.example.com", auth = "signature", secret = "https://v.vault.azure.net/secrets/a" } }
  }

  expect_failures = [var.services]
}

run "refuses_a_function_url_of_nobody" {
  command = plan

  variables {
    services = { a = { cloud = "aws", url = "https://abc.lambda-url.eu-central-1.on.aws", auth = "sigv4" } }
  }

  expect_failures = [var.services]
}

run "refuses_a_function_url_of_everybody" {
  command = plan

  variables {
    services = { a = { cloud = "aws", url = "https://abc.lambda-url.eu-central-1.on.aws", auth = "sigv4", resource = "arn:aws:lambda:eu-central-1:123456789012:function:*" } }
  }

  expect_failures = [var.services]
}

run "refuses_a_function_behind_a_domain_that_is_no_function_url" {
  command = plan

  variables {
    services = { a = { cloud = "aws", url = "https://a.example.com", auth = "sigv4", resource = "arn:aws:lambda:eu-central-1:123456789012:function:a" } }
  }

  expect_failures = [var.services]
}

run "refuses_a_resource_that_nobody_needs" {
  command = plan

  variables {
    services = { a = { cloud = "azure", url = "https://a.example.com", auth = "entra", resource = "/subscriptions/0/resourceGroups/k/providers/Microsoft.KeyVault/vaults/v" } }
  }

  expect_failures = [var.services]
}

run "refuses_no_call_at_a_time" {
  command = plan

  variables {
    services = { a = { cloud = "azure", url = "https://a.example.com", auth = "entra", max_concurrency = 0 } }
  }

  expect_failures = [var.services]
}

run "refuses_more_calls_than_a_hundred" {
  command = plan

  variables {
    services = { a = { cloud = "azure", url = "https://a.example.com", auth = "entra", max_concurrency = 101 } }
  }

  expect_failures = [var.services]
}

run "refuses_half_a_call" {
  command = plan

  variables {
    services = { a = { cloud = "azure", url = "https://a.example.com", auth = "entra", max_concurrency = 1.5 } }
  }

  expect_failures = [var.services]
}

run "refuses_a_function_inside_a_network" {
  command = plan

  variables {
    services = { a = { cloud = "aws", lambda = "arn:aws:lambda:eu-central-1:123456789012:function:a", auth = "lambda", inside = true } }
  }

  expect_failures = [var.services]
}

run "refuses_a_network_on_azure" {
  command = plan

  variables {
    services = { a = { cloud = "azure", url = "https://a.example.com", auth = "entra", inside = true } }
  }

  expect_failures = [var.services]
}
