variable "prefix" {
  description = "Put before every name, so that two deployments fit into one account. Empty: the plain names."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^([A-Za-z][A-Za-z0-9_-]{0,27})?$", var.prefix))
    error_message = "prefix is empty, or a letter followed by at most 27 letters, digits, hyphens or underscores (its archive's name has 48)."
  }
}

variable "azure" {
  description = <<-EOT
    The way to the other cloud.
    - topic_endpoint: the Event Grid topic's publish URL, https://<topic>.<region>-1.eventgrid.azure.net/api/events.
    - oauth: the app registration EventBridge signs in as (role EventGrid Data Sender on the topic). Null: the
      topic's access key is sent instead. azure_secret is the client secret in the one case, the key in the other.
    - rate_limit: requests a second EventBridge may send. A backlog that the limit cannot clear within the
      24 hours of retries ends in the dead-letter queue, so keep it well above the peak.
    - dead_letter_queue: where events go that could not be delivered.
    - relay_queue: the queue of a relay that sends in place of EventBridge; oauth, rate_limit and azure_secret
      are of no use then. Null: EventBridge sends.
  EOT
  type = object({
    topic_endpoint = string
    oauth = optional(object({
      token_endpoint = string
      client_id      = string
      scope          = optional(string, "https://eventgrid.azure.net/.default")
    }))
    rate_limit = optional(number, 300)
    dead_letter_queue = object({
      arn = string
      url = string
    })
    relay_queue = optional(object({
      arn = string
      url = string
    }))
  })
  nullable = false

  validation {
    condition     = can(regex("^(https://[^/?#]+|http://(127\\.0\\.0\\.1|localhost)(:[0-9]+)?)/api/events$", var.azure.topic_endpoint))
    error_message = "azure.topic_endpoint is the topic's publish URL, https://<topic host>/api/events, without a query (http only on loopback)."
  }

  validation {
    condition     = var.azure.oauth == null || can(regex("^(https://[^/?#]+|http://(127\\.0\\.0\\.1|localhost)(:[0-9]+)?)/", var.azure.oauth.token_endpoint))
    error_message = "azure.oauth.token_endpoint is an https URL such as https://login.microsoftonline.com/<tenant>/oauth2/v2.0/token (http only on loopback)."
  }

  validation {
    condition     = var.azure.rate_limit >= 1 && var.azure.rate_limit <= 300 && floor(var.azure.rate_limit) == var.azure.rate_limit
    error_message = "azure.rate_limit is a whole number from 1 to 300 (EventBridge's limit for an API destination)."
  }
}

variable "azure_secret" {
  description = "The client secret when azure.oauth is set, else the topic's access key; null with a relay."
  type        = string
  default     = null
  sensitive   = true

  validation {
    condition     = var.azure_secret == null || try(length(var.azure_secret) >= 1 && length(var.azure_secret) <= 512, false)
    error_message = "azure_secret has 1 to 512 characters."
  }
}

variable "aws" {
  description = "The way to the AWS participants: their queue, and the queue for what could not be put onto it."
  type = object({
    queue = object({
      arn = string
      url = string
    })
    dead_letter_queue = object({
      arn = string
      url = string
    })
  })
  nullable = false
}

variable "kms_key_arn" {
  description = "Customer managed KMS key of the bus, its rules and the connection's secret (module encryption). Null: keys of AWS."
  type        = string
  default     = null
}

variable "dead_letters" {
  description = "Whether the bus has a dead-letter queue, which a bus with kms_key_arn needs. Said by itself, because a plan does not know a key that is yet to be made."
  type        = bool
  default     = false
  nullable    = false
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

variable "tls_only" {
  description = "Refuse requests without TLS. False only for an emulator that is reached over HTTP."
  type        = bool
  default     = true
  nullable    = false
}
