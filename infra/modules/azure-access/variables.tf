variable "name" {
  description = "Names of the applications begin with it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z][A-Za-z0-9-]{1,60}$", var.name))
    error_message = "name is a letter followed by 1 to 60 letters, digits and hyphens."
  }
}

variable "owners" {
  description = "Object ids of who may change the applications, beside administrators. Empty: who applied first. An automation identity with Application.ReadWrite.OwnedBy has to be among them."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for id in var.owners : can(regex("^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$", id))])
    error_message = "owners are object ids (GUIDs)."
  }
}

variable "subscription_writers" {
  description = "Object ids of everybody who makes or changes the Event Grid subscription to the webhook, under names of your own. Empty: who applied first."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for id in values(var.subscription_writers) : can(regex("^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$", id))])
    error_message = "subscription_writers are object ids (GUIDs): az ad signed-in-user show --query id, az ad sp show --id <client id> --query id."
  }
}

variable "publisher" {
  description = "How AWS signs in to publish: client-secret (EventBridge's API destination), federation (the relay, no secret) or none (the topic's key)."
  type        = string
  default     = "client-secret"
  nullable    = false

  validation {
    condition     = contains(["client-secret", "federation", "none"], var.publisher)
    error_message = "publisher is client-secret, federation or none."
  }
}

variable "secret" {
  description = <<-EOT
    With publisher client-secret:
    - rotation: the number of the secret in use. One more makes a new secret, and keeps the one before it valid.
    - keep_previous: false takes the one before away, once the other cloud has the new one.
    - expires: when a secret that is made now expires (RFC 3339; null: two years after it was made). One that is there keeps its end.
  EOT
  type = object({
    expires       = optional(string)
    rotation      = optional(number, 1)
    keep_previous = optional(bool, true)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.secret.expires == null || can(formatdate("YYYY", var.secret.expires))
    error_message = "secret.expires is a time such as 2027-06-30T00:00:00Z."
  }

  validation {
    condition     = var.secret.rotation >= 1 && floor(var.secret.rotation) == var.secret.rotation
    error_message = "secret.rotation is a whole number from 1."
  }
}

variable "federation" {
  description = "With publisher federation: the issuer of the AWS account's tokens, and the ARN of the relay's role."
  type        = object({ issuer = string, role_arn = string })
  default     = null

  validation {
    condition     = var.federation == null || can(regex("^https://[^/?#]+", var.federation.issuer))
    error_message = "federation.issuer is the https URL that `aws iam get-outbound-web-identity-federation-info` shows."
  }

  validation {
    condition     = var.federation == null || can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/[^*?]+$", var.federation.role_arn))
    error_message = "federation.role_arn is the ARN of one IAM role."
  }
}

variable "replayer" {
  description = "The issuer of the AWS account's tokens, and the ARN of dlq-replayer's role. Null: it does not come here."
  type        = object({ issuer = string, role_arn = string })
  default     = null

  validation {
    condition     = var.replayer == null || can(regex("^https://[^/?#]+", var.replayer.issuer))
    error_message = "replayer.issuer is the https URL that `aws iam get-outbound-web-identity-federation-info` shows."
  }

  validation {
    condition     = var.replayer == null || can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/[^*?]+$", var.replayer.role_arn))
    error_message = "replayer.role_arn is the ARN of one IAM role."
  }
}
