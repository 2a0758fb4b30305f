variable "subscription_id" {
  description = "The subscription that stacks/azure is applied to."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$", var.subscription_id))
    error_message = "subscription_id is a GUID."
  }
}

variable "tenant_id" {
  description = "The Entra tenant."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$", var.tenant_id))
    error_message = "tenant_id is a GUID."
  }
}

variable "deployers" {
  description = "Object ids of service principals that apply stacks/azure, under names of your own."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "planners" {
  description = "Object ids of service principals that only plan stacks/azure (pull requests, drift detection), under names of your own."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "signed_services" {
  description = "Whether the deployers may let the participant read the secrets of services that Azure calls with a signature. They can then let anybody read any secret of the subscription's vaults that go by roles."
  type        = bool
  default     = false
  nullable    = false
}
