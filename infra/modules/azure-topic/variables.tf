variable "name" {
  description = "The topic's name, unique in its region."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9-]{3,50}$", var.name))
    error_message = "name has 3 to 50 letters, digits and hyphens."
  }
}

variable "resource_group_name" {
  description = "The resource group."
  type        = string
  nullable    = false
}

variable "location" {
  description = "The region, such as westeurope."
  type        = string
  nullable    = false
}

variable "access_key" {
  description = "Let publishers use the topic's access key. False: only identities with the role on this topic may publish."
  type        = bool
  default     = false
  nullable    = false
}

variable "senders" {
  description = "Object ids of the service principals and managed identities that may publish, under names of your own."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "storage_account_id" {
  description = "The account of the queue and of the dead letters."
  type        = string
  nullable    = false
}

variable "queue" {
  description = "The participant's queue: name, and id as the scope of the topic's role."
  type        = object({ name = string, id = string })
  nullable    = false

  validation {
    condition     = can(regex("/queueServices/default/queues/[^/]+$", var.queue.id))
    error_message = "queue.id is the identifier of one queue, not of an account or a subscription: the topic's role ends there."
  }
}

variable "calls_queue" {
  description = "The queue of requests to outside services: name, and id as the scope of the topic's role."
  type        = object({ name = string, id = string })
  nullable    = false

  validation {
    condition     = can(regex("/queueServices/default/queues/[^/]+$", var.calls_queue.id))
    error_message = "calls_queue.id is the identifier of one queue, not of an account or a subscription: the topic's role ends there."
  }
}

variable "dead_letters" {
  description = "The container of dead letters: name, and id as the scope of the topic's role."
  type        = object({ name = string, id = string })
  nullable    = false

  validation {
    condition     = can(regex("/blobServices/default/containers/[^/]+$", var.dead_letters.id))
    error_message = "dead_letters.id is the identifier of one container, not of an account or a subscription: the topic's role ends there."
  }
}

variable "webhook" {
  description = <<-EOT
    The webhook on the other cloud. Null: not yet known, there is no subscription.
    - url: where events go. It must answer Event Grid's handshake while the subscription is made.
    - tenant_id, audience: the tenant and the application that Event Grid asks for a token.
  EOT
  type        = object({ url = string, tenant_id = string, audience = string })
  default     = null

  validation {
    condition     = var.webhook == null || can(regex("^https://", var.webhook.url))
    error_message = "webhook.url is an https URL."
  }

  validation {
    condition     = var.webhook == null || try(var.webhook.audience != "" && can(regex("^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$", var.webhook.tenant_id)), false)
    error_message = "webhook.tenant_id is a GUID and webhook.audience is not empty: without them events would be delivered without a token."
  }
}

variable "tags" {
  description = "Tags of everything."
  type        = map(string)
  default     = {}
  nullable    = false
}
