variable "name" {
  description = "The storage account's name, unique in all of Azure."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]{3,24}$", var.name))
    error_message = "name has 3 to 24 lower-case letters and digits."
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

variable "replication" {
  description = "How many copies, and where: LRS, ZRS (three zones of the region), GRS, GZRS, RAGRS, RAGZRS."
  type        = string
  default     = "ZRS"
  nullable    = false

  validation {
    condition     = contains(["LRS", "ZRS", "GRS", "GZRS", "RAGRS", "RAGZRS"], var.replication)
    error_message = "replication is LRS, ZRS, GRS, GZRS, RAGRS or RAGZRS."
  }
}

variable "dead_letter_days" {
  description = "How long a dead-lettered event is kept."
  type        = number
  default     = 90
  nullable    = false

  validation {
    condition     = var.dead_letter_days >= 14 && var.dead_letter_days <= 99999 && floor(var.dead_letter_days) == var.dead_letter_days
    error_message = "dead_letter_days is a whole number, 14 or more: AWS keeps its dead letters for 14 days, too."
  }
}

variable "customer_key" {
  description = "A key of your own: key_id is the key's URL without a version (rotations are followed), identity_id a user-assigned identity that may use it. Null: Microsoft's key."
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
  description = "Only this subnet (with the service endpoint Microsoft.Storage) and these addresses reach the account, beside trusted services of Microsoft. Null: everybody reaches it, and nobody gets in without a role."
  type = object({
    subnet_id   = string
    allowed_ips = optional(set(string), [])
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
  description = "Tags of everything."
  type        = map(string)
  default     = {}
  nullable    = false
}
