variable "name" {
  description = "The function's name, also of its role and its log group."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,54}$", var.name))
    error_message = "name has 1 to 54 letters, digits, hyphens and underscores (its schedule's rule adds nine, and 64 is the limit)."
  }
}

variable "description" {
  description = "One sentence on what the function is for."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = length(var.description) <= 256
    error_message = "description has at most 256 characters."
  }
}

variable "zip" {
  description = "Path of the package: a zip with the executable `bootstrap` at its root."
  type        = string
  nullable    = false
}

variable "architecture" {
  description = "What the package was built for: arm64 (cheaper) or x86_64."
  type        = string
  default     = "arm64"
  nullable    = false

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "architecture is arm64 or x86_64."
  }
}

variable "memory_mb" {
  description = "Memory in MB; CPU grows with it."
  type        = number
  default     = 128
  nullable    = false

  validation {
    condition     = var.memory_mb >= 128 && var.memory_mb <= 10240 && floor(var.memory_mb) == var.memory_mb
    error_message = "memory_mb is a whole number from 128 to 10240."
  }
}

variable "timeout_seconds" {
  description = "How long one invocation may take."
  type        = number
  default     = 10
  nullable    = false

  validation {
    condition     = var.timeout_seconds >= 1 && var.timeout_seconds <= 900 && floor(var.timeout_seconds) == var.timeout_seconds
    error_message = "timeout_seconds is a whole number from 1 to 900."
  }
}

variable "environment" {
  description = "Environment variables. Not for secrets: whoever may read the function's configuration reads them."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for name in keys(var.environment) : can(regex("^[A-Za-z][A-Za-z0-9_]+$", name))])
    error_message = "Names in environment start with a letter, then letters, digits and underscores (two characters at least)."
  }
}

variable "statements" {
  description = "What the code calls, as IAM statements. Wildcard actions are refused; every resource only under conditions."
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

  validation {
    condition     = alltrue([for statement in var.statements : can(regex("^[A-Za-z0-9]+$", statement.sid))])
    error_message = "A sid has letters and digits only."
  }

  validation {
    condition     = alltrue(flatten([for statement in var.statements : [for action in statement.actions : can(regex("^[a-z0-9-]+:[A-Za-z]+$", action))]]))
    error_message = "An action names one API call (service:Call); no wildcards."
  }

  validation {
    condition     = alltrue([for statement in var.statements : length(statement.actions) > 0 && length(statement.resources) > 0 && (!contains(statement.resources, "*") || length(statement.conditions) > 0)])
    error_message = "A statement has actions and resources; the resource \"*\" needs conditions (some calls know no resource)."
  }
}

variable "log_retention_days" {
  description = "How long CloudWatch keeps the log."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days is one of the periods CloudWatch Logs knows: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, …"
  }
}

variable "kms_key_arn" {
  description = "Customer managed KMS key of the log. CloudWatch Logs uses it on its own behalf: the role needs nothing. Null: a key of AWS."
  type        = string
  default     = null
}

variable "network" {
  description = "The subnets and security groups that the function works in. It reaches what these let it reach, and no public address without a NAT. Null: no network of yours."
  type = object({
    subnet_ids         = list(string)
    security_group_ids = list(string)
  })
  default = null

  validation {
    condition     = var.network == null || try(length(var.network.subnet_ids) > 0 && length(var.network.security_group_ids) > 0, false)
    error_message = "network has a subnet and a security group at least."
  }
}

variable "reserved_concurrency" {
  description = "The most invocations at a time, reserved for this function. Null: it shares the account's."
  type        = number
  default     = null

  validation {
    condition     = var.reserved_concurrency == null || try(var.reserved_concurrency >= 0 && floor(var.reserved_concurrency) == var.reserved_concurrency, false)
    error_message = "reserved_concurrency is a whole number, 0 (switched off) or more, or null."
  }
}

variable "url" {
  description = <<-EOT
    Give the function an HTTPS URL. Null: none.
    - auth: AWS_IAM (signed requests only) or NONE (the code authenticates its callers; with a real account this
      needs aws provider 6.29 or newer, which adds both statements a public URL is asked for since 2025).
    With AWS_IAM, principals of this account need lambda:InvokeFunctionUrl and lambda:InvokeFunction in their own policies;
    module url-callers lets principals of other accounts call.
  EOT
  type        = object({ auth = optional(string, "AWS_IAM") })
  default     = null

  validation {
    condition     = var.url == null || try(contains(["AWS_IAM", "NONE"], var.url.auth), false)
    error_message = "url.auth is AWS_IAM or NONE."
  }

}

variable "queue_trigger" {
  description = "Invoke the function with messages of this SQS queue; it answers which of a batch failed. Null: no queue."
  type = object({
    arn                 = string
    batch_size          = optional(number, 10)
    maximum_concurrency = optional(number)
  })
  default = null

  validation {
    condition     = var.queue_trigger == null || try(var.queue_trigger.batch_size >= 1 && var.queue_trigger.batch_size <= 10, false)
    error_message = "queue_trigger.batch_size is 1 to 10 (more needs a batching window, which costs latency)."
  }

  validation {
    condition     = try(var.queue_trigger.maximum_concurrency, null) == null || try(var.queue_trigger.maximum_concurrency >= 2 && var.queue_trigger.maximum_concurrency <= 1000, false)
    error_message = "queue_trigger.maximum_concurrency is 2 to 1000, or null."
  }
}

variable "stream_trigger" {
  description = <<-EOT
    Invoke the function with rows inserted into a DynamoDB table. Null: no stream.
    - batch_size, parallelization: rows an invocation, invocations at a time for each shard of the stream.
    - maximum_age_seconds, maximum_retries: when to give up on a failing batch, which blocks its shard.
    - failure_queue_arn: the SQS queue that gets the report of a batch that was given up.
    - pattern: the records that wake it, as the JSON of a filter.
  EOT
  type = object({
    arn                 = string
    failure_queue_arn   = string
    batch_size          = optional(number, 100)
    parallelization     = optional(number, 2)
    maximum_age_seconds = optional(number, 300)
    maximum_retries     = optional(number, 5)
    pattern             = optional(string, "{\"eventName\":[\"INSERT\"]}")
  })
  default = null

  validation {
    condition     = var.stream_trigger == null || try(var.stream_trigger.batch_size >= 1 && var.stream_trigger.batch_size <= 1000, false)
    error_message = "stream_trigger.batch_size is 1 to 1000."
  }

  validation {
    condition     = var.stream_trigger == null || try(var.stream_trigger.parallelization >= 1 && var.stream_trigger.parallelization <= 10, false)
    error_message = "stream_trigger.parallelization is 1 to 10."
  }

  validation {
    condition     = var.stream_trigger == null || try(var.stream_trigger.maximum_age_seconds >= 60 && var.stream_trigger.maximum_age_seconds <= 86400, false)
    error_message = "stream_trigger.maximum_age_seconds is 60 to 86400 (a stream keeps a day)."
  }

  validation {
    condition     = var.stream_trigger == null || try(var.stream_trigger.maximum_retries >= 0 && var.stream_trigger.maximum_retries <= 10000, false)
    error_message = "stream_trigger.maximum_retries is 0 to 10000; unlimited retries would block a shard."
  }
}

variable "schedule" {
  description = "Invoke the function by the clock: rate(1 minute), cron(0 3 * * ? *). Null: not."
  type        = string
  default     = null

  validation {
    condition     = var.schedule == null || can(regex("^(rate\\((1 (minute|hour|day)|([2-9]|[1-9][0-9]+) (minutes|hours|days))\\)|cron\\(.+\\))$", var.schedule))
    error_message = "schedule is rate(1 minute), rate(5 minutes), … or cron(…)."
  }
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
