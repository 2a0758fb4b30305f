terraform {
  required_version = ">= 1.7"

  required_providers {
    # Before 5.1 a storage account's data plane is read, with its key; checked with the schema of 5.2.0.
    azurerm = {
      source  = "hashicorp/azurerm"
      version = ">= 5.2, < 6"
    }
  }
}
