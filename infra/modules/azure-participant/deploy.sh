#!/bin/sh
# Uploads the handler's package, as who is signed in to the Azure CLI. Needs SUBSCRIPTION, RESOURCE_GROUP,
# FUNCTION_APP and PACKAGE.
set -eu

app() {
  area=$1
  shift
  az functionapp "$area" "$@" --subscription "$SUBSCRIPTION" --resource-group "$RESOURCE_GROUP" --name "$FUNCTION_APP" --output none
}

# The azurerm provider writes this setting even where the host's storage is reached by identity, and the host
# prefers it to the identity's (https://github.com/hashicorp/terraform-provider-azurerm/issues/29693).
app config appsettings delete --setting-names AzureWebJobsStorage
app deployment source config-zip --src "$PACKAGE"
