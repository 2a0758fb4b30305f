terraform {
  required_version = ">= 1.7"

  required_providers {
    # 6.29 gives the webhook's URL both statements that AWS asks for, and binds callers of other accounts to the URL.
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.29, < 7"
    }
  }

  # Where the state lies is an environment's: terraform init -backend-config=…
  backend "s3" {}
}
