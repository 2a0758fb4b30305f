variable "name" {
  description = "Names begin with it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,48}[a-z0-9]$", var.name))
    error_message = "name has 3 to 50 lower-case letters, digits and hyphens."
  }
}

variable "short_name" {
  description = "How messages to people and pagers name the sender."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9]{1,12}$", var.short_name))
    error_message = "short_name has 1 to 12 letters and digits."
  }
}

variable "resource_group_name" {
  description = "The resource group."
  type        = string
  nullable    = false
}

variable "location" {
  description = "The region."
  type        = string
  nullable    = false
}

variable "topic_id" {
  description = "The Event Grid topic."
  type        = string
  nullable    = false
}

variable "storage_account_id" {
  description = "The account whose queues are watched."
  type        = string
  nullable    = false
}

variable "queues" {
  description = "Names of the queues."
  type        = object({ events = string, poison = string, calls = string, calls_poison = string, quarantine = string })
  nullable    = false
}

variable "function_app_name" {
  description = "The Function App, as its logs name it."
  type        = string
  nullable    = false
}

variable "secret" {
  description = "When the secret that AWS publishes with expires (RFC 3339); an alert tells 30 days ahead. Null: there is none."
  type        = object({ expires = string })
  default     = null
}

variable "email_addresses" {
  description = "Who gets mail."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for address in var.email_addresses : can(regex("^[^@ ]+@[^@ ]+$", address))])
    error_message = "email_addresses are mail addresses."
  }
}

variable "webhook_urls" {
  description = "What is called: a pager or a chat."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for url in var.webhook_urls : startswith(url, "https://")])
    error_message = "webhook_urls are https URLs."
  }
}

variable "runbook_url" {
  description = "Where RUNBOOK.md is to be read; alerts link to its sections."
  type        = string
  default     = "infra/RUNBOOK.md"
  nullable    = false
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.log_retention_days >= 30 && var.log_retention_days <= 730 && floor(var.log_retention_days) == var.log_retention_days
    error_message = "log_retention_days is a whole number from 30 to 730."
  }
}

variable "daily_quota_gb" {
  description = "Logs over this many GB a day are not taken, so that a loop does not cost a fortune. -1: no limit."
  type        = number
  default     = 5
  nullable    = false

  validation {
    condition     = var.daily_quota_gb == -1 || var.daily_quota_gb >= 0.1
    error_message = "daily_quota_gb is 0.1 or more, or -1."
  }
}

variable "delivery_failures" {
  description = "Failed delivery attempts in a quarter of an hour that are still normal."
  type        = number
  default     = 20
  nullable    = false
}

variable "publish_failures" {
  description = "Refused publications in a quarter of an hour that are still normal."
  type        = number
  default     = 5
  nullable    = false
}

variable "participant_failures" {
  description = "Failed invocations in a quarter of an hour that are still normal: each is tried again."
  type        = number
  default     = 5
  nullable    = false
}

variable "tags" {
  description = "Tags of everything."
  type        = map(string)
  default     = {}
  nullable    = false
}
