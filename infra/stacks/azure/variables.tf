variable "subscription_id" {
  description = "The Azure subscription."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$", var.subscription_id))
    error_message = "subscription_id is a GUID."
  }
}

variable "tenant_id" {
  description = "The Entra tenant: of the subscription, of the applications, and of the tokens that the webhook takes."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$", var.tenant_id))
    error_message = "tenant_id is a GUID."
  }
}

variable "environment" {
  description = "The environment, such as staging or prod: every name is made from it, from the region and from the subscription. The same as in the AWS stack."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", var.environment)) && length(var.environment) >= 2 && length(var.environment) <= 16
    error_message = "environment has 2 to 16 lower-case letters, digits and single hyphens, and begins with a letter."
  }
}

variable "location" {
  description = "A region that has Flex Consumption (az functionapp list-flexconsumption-locations)."
  type        = string
  default     = "westeurope"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{2,19}$", var.location))
    error_message = "location is a region's short name such as westeurope: names are made from it, and another spelling would be another name."
  }
}

variable "transport" {
  description = "How AWS sends: federation-relay (a function, and no secret anywhere) or api-destination (EventBridge signs in with a secret). The same as in the AWS stack."
  type        = string
  default     = "federation-relay"
  nullable    = false

  validation {
    condition     = contains(["api-destination", "federation-relay"], var.transport)
    error_message = "transport is api-destination or federation-relay."
  }
}

variable "topic_key" {
  description = "With api-destination: send the topic's access key in place of OAuth. Whoever has the key can speak for anybody."
  type        = bool
  default     = false
  nullable    = false
}

variable "client_secret" {
  description = "With api-destination and OAuth: the number of the secret in use (one more makes a new one beside it), whether the one before it stays valid, and when a new one expires (null: after two years)."
  type = object({
    expires       = optional(string)
    rotation      = optional(number, 1)
    keep_previous = optional(bool, true)
  })
  default  = {}
  nullable = false
}

variable "federation" {
  description = <<-EOT
    Trust in roles of the AWS account, without a secret: the issuer of its tokens, the ARN of the relay's role (with
    federation-relay), and the ARN of the role of dlq-replayer, which looks at dead letters here. The ARNs are known before AWS
    is applied. Null (only with api-destination): dead letters here are not seen from AWS.
  EOT
  type = object({
    issuer            = string
    role_arn          = optional(string)
    replayer_role_arn = string
  })
  default = null

  validation {
    condition     = var.transport != "federation-relay" || try(var.federation.role_arn, null) != null
    error_message = "transport = \"federation-relay\" (the default) needs federation with role_arn. The issuer: aws iam enable-outbound-web-identity-federation. The role: arn:aws:iam::<account>:role/<environment>-event-relay-<region>. Or set transport = \"api-destination\"."
  }
}

variable "ingress_url" {
  description = "The webhook on AWS (output ingress_url of the AWS stack). Null until it is known: then nothing goes back to AWS."
  type        = string
  default     = null

  validation {
    condition     = var.ingress_url == null || can(regex("^https://[^/?#]+/?$", var.ingress_url))
    error_message = "ingress_url is the AWS stack's output, an https URL without a path."
  }
}

variable "package" {
  description = "Path of the participant's zip. Null: nothing is uploaded, and the app does nothing until somebody does (output function_app)."
  type        = string
  default     = "../../../target/package/azure-participant.zip"
}

variable "owners" {
  description = "Object ids of who may change the Entra applications, beside administrators. Empty: who applied first. Name people and CI here before CI applies; an identity with Application.ReadWrite.OwnedBy has to be among them."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "subscription_writers" {
  description = "Object ids of everybody who applies this stack, under names of your own: Event Grid wants their role when the subscription to AWS is made or changed. Empty: who applied first."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "inventory_limit" {
  description = "The amount over which an order is refused."
  type        = string
  default     = "10000"
  nullable    = false
}

variable "replication" {
  description = "Copies of the data: LRS, ZRS, GRS, GZRS, RAGRS or RAGZRS."
  type        = string
  default     = "ZRS"
  nullable    = false
}

variable "memory_mb" {
  description = "Memory of an instance of the Function App: 512, 2048 or 4096."
  type        = number
  default     = 512
  nullable    = false
}

variable "maximum_instances" {
  description = "How far the Function App scales out."
  type        = number
  default     = 40
  nullable    = false
}

variable "always_ready" {
  description = "Instances that wait warm; they cost while nothing runs."
  type        = number
  default     = 0
  nullable    = false
}

variable "deletion_protection" {
  description = "Lock the data against deletion outside Terraform. Set it to false and apply before a change that deletes or replaces something in the data account."
  type        = bool
  default     = true
  nullable    = false
}

variable "alert_email_addresses" {
  description = "Who gets mail."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "alert_webhook_urls" {
  description = "A pager or a chat to call."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "runbook_url" {
  description = "Where your people read infra/RUNBOOK.md; alerts link to its sections."
  type        = string
  default     = "infra/RUNBOOK.md"
  nullable    = false
}

variable "log_retention_days" {
  description = "How long logs are kept, 30 to 730."
  type        = number
  default     = 30
  nullable    = false
}

variable "tags" {
  description = "Tags of everything, beside application = saga-bridge."
  type        = map(string)
  default     = {}
  nullable    = false
}
