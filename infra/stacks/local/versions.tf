terraform {
  required_version = ">= 1.7"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0" # the version the emulator is tested with
    }
  }

  # The path is given by whoever runs the stack, so that each local stack keeps its own state.
  backend "local" {}
}
