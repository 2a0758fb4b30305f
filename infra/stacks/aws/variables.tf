variable "region" {
  description = "The AWS region."
  type        = string
  default     = "eu-central-1"
  nullable    = false
}

variable "environment" {
  description = "What this deployment is called: prod, staging. Every name on AWS begins with it, so that several fit into one account and region."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", var.environment)) && length(var.environment) >= 2 && length(var.environment) <= 16
    error_message = "environment has 2 to 16 lower-case letters, digits and single hyphens, and begins with a letter."
  }
}

variable "prefix" {
  description = "Only for a deployment that was made before `environment` was: the prefix that its names have, \"\" for none. Null: environment and a hyphen."
  type        = string
  default     = null
}

variable "account_id" {
  description = "The account that this is applied to; another one is refused. Null: whichever the provider is signed in to."
  type        = string
  default     = null

  validation {
    condition     = var.account_id == null || can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id has twelve digits."
  }
}

variable "iam_path" {
  description = "The path of every role, such as /platform/."
  type        = string
  default     = "/"
  nullable    = false
}

variable "permissions_boundary" {
  description = "ARN of the policy that bounds the permissions of every role. Null: none."
  type        = string
  default     = null
}

variable "azure" {
  description = <<-EOT
    The Azure side: the Azure stack's output for_aws. Null: it is read from the SSM parameter /saga-bridge/<environment>/azure.
    - environment: what the Azure stack is called. It has to be this one's.
    - transport: how events go to Azure: federation-relay (a function without a secret) or api-destination (EventBridge
      signs in with a secret).
    - topic_endpoint: the Event Grid topic's publish URL.
    - tenant_id: the Entra tenant.
    - audience: the webhook's application in Entra, which its tokens must be for.
    - client_id: the application that AWS signs in as. Null: the topic's key is sent.
    - secret_expires: with api-destination, when the client secret expires (RFC 3339). People are told 30 and 7 days ahead.
    - dead_letters: where dead letters lie, and the application that dlq-replayer is there. Null: those of AWS only.
  EOT
  type = object({
    environment    = string
    transport      = string
    topic_endpoint = string
    tenant_id      = string
    audience       = string
    client_id      = optional(string)
    secret_expires = optional(string)

    dead_letters = optional(object({
      client_id        = string
      account          = string
      container        = string
      queue            = string
      poison_queue     = string
      quarantine_queue = string
      table            = string
      calls            = optional(object({ queue = string, poison_queue = string }))
    }))
  })
  default = null
}

variable "azure_secret" {
  description = "With api-destination: client secret or topic key (Azure stack, output azure_secret), better in TF_VAR_azure_secret than in a file. Null: it is read from the SSM parameter /saga-bridge/<environment>/azure-secret."
  type        = string
  default     = null
  sensitive   = true
}

variable "check_connection" {
  description = "With api-destination: wait with the AWS CLI until EventBridge has signed in to Azure, and fail if Entra refuses it."
  type        = bool
  default     = true
  nullable    = false
}

variable "rate_limit" {
  description = "With api-destination: requests a second, 1 to 300. Too low a limit lets a backlog outlive the day of retries."
  type        = number
  default     = 300
  nullable    = false
}

variable "packages_dir" {
  description = "Folder of the packages, <architecture>/<function>.zip each."
  type        = string
  default     = "../../../target/package"
  nullable    = false
}

variable "architecture" {
  description = "What the functions run on: arm64 (cheaper) or x86_64."
  type        = string
  default     = "arm64"
  nullable    = false
}

variable "api_callers" {
  description = "ARNs of principals of other accounts that may call the API. Principals of this account need the permission in their own policies."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "dead_letter_callers" {
  description = "ARNs of principals of other accounts that may list, replay and discard dead letters. Principals of this account need the permission in their own policies."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "ingress_concurrency" {
  description = "The most invocations of the open webhook at a time, reserved out of the account's quota, which can be as low as 10 in a new account. Null: nothing is reserved."
  type        = number
  default     = null
}

variable "webhook_gateway" {
  description = "Put an HTTP API with an authorizer and a rate limit in front of the webhook, in place of its open function URL. Changing it changes ingress_url: apply Azure afterwards."
  type        = bool
  default     = false
  nullable    = false
}

variable "network" {
  description = <<-EOT
    A network of yours for the functions (infra/README.md, "A network and a key of your own, on AWS"). Null: none.
    - subnet_ids, security_group_ids: what they work in; the security groups let HTTPS out.
    - internet: the subnets have a way to the internet (a NAT). Then event-ingress, event-relay and dlq-replayer, which speak to
      Entra and Azure, work there, too. Otherwise these three stay outside.
    - endpoints: make endpoints for the services of AWS that are called, in this VPC and these route tables. Null: there are
      some already, or a NAT.
  EOT
  type = object({
    subnet_ids         = list(string)
    security_group_ids = list(string)
    internet           = optional(bool, false)
    endpoints = optional(object({
      vpc_id          = string
      route_table_ids = list(string)
    }))
  })
  default = null
}

variable "services" {
  description = "The outside services that call steps use, by name, the same as in the Azure stack; those of aws get a queue and a caller each (module services says what each member is)."
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

variable "nudge_after_seconds" {
  description = "How long a step may stay unanswered before its event is sent again."
  type        = number
  default     = 60
  nullable    = false
}

variable "archive_days" {
  description = "Keep every event of the bus for this many days, 0 for ever. Null: no archive."
  type        = number
  default     = 30
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
  default     = 30
  nullable    = false
}

variable "customer_managed_key" {
  description = "Encrypt tables, queues, bus, archive, the connection's secret, alerts and logs with a KMS key of this deployment. False: keys of AWS, at no charge."
  type        = bool
  default     = true
  nullable    = false
}

variable "deletion_protection" {
  description = "Refuse to delete, rename or replace the tables. How to destroy them: infra/README.md, \"Destroy\"."
  type        = bool
  default     = true
  nullable    = false
}

variable "alert_email_addresses" {
  description = "Who gets mail; each address has to confirm."
  type        = set(string)
  default     = []
  nullable    = false
}

variable "alarm_thresholds" {
  description = "When alarms ring; see module operations."
  type = object({
    outbox_age_seconds        = optional(number, 120)
    events_queue_age_seconds  = optional(number, 300)
    service_queue_age_seconds = optional(number, 1800)
    ingress_refusals          = optional(number, 10)
    error_percent             = optional(number, 5)
    throttles                 = optional(number, 5)
  })
  default  = {}
  nullable = false
}

variable "objective" {
  description = "How many percent of the sagas end within how many seconds; see module operations."
  type = object({
    seconds = optional(number, 60)
    percent = optional(number, 99)
  })
  default  = {}
  nullable = false
}

variable "monthly_budget_usd" {
  description = "Tell people when this deployment costs 80 % of so much in a month, or will cost all of it. Null: no budget."
  type        = number
  default     = null
}

variable "runbook_url" {
  description = "Where your people read infra/RUNBOOK.md; alarms link to its sections."
  type        = string
  default     = "infra/RUNBOOK.md"
  nullable    = false
}

variable "tags" {
  description = "Tags of everything, beside application = saga-bridge."
  type        = map(string)
  default     = {}
  nullable    = false
}
