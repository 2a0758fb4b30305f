variable "environment" {
  description = "The environment that is applied, as in stacks/aws."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", var.environment)) && length(var.environment) >= 2 && length(var.environment) <= 16
    error_message = "environment has 2 to 16 lower-case letters, digits and single hyphens, and begins with a letter."
  }
}

variable "region" {
  description = "The region of stacks/aws."
  type        = string
  default     = "eu-central-1"
  nullable    = false
}

variable "iam_path" {
  description = "The path of the stack's roles, and of what is made here."
  type        = string
  default     = "/"
  nullable    = false
}

variable "permissions_boundary" {
  description = "ARN of the boundary that every role of the stack must have. Null: none is asked for, and a deployer could make a role that may do more than itself."
  type        = string
  default     = null
}

variable "state_bucket" {
  description = "Name of the bucket with the states, under the environment's name. Null: the states lie elsewhere."
  type        = string
  default     = null
}

variable "github" {
  description = <<-EOT
    Roles that GitHub Actions takes by OpenID Connect, without a secret: the repository (owner/name), and the ARN of the
    account's provider for token.actions.githubusercontent.com. Null: attach the policies to an identity of your own.
  EOT
  type        = object({ repository = string, oidc_provider_arn = string })
  default     = null

  validation {
    condition     = var.github == null || can(regex("^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$", var.github.repository))
    error_message = "github.repository is owner/name, without wildcards: anybody's repository would be let in."
  }
}

variable "network" {
  description = "Whether the stack makes endpoints in a VPC (its variable network.endpoints): only then the deployer may."
  type        = bool
  default     = false
  nullable    = false
}
