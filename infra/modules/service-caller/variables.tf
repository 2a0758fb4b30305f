variable "name" {
  description = "The service's name."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]([a-z0-9-]{0,22}[a-z0-9])?$", var.name))
    error_message = "name has 1 to 24 lower-case letters, digits and hyphens."
  }
}

variable "service" {
  description = "What it is and how it is called, checked by module services."
  type = object({
    url             = optional(string)
    lambda          = optional(string)
    auth            = string
    secret          = optional(string)
    max_concurrency = number
    resource        = optional(string)
  })
  nullable = false
}

variable "services_json" {
  description = "All services as functions see them: JSON of an object as in a services file."
  type        = string
  nullable    = false
}

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

variable "zip" {
  description = "Path of the package service-caller."
  type        = string
  nullable    = false
}

variable "architecture" {
  description = "What the package was built for: arm64 (cheaper) or x86_64."
  type        = string
  default     = "arm64"
  nullable    = false
}

variable "bus_name" {
  description = "The bus that requests come over."
  type        = string
  nullable    = false
}

variable "environment" {
  description = "Environment variables: the store, the quarantine and the alerts' topic."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "statements" {
  description = "What committing an answer calls, as IAM statements of module function."
  type = list(object({
    sid       = string
    actions   = list(string)
    resources = list(string)
    conditions = optional(list(object({
      test     = string
      variable = string
      values   = list(string)
    })), [])
  }))
  default  = []
  nullable = false
}

variable "kms_key_arn" {
  description = "Customer managed KMS key of the queues and the log; its policy must let events.amazonaws.com use it. Null: keys of AWS."
  type        = string
  default     = null
}

variable "tls_only" {
  description = "Refuse requests without TLS. False only for an emulator that is reached over HTTP."
  type        = bool
  default     = true
  nullable    = false
}

variable "log_retention_days" {
  description = "How long CloudWatch keeps the log."
  type        = number
  default     = 30
  nullable    = false
}

variable "network" {
  description = "The subnets and security groups that the caller works in, from which it reaches its service. Null: no network of yours."
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
