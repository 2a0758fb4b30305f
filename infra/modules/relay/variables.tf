variable "prefix" {
  description = "Put before every name, so that two deployments fit into one account. Empty: the plain names."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^([A-Za-z][A-Za-z0-9_-]{0,31})?$", var.prefix))
    error_message = "prefix is empty, or a letter followed by at most 31 letters, digits, hyphens or underscores."
  }
}

variable "zip" {
  description = "Path of the package of event-relay."
  type        = string
  nullable    = false
}

variable "architecture" {
  description = "What the package was built for: arm64 or x86_64."
  type        = string
  default     = "arm64"
  nullable    = false
}

variable "environment" {
  description = "Environment variables beside the relay's own."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "topic_endpoint" {
  description = "The topic's publish URL."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^(https://[^/?#]+|http://(127\\.0\\.0\\.1|localhost)(:[0-9]+)?)/api/events$", var.topic_endpoint))
    error_message = "topic_endpoint is the topic's publish URL, https://<topic host>/api/events, without a query (http only on loopback)."
  }
}

variable "tenant_id" {
  description = "The Entra tenant that exchanges the token."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$", var.tenant_id))
    error_message = "tenant_id is a GUID."
  }
}

variable "client_id" {
  description = "The application or user-assigned identity with the federated credential for the relay's role."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$", var.client_id))
    error_message = "client_id is a GUID."
  }
}

variable "maximum_concurrency" {
  description = "Invocations at a time: what bounds the rate at the topic."
  type        = number
  default     = 10
  nullable    = false
}

variable "kms_key_arn" {
  description = "Customer managed KMS key of the queues and the log. Null: keys of AWS."
  type        = string
  default     = null
}

variable "log_retention_days" {
  description = "How long CloudWatch keeps the log."
  type        = number
  default     = 30
  nullable    = false
}

variable "network" {
  description = "The subnets and security groups that the relay works in; they need a way to Entra and Event Grid (a NAT). Null: no network of yours."
  type = object({
    subnet_ids         = list(string)
    security_group_ids = list(string)
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

variable "tls_only" {
  description = "Refuse requests without TLS. False only for an emulator that is reached over HTTP."
  type        = bool
  default     = true
  nullable    = false
}
