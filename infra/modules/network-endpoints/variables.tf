variable "prefix" {
  description = "Put before every name."
  type        = string
  default     = ""
  nullable    = false
}

variable "region" {
  description = "The region of the network and of the services."
  type        = string
  nullable    = false
}

variable "vpc_id" {
  description = "The network. It resolves names by AWS (enableDnsSupport, enableDnsHostnames)."
  type        = string
  nullable    = false
}

variable "subnet_ids" {
  description = "Where the interface endpoints have an address each: one subnet of each availability zone."
  type        = set(string)
  nullable    = false

  validation {
    condition     = length(var.subnet_ids) > 0
    error_message = "subnet_ids has one subnet at least."
  }
}

variable "route_table_ids" {
  description = "The route tables of the functions' subnets, for DynamoDB."
  type        = set(string)
  nullable    = false

  validation {
    condition     = length(var.route_table_ids) > 0
    error_message = "route_table_ids has one route table at least: without one, nothing goes through the endpoint."
  }
}

variable "client_security_group_ids" {
  description = "The security groups that may come in: the functions'."
  type        = set(string)
  nullable    = false

  validation {
    condition     = length(var.client_security_group_ids) > 0
    error_message = "client_security_group_ids has one security group at least."
  }
}

variable "services" {
  description = "What the functions in the network call, beside DynamoDB: events, sns, sqs; sts, too, for those that sign in to Azure, and secretsmanager for callers that sign their requests."
  type        = set(string)
  default     = ["events", "sns", "sqs"]
  nullable    = false

  validation {
    condition     = length(setsubtract(var.services, ["events", "secretsmanager", "sns", "sqs", "sts"])) == 0
    error_message = "services are events, secretsmanager, sns, sqs and sts: no function calls another one."
  }
}
