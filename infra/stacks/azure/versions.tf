terraform {
  required_version = ">= 1.7"

  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = ">= 5.2, < 6"
    }

    azuread = {
      source  = "hashicorp/azuread"
      version = ">= 3, < 4"
    }
  }

  # Where the state is, is said by `init -backend-config`: each environment has a file of its own (infra/environments).
  backend "azurerm" {}
}
