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

  # One state for each subscription: terraform init -backend-config=…
  backend "azurerm" {}
}
