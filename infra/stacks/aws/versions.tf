terraform {
  required_version = ">= 1.7"

  required_providers {
    # 6.29 or newer gives the webhook's URL both statements that AWS asks for; see the README for older ones.
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.40, < 7"
    }
  }

  # State holds the connection's secret unless the transport is federation-relay: put a backend of your own
  # here, encrypted and closed, such as `backend "s3" { encrypt = true, use_lockfile = true … }`.
}
