variable "prefix" {
  description = "Put before the alias, so that two deployments fit into one account. Empty: the plain name."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = can(regex("^([A-Za-z][A-Za-z0-9_-]{0,31})?$", var.prefix))
    error_message = "prefix is empty, or a letter followed by at most 31 letters, digits, hyphens or underscores."
  }
}
