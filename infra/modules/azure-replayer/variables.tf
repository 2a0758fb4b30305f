variable "principal_id" {
  description = "Object id of the replayer's service principal (output replayer of module azure-access)."
  type        = string
  nullable    = false
}

variable "table" {
  description = "The participant's table: the id is the scope of the role."
  type        = object({ id = string })
  nullable    = false

  validation {
    condition     = can(regex("/tableServices/default/tables/[^/]+$", var.table.id))
    error_message = "table.id is the identifier of one table, not of an account or a subscription: the role ends there."
  }
}

variable "queues" {
  description = "The queues of module azure-storage: their ids are the scopes of the roles."
  type = object({
    events       = object({ id = string })
    poison       = object({ id = string })
    calls        = object({ id = string })
    calls_poison = object({ id = string })
    quarantine   = object({ id = string })
  })
  nullable = false

  validation {
    condition     = alltrue([for queue in var.queues : can(regex("/queueServices/default/queues/[^/]+$", queue.id))])
    error_message = "The ids of queues are identifiers of one queue each, not of an account or a subscription: the roles end there."
  }
}

variable "dead_letters" {
  description = "The container of Event Grid's dead letters: the id is the scope of the role."
  type        = object({ id = string })
  nullable    = false

  validation {
    condition     = can(regex("/blobServices/default/containers/[^/]+$", var.dead_letters.id))
    error_message = "dead_letters.id is the identifier of one container, not of an account or a subscription: the role ends there."
  }
}
