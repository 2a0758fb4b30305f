variable "prefix" {
  description = "Put before every name."
  type        = string
  nullable    = false
}

variable "function" {
  description = "The function behind it: name and ARN of event-ingress."
  type        = object({ name = string, arn = string })
  nullable    = false
}

variable "issuer" {
  description = "Whose tokens are let in: https://login.microsoftonline.com/<tenant>/v2.0."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^https://", var.issuer))
    error_message = "issuer is an https URL."
  }
}

variable "audience" {
  description = "The webhook's application in Entra, which a token must be for."
  type        = string
  nullable    = false
}

variable "rate_limit" {
  description = "Calls a second; twice as many for a moment. Event Grid delivers what is refused again."
  type        = number
  default     = 100
  nullable    = false

  validation {
    condition     = var.rate_limit >= 1 && floor(var.rate_limit) == var.rate_limit
    error_message = "rate_limit is a whole number, 1 or more."
  }
}

variable "log_retention_days" {
  description = "How long CloudWatch keeps the access log."
  type        = number
  default     = 30
  nullable    = false
}

variable "kms_key_arn" {
  description = "Customer managed KMS key of the access log. Null: a key of AWS."
  type        = string
  default     = null
}
