variable "prefix" {
  description = "Put before every name, so that two deployments fit into one account. Empty: the plain names."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^([A-Za-z][A-Za-z0-9_-]{0,27})?$", var.prefix))
    error_message = "prefix is empty, or a letter followed by at most 27 letters, digits, hyphens or underscores."
  }
}

variable "zips_dir" {
  description = "Folder of the functions' packages, <function>.zip each."
  type        = string
  nullable    = false
}

variable "architecture" {
  description = "What the packages were built for: arm64 (cheaper) or x86_64."
  type        = string
  default     = "arm64"
  nullable    = false

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "architecture is arm64 or x86_64."
  }
}

variable "extra_env" {
  description = "Environment variables for every function, such as AWS_ENDPOINT_URL of an emulator."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "azure" {
  description = <<-EOT
    The Event Grid topic of the other cloud.
    - topic_endpoint: its publish URL, https://<topic>.<region>-1.eventgrid.azure.net/api/events.
    - oauth: the app registration EventBridge signs in as. Null: the topic's access key is sent instead.
    - rate_limit: requests a second EventBridge may send.
    - relay: send through the function event-relay, with a federated token in place of a secret: the tenant, the
      application or identity to become, and how many invocations at a time. Null: EventBridge sends.
  EOT
  type = object({
    topic_endpoint = string
    oauth = optional(object({
      token_endpoint = string
      client_id      = string
      scope          = optional(string, "https://eventgrid.azure.net/.default")
    }))
    rate_limit = optional(number, 300)
    relay = optional(object({
      tenant_id           = string
      client_id           = string
      maximum_concurrency = optional(number, 10)
    }))
  })
  nullable = false
}

variable "azure_secret" {
  description = "The client secret when azure.oauth is set, else the topic's access key; null with azure.relay."
  type        = string
  default     = null
  sensitive   = true
}

variable "api" {
  description = "The API's URL: auth AWS_IAM (signed requests) or NONE (open to everybody)."
  type        = object({ auth = optional(string, "AWS_IAM") })
  default     = {}
  nullable    = false
}

variable "ingress" {
  description = <<-EOT
    Whose tokens the webhook takes: issuers (Entra knows two for a tenant), the URL of their keys, the audience
    (the webhook's app registration), the tenant, the client id that must have asked for the token
    (Microsoft.EventGrid's), the app role it must have been given, the origin allowed in the handshake, and the
    most invocations at a time (null: as many as the account has). open_url: the function has an open URL, unless
    something else is in front of it.
  EOT
  type = object({
    issuers        = list(string)
    jwks_url       = string
    audience       = string
    tenant         = string
    client_id      = optional(string, "4962773b-9cdb-44cf-a8bf-237846a00ab7")
    role           = optional(string, "AzureEventGridSecureWebhookSubscriber")
    allowed_origin = optional(string, "eventgrid.azure.net")

    reserved_concurrency = optional(number)
    open_url             = optional(bool, true)
  })
  nullable = false

  validation {
    condition = length(var.ingress.issuers) > 0 && alltrue([
      for issuer in var.ingress.issuers : can(regex("^(https://[^,]+|http://(127\\.0\\.0\\.1|localhost)(:[0-9]+)?/[^,]*)$", issuer))
    ])
    error_message = "ingress.issuers are one or more https URLs without commas (http only on loopback)."
  }

  validation {
    condition     = can(regex("^(https://[^/]+|http://(127\\.0\\.0\\.1|localhost)(:[0-9]+)?)/", var.ingress.jwks_url))
    error_message = "ingress.jwks_url is an https URL (http only on loopback)."
  }

  validation {
    condition     = var.ingress.audience != "" && var.ingress.role != "" && var.ingress.allowed_origin != ""
    error_message = "ingress.audience, role and allowed_origin are not empty: an empty one would check nothing."
  }

  validation {
    condition = alltrue([
      for id in [var.ingress.tenant, var.ingress.client_id] :
      can(regex("^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$", id))
    ])
    error_message = "ingress.tenant and client_id are GUIDs."
  }
}

variable "nudge_after_seconds" {
  description = "How long a step may stay unanswered before its event is sent again."
  type        = number
  default     = 60
  nullable    = false

  validation {
    condition     = var.nudge_after_seconds >= 1 && var.nudge_after_seconds <= 86400 && floor(var.nudge_after_seconds) == var.nudge_after_seconds
    error_message = "nudge_after_seconds is a whole number from 1 to 86400."
  }
}

variable "stuck_after_seconds" {
  description = "A saga whose end is overdue and that has not moved for so long is shown as stuck and reported."
  type        = number
  default     = 900
  nullable    = false

  validation {
    condition     = var.stuck_after_seconds >= 1 && var.stuck_after_seconds <= 86400 && floor(var.stuck_after_seconds) == var.stuck_after_seconds
    error_message = "stuck_after_seconds is a whole number from 1 to 86400."
  }
}

variable "log_retention_days" {
  description = "How long CloudWatch keeps the functions' logs."
  type        = number
  default     = 30
  nullable    = false
}

variable "protection" {
  description = <<-EOT
    How the data is protected: continuous backups and deletion protection of the tables, and a customer managed
    KMS key for tables, queues, bus, alerts and logs (null: the keys AWS owns). Such a key's policy must let EventBridge,
    CloudWatch and CloudWatch Logs use it (module encryption), and with it comes bus_dead_letters: a queue for what the bus
    cannot encrypt or decrypt. tls_only: queues and the alerts' topic refuse requests without TLS.
  EOT
  type = object({
    point_in_time_recovery = optional(bool, true)
    deletion_protection    = optional(bool, true)
    kms_key_arn            = optional(string)
    bus_dead_letters       = optional(bool, false)
    tls_only               = optional(bool, true)
  })
  default  = {}
  nullable = false
}

variable "dead_letters" {
  description = <<-EOT
    The dead letters' URL: auth AWS_IAM (signed requests) or NONE (open to everybody; for emulators). azure: the places on the other cloud, with either
    - federated: the tenant, and the client id of an identity there with a federated credential for this account's
      tokens (audience api://AzureADTokenExchange), or
    - emulator_keys: the account's and the topic's keys, which land in the function's environment.
    calls: the queue of requests to services there, and its poison queue. Null: an Azure stack that has none yet.
    Null: dead letters of AWS only.
  EOT
  type = object({
    auth = optional(string, "AWS_IAM")
    azure = optional(object({
      account          = string
      blob_endpoint    = optional(string)
      queue_endpoint   = optional(string)
      table_endpoint   = optional(string)
      container        = string
      queue            = string
      poison_queue     = string
      quarantine_queue = string
      table            = string
      calls            = optional(object({ queue = string, poison_queue = string }))
      federated        = optional(object({ tenant = string, client_id = string }))
      emulator_keys    = optional(object({ account = string, topic = string }))
    }))
  })
  default  = {}
  nullable = false

  validation {
    condition = var.dead_letters.azure == null || (
      (try(var.dead_letters.azure.federated, null) == null) != (try(var.dead_letters.azure.emulator_keys, null) == null)
    )
    error_message = "dead_letters.azure has either federated or emulator_keys."
  }
}

variable "services" {
  description = "The outside services that call steps use, of both clouds (module services). Those of aws each get a caller."
  type = map(object({
    url             = optional(string)
    lambda          = optional(string)
    cloud           = string
    auth            = string
    audience        = optional(string)
    secret          = optional(string)
    max_concurrency = optional(number, 5)
    resource        = optional(string)
    inside          = optional(bool, false)
  }))
  default  = {}
  nullable = false
}

variable "network" {
  description = <<-EOT
    The subnets and security groups that functions work in: saga-initiator, outbox-poller, saga-events and deadline-sweeper,
    which call DynamoDB, EventBridge, SQS and SNS only. internet: the subnets have a way to the internet (a NAT), so
    event-ingress, event-relay and dlq-replayer work there, too; otherwise these stay outside. Null: no network of yours.
  EOT
  type = object({
    subnet_ids         = list(string)
    security_group_ids = list(string)
    internet           = optional(bool, false)
  })
  default = null
}

variable "iam" {
  description = <<-EOT
    What every role here has: its path, the ARN of a policy that bounds its permissions (null: none), and a suffix of its
    name. Names of roles are unique in an account, not in a region, so two regions need two suffixes.
  EOT
  type = object({
    path                 = optional(string, "/")
    permissions_boundary = optional(string)
    suffix               = optional(string, "")
  })
  default  = {}
  nullable = false

  validation {
    condition     = can(regex("^/([A-Za-z0-9+=,.@_-]+/)*$", var.iam.path)) && length(var.iam.path) <= 512
    error_message = "iam.path begins and ends with a slash, such as /platform/."
  }

  validation {
    condition     = var.iam.permissions_boundary == null || can(regex("^arn:[a-z-]+:iam::([0-9]{12}|aws):policy/", var.iam.permissions_boundary))
    error_message = "iam.permissions_boundary is the ARN of a policy, or null."
  }

  validation {
    condition     = can(regex("^[A-Za-z0-9-]{0,16}$", var.iam.suffix))
    error_message = "iam.suffix has at most 16 letters, digits and hyphens."
  }
}
