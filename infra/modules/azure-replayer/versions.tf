terraform {
  required_version = ">= 1.7"

  required_providers {
    # The last 4.x has the arguments of 5.x.
    azurerm = {
      source  = "hashicorp/azurerm"
      version = ">= 4.81, < 6"
    }
  }
}
