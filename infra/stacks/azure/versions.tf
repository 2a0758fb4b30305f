terraform {
  # A variable's validation reads other variables.
  required_version = ">= 1.9"

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

  # Where the state is, is said by `init -backend-config=<environment>.backend.hcl`: each environment has one of its own.
  backend "azurerm" {}
}
