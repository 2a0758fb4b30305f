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

variable "tags" {
  description = "Tags of everything."
  type        = map(string)
  default     = {}
  nullable    = false
}
