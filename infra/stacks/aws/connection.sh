# Waits until EventBridge's connection to Azure may be used. Needs the AWS CLI, signed in like Terraform.
#
# CONNECTION, REGION: which one. WAIT_SECONDS: how long to wait (180), POLL_SECONDS: between two looks (5), REFUSED_SECONDS: how
# long a refusal may be one that passes (60): Entra may not know yet a secret that was just made.
set -eu

wait="${WAIT_SECONDS:-180}"
poll="${POLL_SECONDS:-5}"
refused="$(($(date +%s) + ${REFUSED_SECONDS:-60}))"
end=$(($(date +%s) + wait))

command -v aws >/dev/null || {
  echo "The AWS CLI is not installed, so nobody knows whether Entra lets EventBridge in. The connection $CONNECTION was made; install the CLI and apply again." >&2
  exit 1
}

while :; do
  # One call takes half a minute at most.
  state="$(aws events describe-connection --cli-connect-timeout 10 --cli-read-timeout 20 --region "$REGION" --name "$CONNECTION" \
    --query '[ConnectionState, StateReason]' --output text 2>&1)" || state="UNKNOWN $state"
  case "$state" in
  AUTHORIZED* | ACTIVE*)
    echo "connection $CONNECTION: $state"
    exit 0
    ;;
  DEAUTHORIZED* | FAILED_CONNECTIVITY*)
    if [ "$(date +%s)" -ge "$refused" ]; then
      echo "Entra does not let EventBridge in: connection $CONNECTION is $state. Events for Azure wait in the bus' retries for a day, then in saga-destination-dlq; nothing is lost. Check the client secret (Azure stack, output azure_secret). EventBridge signs in anew only when its connection is changed: apply with -replace='module.saga.module.bus.aws_cloudwatch_event_connection.azure[0]' (infra/RUNBOOK.md, connection)." >&2
      exit 1
    fi
    ;;
  esac
  if [ "$(date +%s)" -ge "$end" ]; then
    echo "Connection $CONNECTION is still $state after $wait seconds. Events for Azure wait meanwhile; nothing is lost. Apply again, or look at it in the EventBridge console." >&2
    exit 1
  fi
  echo "connection $CONNECTION: $state"
  sleep "$poll"
done
