# What the outside services of a deployment are, checked once for whoever takes them. It makes nothing.

locals {
  # The members of the services file; one that is not set is left out.
  seen = {
    for name, service in var.services : name => { for member, value in service : member => value if value != null && !contains(["inside", "resource"], member) }
  }
}
