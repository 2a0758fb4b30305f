variable "endpoint" {
  description = "The emulator's address; every AWS service answers there."
  type        = string
  default     = "http://127.0.0.1:4566"
  nullable    = false

  validation {
    condition     = can(regex("^http://(127\\.0\\.0\\.1|localhost):[0-9]+$", var.endpoint))
    error_message = "endpoint is http://127.0.0.1:<port> without a path: this stack is for an emulator on this machine."
  }
}

variable "region" {
  description = "The region the emulator pretends to be."
  type        = string
  default     = "us-east-1"
  nullable    = false
}

variable "zips_dir" {
  description = "Folder of the functions' packages, <function>.zip each, built for this machine."
  type        = string
  nullable    = false
}

variable "architecture" {
  description = "This machine's architecture: x86_64 or arm64."
  type        = string
  default     = "x86_64"
  nullable    = false

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "architecture is arm64 or x86_64."
  }
}

variable "azure" {
  description = "The stand-in's topic, and the client EventBridge signs in as at the stand-in's token endpoint."
  type = object({
    topic_endpoint = string
    oauth = object({
      token_endpoint = string
      client_id      = string
    })
  })
  nullable = false
}

variable "azure_secret" {
  description = "That client's secret."
  type        = string
  sensitive   = true
  nullable    = false
}

variable "ingress" {
  description = "Whose tokens the webhook takes: the stand-in's."
  type = object({
    issuers  = list(string)
    jwks_url = string
    audience = string
    tenant   = string
  })
  nullable = false
}

variable "services" {
  description = "The outside services that call steps use, by name (module services says what each member is); http is fine on loopback."
  type = map(object({
    url             = optional(string)
    lambda          = optional(string)
    cloud           = string
    auth            = string
    audience        = optional(string)
    secret          = optional(string)
    max_concurrency = optional(number, 5)
    resource        = optional(string)
    inside          = optional(bool, false)
  }))
  default  = {}
  nullable = false
}

variable "azure_places" {
  description = "Where dead letters lie on the Azure side: Azurite's account and the stand-in's topic, with their keys."
  type = object({
    account          = string
    blob_endpoint    = string
    queue_endpoint   = string
    table_endpoint   = string
    container        = string
    queue            = string
    poison_queue     = string
    quarantine_queue = string
    table            = string
    calls            = optional(object({ queue = string, poison_queue = string }))
    emulator_keys    = object({ account = string, topic = string })
  })
  default = null
}
