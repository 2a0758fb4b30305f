variable "function_name" {
  description = "The function whose URL is called."
  type        = string
  nullable    = false
}

variable "callers" {
  description = "ARNs of the principals of other accounts. Principals of this account need the permission in their own policies instead."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for caller in var.callers : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:(root|(role|user)/[^*?]+)$", caller))])
    error_message = "callers are IAM ARNs without wildcards (arn:aws:iam::<account>:role/<name> or …:root)."
  }
}
