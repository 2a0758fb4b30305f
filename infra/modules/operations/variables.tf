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

variable "region" {
  description = "The region that the dashboard shows."
  type        = string
  nullable    = false
}

variable "alerts_topic_arn" {
  description = "The topic that alarms publish to."
  type        = string
  nullable    = false
}

variable "watched" {
  description = "Names of what is looked at: the output `watched` of module saga-aws."
  type = object({
    bus                = string
    functions          = map(string)
    schedules          = map(string)
    events_queue       = string
    dead_letter_queues = map(string)
    service_queues     = optional(map(string), {})
    quarantine_queue   = string
    rules              = map(string)
  })
  nullable = false

  validation {
    condition = contains(keys(var.watched.functions), "outbox-poller") && length(var.watched.schedules) > 0 && alltrue([
      for name in keys(var.watched.schedules) : contains(keys(var.watched.functions), name)
    ])
    error_message = "watched.functions names outbox-poller and every function of watched.schedules, which is not empty: who runs by a schedule must never be silent."
  }
}

variable "log_groups" {
  description = "Log groups by function: the output `log_groups` of module saga-aws."
  type        = map(string)
  nullable    = false

  validation {
    condition     = alltrue([for name in ["saga_initiator", "outbox_poller", "saga_events", "event_ingress", "deadline_sweeper"] : contains(keys(var.log_groups), name)])
    error_message = "log_groups names saga_initiator, outbox_poller, saga_events, event_ingress and deadline_sweeper."
  }
}

variable "metrics_namespace" {
  description = "Namespace of the metrics that come out of logs. Two deployments in an account need two."
  type        = string
  default     = "SagaBridge"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_./#-]{1,100}$", var.metrics_namespace)) && !startswith(var.metrics_namespace, "AWS/")
    error_message = "metrics_namespace has 1 to 100 letters, digits and _ . / # -, and is not one of AWS's."
  }
}

variable "thresholds" {
  description = "When alarms ring."
  type = object({
    outbox_age_seconds        = optional(number, 120)
    events_queue_age_seconds  = optional(number, 300)
    service_queue_age_seconds = optional(number, 1800)
    ingress_refusals          = optional(number, 10)
    error_percent             = optional(number, 5)
    throttles                 = optional(number, 5)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for threshold in values(var.thresholds) : threshold >= 0]) && var.thresholds.error_percent <= 100
    error_message = "thresholds are not negative, and error_percent is at most 100."
  }
}

variable "objective" {
  description = "The objective on the time from a saga's start to its end: how many percent end within how many seconds."
  type = object({
    seconds = optional(number, 60)
    percent = optional(number, 99)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.objective.seconds >= 1 && var.objective.percent >= 50 && var.objective.percent < 100
    error_message = "objective.seconds is 1 or more, objective.percent is 50 to less than 100: an objective of 100 % has no budget."
  }
}

variable "runbook_url" {
  description = "Where RUNBOOK.md is to be read; alarms link to its sections."
  type        = string
  default     = "infra/RUNBOOK.md"
  nullable    = false
}

variable "connection" {
  description = "The name of the connection that EventBridge signs in to Azure with. Null: there is none, because the relay sends."
  type        = string
  default     = null
}

variable "secret_expires" {
  description = "When the client secret of that connection expires, as RFC 3339. Null: never, or nobody knows."
  type        = string
  default     = null

  validation {
    condition     = var.secret_expires == null || can(timeadd(var.secret_expires, "0h"))
    error_message = "secret_expires is a time such as 2027-11-26T00:00:00Z."
  }
}

variable "kms_key_arn" {
  description = "The key that encrypts the alerts' topic. Null: none of this deployment's own."
  type        = string
  default     = null
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
