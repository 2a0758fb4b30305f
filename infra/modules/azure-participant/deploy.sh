#!/bin/sh
# Makes the app's settings right and uploads the handler's package, as who is signed in to the Azure CLI. Needs SUBSCRIPTION,
# RESOURCE_GROUP and FUNCTION_APP; without PACKAGE only the settings are made right. It may be run again at any time.
#
# A new app, and a role that was just given, take minutes to be known everywhere, so each step is tried again until
# WAIT_SECONDS are over. A call that does not answer is ended after CALL_SECONDS.
set -eu

: "${WAIT_SECONDS:=1200}" "${CALL_SECONDS:=300}" "${PAUSE_SECONDS:=15}"
began=$(date +%s)
said=$(mktemp)
trap 'rm -f "$said" "$said.late"' EXIT

say() { echo "deploy: $*"; }
refuse() {
  say "$*" >&2
  exit 1
}
spent() { echo $(($(date +%s) - began)); }

# A process and all that it has started: `az` is a script that runs another program.
end() {
  for below in $(ps -A -o pid= -o ppid= | awk -v of="$1" '$2 == of { print $1 }'); do
    end "$below"
  done
  kill "$1" 2>/dev/null || true
}

# Says every half minute that it is still waiting, and ends the process when it has taken too long.
watch() {
  waited=0
  while [ "$waited" -lt "$CALL_SECONDS" ]; do
    pause=$((CALL_SECONDS - waited))
    [ "$pause" -le 30 ] || pause=30
    sleep "$pause" >/dev/null 2>&1 || exit 0 # it was ended: the answer is there
    waited=$((waited + pause))
    say "still waiting for the answer ($waited of $CALL_SECONDS seconds)"
  done
  : >"$said.late"
  end "$1"
}

# Runs a command that may take CALL_SECONDS. Its output is in $said.
bounded() {
  "$@" >"$said" 2>&1 &
  child=$!
  watch "$child" &
  watcher=$!
  answer=0
  wait "$child" || answer=$?
  # Once it has begun to end the command, it is left to finish.
  [ -e "$said.late" ] || end "$watcher"
  wait "$watcher" 2>/dev/null || true
  if [ -e "$said.late" ]; then
    rm -f "$said.late"
    echo "no answer within $CALL_SECONDS seconds" >"$said"
    return 1
  fi
  return "$answer"
}

# step WHAT COMMAND…: until it succeeds, or the time is over.
step() {
  what=$1
  shift
  attempt=1
  say "$what"
  until bounded "$@"; do
    why=$(grep -v '^ *$' "$said" | tail -n 1)
    [ $(($(spent) + PAUSE_SECONDS)) -lt "$WAIT_SECONDS" ] ||
      refuse "$what: gave up after $(spent) seconds and $attempt attempts. The last answer was: $why. Apply again to repeat it."
    say "$what: attempt $attempt failed ($why); again in $PAUSE_SECONDS seconds, $(spent) of $WAIT_SECONDS seconds are over"
    sleep "$PAUSE_SECONDS"
    attempt=$((attempt + 1))
  done
}

app() { az functionapp "$@" --subscription "$SUBSCRIPTION" --resource-group "$RESOURCE_GROUP" --name "$FUNCTION_APP"; }
app_is_there() { app show --query name --output tsv; }
without_key() {
  app config appsettings delete --setting-names AzureWebJobsStorage --output none &&
    left=$(app config appsettings list --query "[?name=='AzureWebJobsStorage'].name" --output tsv) &&
    if [ -n "$left" ]; then
      echo "the setting AzureWebJobsStorage is still there"
      return 1
    fi
}
upload() { app deployment source config-zip --src "$PACKAGE" --output none; }

command -v az >/dev/null || refuse "the Azure CLI (az) is not installed: https://learn.microsoft.com/cli/azure/install-azure-cli"
bounded az account show --subscription "$SUBSCRIPTION" --query id --output tsv ||
  refuse "the Azure CLI is not signed in to subscription $SUBSCRIPTION: run 'az login', in CI with the identity that applies. It says: $(tail -n 1 "$said")"
[ "$(tail -n 1 "$said" | tr 'A-F' 'a-f' | tr -d '\r')" = "$(echo "$SUBSCRIPTION" | tr 'A-F' 'a-f')" ] ||
  refuse "the Azure CLI answers for subscription $(tail -n 1 "$said"), not for $SUBSCRIPTION"
[ -z "${PACKAGE:-}" ] || [ -f "$PACKAGE" ] || refuse "there is no package $PACKAGE"

step "waiting for the Function App $FUNCTION_APP" app_is_there
# The azurerm provider writes this setting even where the host's storage is reached by identity, and the host
# prefers it to the identity's (https://github.com/hashicorp/terraform-provider-azurerm/issues/29693).
step "removing the setting AzureWebJobsStorage" without_key
if [ -z "${PACKAGE:-}" ]; then
  say "no package was given: the app is ready for one, and does nothing until it is uploaded"
  exit 0
fi
step "uploading $PACKAGE" upload
say "done after $(spent) seconds"
