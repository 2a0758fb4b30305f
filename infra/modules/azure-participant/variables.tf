variable "name" {
  description = "Names of the identity and of the plan begin with it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,48}[a-z0-9]$", var.name))
    error_message = "name has 3 to 50 lower-case letters, digits and hyphens."
  }
}

variable "app_name" {
  description = "The Function App's name, unique in all of Azure."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.app_name))
    error_message = "app_name has 3 to 32 lower-case letters, digits and hyphens (the host tells apps apart by 32 characters)."
  }
}

variable "host_account_name" {
  description = "Name of the storage account for the host's locks and the package, unique in all of Azure."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]{3,24}$", var.host_account_name))
    error_message = "host_account_name has 3 to 24 lower-case letters and digits."
  }
}

variable "resource_group_name" {
  description = "The resource group."
  type        = string
  nullable    = false
}

variable "location" {
  description = "A region that has Flex Consumption."
  type        = string
  nullable    = false
}

variable "replication" {
  description = "How many copies of the host's locks and package: LRS or ZRS."
  type        = string
  default     = "LRS"
  nullable    = false

  validation {
    condition     = contains(["LRS", "ZRS"], var.replication)
    error_message = "replication is LRS or ZRS: locks must not lag behind in another region."
  }
}

variable "data" {
  description = "Where the participant keeps its data: the outputs account, table and queues of module azure-storage."
  type = object({
    account = object({ name = string, table_endpoint = string, queue_endpoint = string })
    table   = object({ name = string, id = string })
    queues = object({
      events       = object({ name = string, id = string })
      poison       = object({ name = string, id = string })
      calls        = object({ name = string, id = string })
      calls_poison = object({ name = string, id = string })
      quarantine   = object({ name = string, id = string })
    })
  })
  nullable = false

  validation {
    condition     = can(regex("/tableServices/default/tables/[^/]+$", var.data.table.id)) && alltrue([for queue in var.data.queues : can(regex("/queueServices/default/queues/[^/]+$", queue.id))])
    error_message = "data.table.id and the ids of data.queues are identifiers of one table or queue, not of an account or a subscription: the roles end there."
  }
}

variable "topic_endpoint" {
  description = "Where the participant publishes; its identity needs EventGrid Data Sender on that topic (output principal_id)."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^https://", var.topic_endpoint))
    error_message = "topic_endpoint is an https URL."
  }
}

variable "application_insights" {
  description = "Where logs go: id and connection string."
  type        = object({ id = string, connection_string = string })
  nullable    = false

  validation {
    condition     = can(regex("/components/[^/]+$", var.application_insights.id))
    error_message = "application_insights.id is the identifier of one Application Insights."
  }
}

variable "services" {
  description = "The outside services that call steps use, of both clouds (module services). Those whose cloud is azure are called from here."
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
  description = "The amount over which an order is refused, as text: money is no float."
  type        = string
  default     = "10000"
  nullable    = false

  validation {
    condition     = can(regex("^[0-9]{1,30}(\\.[0-9]{1,8})?$", var.inventory_limit))
    error_message = "inventory_limit is a decimal number such as 10000 or 2500.50."
  }
}

variable "memory_mb" {
  description = "Memory of an instance: 512, 2048 or 4096."
  type        = number
  default     = 512
  nullable    = false

  validation {
    condition     = contains([512, 2048, 4096], var.memory_mb)
    error_message = "memory_mb is 512, 2048 or 4096, the sizes of Flex Consumption."
  }
}

variable "maximum_instances" {
  description = "How far the app scales out."
  type        = number
  default     = 40
  nullable    = false

  validation {
    condition     = var.maximum_instances >= 1 && var.maximum_instances <= 1000 && floor(var.maximum_instances) == var.maximum_instances
    error_message = "maximum_instances is a whole number from 1 to 1000."
  }
}

variable "always_ready" {
  description = "Instances that wait warm for the next event; they cost while nothing runs."
  type        = number
  default     = 0
  nullable    = false

  validation {
    condition     = var.always_ready >= 0 && var.always_ready <= 20 && floor(var.always_ready) == var.always_ready
    error_message = "always_ready is a whole number from 0 to 20."
  }
}

variable "package" {
  description = "Path of the handler's zip, for Linux on x86-64. Null: nothing is uploaded, and the app does nothing until somebody does (output upload)."
  type        = string
  default     = null
}

variable "customer_key" {
  description = "A key of your own for the host's account: key_id is the key's URL without a version (rotations are followed), identity_id a user-assigned identity that may use it. Null: Microsoft's key."
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
  description = "The app works inside this subnet (delegated to Microsoft.App/environments, with the service endpoint Microsoft.Storage), and only it and these addresses reach the host's account. public_app: the app itself, to which packages are uploaded, stays reachable from everywhere. Null: no virtual network."
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
  description = "Tags of everything."
  type        = map(string)
  default     = {}
  nullable    = false
}
