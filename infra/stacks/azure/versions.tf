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

  # State holds secrets unless the transport is federation: put a backend of your own here, encrypted and
  # closed, such as `backend "azurerm" { use_azuread_auth = true … }`.
}
