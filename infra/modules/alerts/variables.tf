variable "prefix" {
  description = "Put before the topic's name, so that two deployments fit into one account. Empty: the plain name."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^([A-Za-z][A-Za-z0-9_-]{0,31})?$", var.prefix))
    error_message = "prefix is empty, or a letter followed by at most 31 letters, digits, hyphens or underscores."
  }
}

variable "kms_key_arn" {
  description = "Customer managed KMS key; its policy must let whoever publishes use it (CloudWatch alarms too). Null: no encryption at rest."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/", var.kms_key_arn))
    error_message = "kms_key_arn is the ARN of a KMS key (arn:aws:kms:<region>:<account>:key/<id>), not an alias or an id."
  }
}

variable "tls_only" {
  description = "Refuse requests without TLS. False only for an emulator that is reached over HTTP."
  type        = bool
  default     = true
  nullable    = false
}
