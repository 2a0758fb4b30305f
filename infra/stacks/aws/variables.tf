variable "region" {
  description = "The AWS region."
  type        = string
  default     = "eu-central-1"
  nullable    = false
}

variable "prefix" {
  description = "Put before every name, so that two deployments fit into one account. Empty: the plain names."
  type        = string
  default     = ""
  nullable    = false
}

variable "transport" {
  description = "How events go to Azure: api-destination (EventBridge signs in with a secret) or federation-relay (a function without a secret)."
  type        = string
  default     = "api-destination"
  nullable    = false

  validation {
    condition     = contains(["api-destination", "federation-relay"], var.transport)
    error_message = "transport is api-destination or federation-relay."
  }
}

variable "topic_endpoint" {
  description = "The Event Grid topic's publish URL (Azure stack, output for_aws)."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^https://[^/?#]+/api/events$", var.topic_endpoint))
    error_message = "topic_endpoint is https://<topic>.<region>-1.eventgrid.azure.net/api/events."
  }
}

variable "tenant_id" {
  description = "The Entra tenant (Azure stack, output for_aws)."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$", var.tenant_id))
    error_message = "tenant_id is a GUID."
  }
}

variable "audience" {
  description = "The webhook's application in Entra, which its tokens must be for (Azure stack, output for_aws)."
  type        = string
  nullable    = false

  validation {
    condition     = length(var.audience) > 0
    error_message = "audience is not empty."
  }
}

variable "client_id" {
  description = "The application AWS signs in as (Azure stack, output for_aws). Null: the topic's key is sent."
  type        = string
  default     = null
}

variable "dead_letters" {
  description = "Where dead letters lie on Azure, and the application that dlq-replayer is there (Azure stack, output for_aws). Null: those of AWS only."
  type = object({
    client_id        = string
    account          = string
    container        = string
    queue            = string
    poison_queue     = string
    quarantine_queue = string
    table            = string
  })
  default = null
}

variable "azure_secret" {
  description = "With api-destination: client secret or topic key (Azure stack, output azure_secret). Better in TF_VAR_azure_secret than in a file."
  type        = string
  default     = null
  sensitive   = true
}

variable "rate_limit" {
  description = "With api-destination: requests a second, 1 to 300. Too low a limit lets a backlog outlive the day of retries."
  type        = number
  default     = 300
  nullable    = false
}

variable "packages_dir" {
  description = "Folder of the packages, <architecture>/<function>.zip each."
  type        = string
  default     = "../../../target/package"
  nullable    = false
}

variable "architecture" {
  description = "What the functions run on: arm64 (cheaper) or x86_64."
  type        = string
  default     = "arm64"
  nullable    = false
}

variable "api_callers" {
  description = "ARNs of principals of other accounts that may call the API. Principals of this account need the permission in their own policies."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "dead_letter_callers" {
  description = "ARNs of principals of other accounts that may list, replay and discard dead letters. Principals of this account need the permission in their own policies."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "ingress_concurrency" {
  description = "The most invocations of the open webhook at a time, taken from the account's. Null: no limit."
  type        = number
  default     = 50
}

variable "nudge_after_seconds" {
  description = "How long a step may stay unanswered before its event is sent again."
  type        = number
  default     = 60
  nullable    = false
}

variable "archive_days" {
  description = "Keep every event of the bus for this many days, 0 for ever. Null: no archive."
  type        = number
  default     = 30
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
  default     = 30
  nullable    = false
}

variable "customer_managed_key" {
  description = "Encrypt tables, queues and alerts with a KMS key of this deployment. False: keys of AWS, at no charge."
  type        = bool
  default     = true
  nullable    = false
}

variable "deletion_protection" {
  description = "Refuse to delete the tables. Set it to false, apply, and only then destroy."
  type        = bool
  default     = true
  nullable    = false
}

variable "alert_email_addresses" {
  description = "Who gets mail; each address has to confirm."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "alarm_thresholds" {
  description = "When alarms ring; see module operations."
  type = object({
    outbox_age_seconds       = optional(number, 120)
    events_queue_age_seconds = optional(number, 300)
    ingress_refusals         = optional(number, 10)
    error_percent            = optional(number, 5)
    throttles                = optional(number, 5)
  })
  default  = {}
  nullable = false
}

variable "runbook_url" {
  description = "Where your people read infra/RUNBOOK.md; alarms link to its sections."
  type        = string
  default     = "infra/RUNBOOK.md"
  nullable    = false
}

variable "tags" {
  description = "Tags of everything, beside application = saga-bridge."
  type        = map(string)
  default     = {}
  nullable    = false
}
