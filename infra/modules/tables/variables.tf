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

variable "point_in_time_recovery" {
  description = "Keep continuous backups, restorable to any second of the last 35 days."
  type        = bool
  default     = true
  nullable    = false
}

variable "deletion_protection" {
  description = "Refuse to delete the tables until this is turned off."
  type        = bool
  default     = true
  nullable    = false
}

variable "kms_key_arn" {
  description = "Customer managed KMS key for encryption at rest. Null: the key DynamoDB owns, at no charge."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/", var.kms_key_arn))
    error_message = "kms_key_arn is the ARN of a KMS key (arn:aws:kms:<region>:<account>:key/<id>), not an alias or an id."
  }
}
