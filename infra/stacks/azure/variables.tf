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

variable "services" {
  description = "The outside services that call steps use, by name, the same as in the AWS stack (module services says what each member is)."
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

variable "log_daily_quota_gb" {
  description = "Logs over this many GB a day are not taken (about 5 KB a saga); -1: no limit."
  type        = number
  default     = 5
  nullable    = false
}

variable "log_retention_days" {
  description = "How long logs are kept, 30 to 730."
  type        = number
  default     = 30
  nullable    = false
}

variable "customer_key" {
  description = "A key of your own for both storage accounts: key_id is the key's URL without a version (rotations are followed), identity_id a user-assigned identity that may use it. Null: Microsoft's key."
  type        = object({ key_id = string, identity_id = string })
  default     = null

  validation {
    condition     = var.customer_key == null || can(regex("^https://[^/]+/keys/[^/]+/?$", var.customer_key.key_id))
    error_message = "customer_key.key_id is a URL such as https://vault.vault.azure.net/keys/saga, without a version."
  }

  validation {
    condition     = var.customer_key == null || can(regex("/userAssignedIdentities/[^/]+$", var.customer_key.identity_id))
    error_message = "customer_key.identity_id is the identifier of a user-assigned identity."
  }
}

variable "network" {
  description = "Keep the storage accounts and the Function App off the public network: a subnet delegated to Microsoft.App/environments with the service endpoint Microsoft.Storage, addresses that reach the accounts as well (people; AWS, for dead letters), and whether packages may be uploaded from everywhere (public_app) or only from inside the virtual network. Null: public endpoints, closed by roles."
  type = object({
    subnet_id   = string
    allowed_ips = optional(set(string), [])
    public_app  = optional(bool, false)
  })
  default = null

  validation {
    condition     = var.network == null || can(regex("/virtualNetworks/[^/]+/subnets/[^/]+$", var.network.subnet_id))
    error_message = "network.subnet_id is the identifier of a subnet."
  }

  validation {
    condition     = var.network == null || alltrue([for ip in try(var.network.allowed_ips, []) : can(regex("^[0-9]{1,3}(\\.[0-9]{1,3}){3}(/([0-9]|[12][0-9]|30))?$", ip))])
    error_message = "network.allowed_ips are public IPv4 addresses, or ranges up to /30."
  }
}

variable "tags" {
  description = "Tags of everything, beside application = saga-bridge."
  type        = map(string)
  default     = {}
  nullable    = false
}
