mock_provider "azuread" {
  source = "../../mocks/azuread"
}

variables {
  name = "saga-test"
}

run "event_grid_and_who_applies_have_the_handshake_role" {
  command = apply

  assert {
    condition     = one(azuread_application.webhook.app_role).value == "AzureEventGridSecureWebhookSubscriber" && one(azuread_application.webhook.app_role).enabled
    error_message = "Event Grid and the webhook know the role by this name."
  }

  assert {
    condition     = { for name, assignment in azuread_app_role_assignment.handshake : name => assignment.principal_object_id } == { event_grid = "99999999-0000-0000-0000-00000000000e", writer_terraform = "99999999-0000-0000-0000-000000000001" }
    error_message = "Without the role Event Grid gets no token, and the subscription is refused."
  }

  assert {
    condition     = alltrue([for assignment in azuread_app_role_assignment.handshake : assignment.app_role_id == one(azuread_application.webhook.app_role).id && assignment.resource_object_id == azuread_service_principal.webhook.object_id])
    error_message = "The role that is given is the webhook's."
  }

  assert {
    condition     = data.azuread_service_principal.event_grid.client_id == "4962773b-9cdb-44cf-a8bf-237846a00ab7"
    error_message = "Microsoft.EventGrid's principal is there already, and only read."
  }

  assert {
    condition     = azuread_service_principal.webhook.app_role_assignment_required
    error_message = "Who has no role gets no token."
  }

  assert {
    condition     = azuread_application.webhook.api[0].requested_access_token_version == 2 && output.webhook_audience == azuread_application.webhook.client_id
    error_message = "The audience of version 2 is the client id."
  }
}

run "a_second_identity_changes_nothing" {
  command = plan

  # The runs above were applied by 99999999-0000-0000-0000-000000000001 (mocks/azuread).
  override_data {
    target = data.azuread_client_config.current
    values = { object_id = "99999999-0000-0000-0000-000000000002" }
  }

  assert {
    condition = alltrue([
      for owners in [azuread_application.webhook.owners, azuread_service_principal.webhook.owners, azuread_application.publisher[0].owners, azuread_service_principal.publisher[0].owners] :
      owners == toset(["99999999-0000-0000-0000-000000000001"])
    ])
    error_message = "Who applied first stays the owner."
  }

  assert {
    condition     = { for name, assignment in azuread_app_role_assignment.handshake : name => assignment.principal_object_id } == { event_grid = "99999999-0000-0000-0000-00000000000e", writer_terraform = "99999999-0000-0000-0000-000000000001" }
    error_message = "Who applied first keeps the role."
  }
}

run "owners_and_writers_that_are_named_are_followed" {
  command = plan

  variables {
    owners               = ["99999999-0000-0000-0000-000000000003"]
    subscription_writers = { ci = "99999999-0000-0000-0000-000000000003" }
  }

  assert {
    condition     = azuread_application.webhook.owners == toset(["99999999-0000-0000-0000-000000000003"]) && azuread_service_principal.publisher[0].owners == toset(["99999999-0000-0000-0000-000000000003"])
    error_message = "A real change is no change of who runs."
  }

  assert {
    condition     = toset(keys(azuread_app_role_assignment.handshake)) == toset(["event_grid", "writer_ci"])
    error_message = "Those who are named, and nobody else."
  }
}

run "a_client_secret_for_eventbridge" {
  command = apply

  assert {
    condition     = length(azuread_application_password.publisher) == 1 && length(azuread_application_federated_identity_credential.publisher) == 0
    error_message = "EventBridge's connection cannot federate."
  }

  assert {
    condition     = output.publisher.client_id == azuread_application.publisher[0].client_id && output.publisher_secret == azuread_application_password.publisher["1"].value
    error_message = "What crosses to AWS."
  }
}

run "rotation_keeps_the_secret_that_is_in_use" {
  command = apply

  variables {
    secret = { rotation = 2, expires = "2099-06-30T00:00:00Z" }
  }

  assert {
    condition     = toset(keys(azuread_application_password.publisher)) == toset(["1", "2"])
    error_message = "Both are valid until AWS has the new one."
  }

  assert {
    condition     = output.publisher_secret_expires == "2099-06-30T00:00:00Z" && azuread_application_password.publisher["1"].end_date == "2099-01-01T00:00:00Z"
    error_message = "A new end is the new secret's; the old one is not made anew."
  }
}

run "the_one_before_the_last_goes" {
  command = apply

  variables {
    secret = { rotation = 3 }
  }

  assert {
    condition     = toset(keys(azuread_application_password.publisher)) == toset(["2", "3"])
    error_message = "Two at a time."
  }
}

run "the_previous_one_goes_when_asked" {
  command = plan

  variables {
    secret = { rotation = 2, keep_previous = false }
  }

  assert {
    condition     = toset(keys(azuread_application_password.publisher)) == toset(["2"])
    error_message = "A secret that leaked does not stay."
  }
}

run "a_secret_that_expires_within_thirty_days_is_warned_of" {
  command = plan

  # A secret that was made long ago.
  override_resource {
    target          = azuread_application_password.publisher
    override_during = plan
    values          = { end_date = "2026-11-01T00:00:00Z" }
  }

  variables {
    secret = { rotation = 9 }
  }

  expect_failures = [check.secret_expiry]
}

run "federation_has_no_secret" {
  command = apply

  variables {
    publisher = "federation"
    federation = {
      issuer   = "https://abc.tokens.sts.global.api.aws"
      role_arn = "arn:aws:iam::123456789012:role/event-relay"
    }
  }

  assert {
    condition     = length(azuread_application_password.publisher) == 0 && output.publisher_secret == null
    error_message = "No secret where federation serves."
  }

  assert {
    condition     = azuread_application_federated_identity_credential.publisher[0].subject == var.federation.role_arn && azuread_application_federated_identity_credential.publisher[0].audiences == tolist(["api://AzureADTokenExchange"])
    error_message = "AWS vouches for one role."
  }
}

run "the_topic_key_needs_no_publisher" {
  command = apply

  variables {
    publisher = "none"
  }

  assert {
    condition     = length(azuread_application.publisher) == 0 && output.publisher == null
    error_message = "Nothing that nobody uses."
  }
}

run "the_replayer_is_an_application_apart" {
  command = apply

  variables {
    replayer = {
      issuer   = "https://abc.tokens.sts.global.api.aws"
      role_arn = "arn:aws:iam::123456789012:role/dlq-replayer"
    }
  }

  assert {
    condition     = azuread_application_federated_identity_credential.replayer[0].subject == var.replayer.role_arn && azuread_application_federated_identity_credential.replayer[0].issuer == var.replayer.issuer && azuread_application_federated_identity_credential.replayer[0].audiences == tolist(["api://AzureADTokenExchange"])
    error_message = "AWS vouches for one role."
  }

  assert {
    condition     = azuread_application.replayer[0].display_name == "saga-test-replayer" && output.replayer.client_id == azuread_application.replayer[0].client_id && output.replayer.object_id == azuread_service_principal.replayer[0].object_id
    error_message = "Its roles are not those of who publishes."
  }
}

run "no_replayer_unless_asked" {
  command = apply

  assert {
    condition     = length(azuread_application.replayer) == 0 && length(azuread_application_federated_identity_credential.replayer) == 0 && output.replayer == null
    error_message = "Nothing that nobody uses."
  }
}

run "refuses_federation_with_nobody" {
  command = plan

  variables {
    publisher = "federation"
  }

  expect_failures = [azuread_application_federated_identity_credential.publisher]
}

run "refuses_every_role_of_an_account" {
  command = plan

  variables {
    federation = { issuer = "http://abc.example.com", role_arn = "arn:aws:iam::123456789012:role/*" }
    replayer   = { issuer = "http://abc.example.com", role_arn = "arn:aws:iam::123456789012:role/*" }
  }

  expect_failures = [var.federation, var.replayer]
}

run "refuses_bad_settings" {
  command = plan

  variables {
    name                 = "9"
    owners               = ["ci"]
    subscription_writers = { ci = "ci" }
    publisher            = "password"
    secret               = { expires = "tomorrow" }
  }

  expect_failures = [var.name, var.owners, var.subscription_writers, var.publisher, var.secret]
}
