terraform {
  required_version = ">= 1.7"

  required_providers {
    # 6.2 has kms_key_identifier.
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.2, < 7"
    }
  }
}
