variable "name" {
  description = "The archive's name."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9._-]{1,48}$", var.name))
    error_message = "name has 1 to 48 letters, digits, dots, hyphens and underscores."
  }
}

variable "bus_arn" {
  description = "The bus whose events are kept."
  type        = string
  nullable    = false
}

variable "days" {
  description = "For how many days, 0 for ever."
  type        = number
  nullable    = false

  validation {
    condition     = var.days >= 0 && floor(var.days) == var.days
    error_message = "days is a whole number, 0 or more."
  }
}

variable "kms_key_arn" {
  description = "Customer managed KMS key of the archive; the bus may have one without it, and then AWS recommends both. Null: a key of AWS."
  type        = string
  default     = null
}
