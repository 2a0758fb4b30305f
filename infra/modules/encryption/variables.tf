variable "region" {
  description = "The region of the key, of the bus and of the logs."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]+$", var.region))
    error_message = "region is a region of AWS, such as eu-central-1."
  }
}

variable "prefix" {
  description = "What the deployment's names begin with: the alias, the bus and the log groups that the key is for. Empty: the plain names."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^([A-Za-z][A-Za-z0-9_-]{0,31})?$", var.prefix))
    error_message = "prefix is empty, or a letter followed by at most 31 letters, digits, hyphens or underscores."
  }
}
