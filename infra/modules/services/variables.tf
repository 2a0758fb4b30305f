variable "services" {
  description = <<-EOT
    The outside services that call steps use, by name: 1 to 24 lower-case letters, digits and hyphens. A rule of EventBridge is named
    after each, and takes 64 characters with the prefix.
    - url or lambda: where it is, https (http only on loopback), or the ARN of a Lambda function.
    - cloud: which cloud calls it, aws or azure.
    - auth: how the caller proves who it is. aws: sigv4 (a function URL, an API Gateway), lambda (with lambda), signature; azure: entra,
      signature; none only on loopback.
    - audience: with entra, the resource that the token is for. Null: the origin of the url.
    - secret: with signature, the name or ARN of a secret in Secrets Manager, or the URL of one in Key Vault. It holds one or two
      `whsec_…`, separated by a blank. env:NAME only on loopback.
    - max_concurrency: how many calls at a time, 1 to 100. AWS has two at least.
    - resource: what the caller's role is given on, where url and secret do not say it. sigv4: the ARN of the function behind a function
      URL, or of an API behind a domain of your own (arn:aws:execute-api:<region>:<account>:<api>). signature on Azure: the id of the Key
      Vault. No function sees it.
    - inside: aws, with a network of yours that does not reach the internet: the service is in that network, so its caller is, too.
      No function sees it.
  EOT
  type = map(object({
    url             = optional(string)
    lambda          = optional(string)
    cloud           = string
    auth            = string
    audience        = optional(string)
    secret          = optional(string)
    max_concurrency = optional(number, 5)
    resource        = optional(string)
    inside          = optional(bool, false)
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for name in keys(var.services) : can(regex("^[a-z]([a-z0-9-]{0,22}[a-z0-9])?$", name)) && name != "outside"])
    error_message = "A service's name has 1 to 24 lower-case letters, digits and hyphens, begins with a letter and does not end in a hyphen; outside is taken."
  }

  validation {
    condition     = alltrue([for cloud in ["aws", "azure"] : length([for service in var.services : service if service.cloud == cloud]) <= 10])
    error_message = "services has at most ten for each cloud: their addresses are in the environment of a Lambda function, which has 4 KB."
  }

  validation {
    condition     = alltrue([for service in var.services : contains(["aws", "azure"], service.cloud)])
    error_message = "cloud is aws or azure."
  }

  validation {
    condition     = alltrue([for service in var.services : (service.url == null) != (service.lambda == null)])
    error_message = "A service has either url or lambda."
  }

  validation {
    condition     = alltrue([for service in var.services : service.url == null || can(regex("^(https://[A-Za-z0-9.-]+(:[0-9]+)?|http://(127\\.0\\.0\\.1|localhost)(:[0-9]+)?)(/[^?# ]*)?$", service.url))])
    error_message = "url is an https URL without user, query and fragment (http only on loopback)."
  }

  validation {
    condition     = alltrue([for service in var.services : service.lambda == null || can(regex("^arn:[a-z-]+:lambda:[a-z0-9-]+:[0-9]{12}:function:[A-Za-z0-9_-]{1,64}(:[A-Za-z0-9_-]+)?$", service.lambda))])
    error_message = "lambda is the ARN of one function, with or without an alias or a version."
  }

  validation {
    condition = alltrue([
      for service in var.services : service.auth == "none" ? can(regex("^https?://(127\\.0\\.0\\.1|localhost)([:/]|$)", service.url)) : contains(
        service.cloud == "azure" ? ["entra", "signature"] : service.lambda != null ? ["lambda"] : ["sigv4", "signature"],
        service.auth,
      )
    ])
    error_message = "auth fits cloud and address: on aws sigv4 or signature for a url and lambda for a function, on azure entra or signature; none only on loopback."
  }

  validation {
    condition     = alltrue([for service in var.services : service.cloud != "azure" || service.lambda == null])
    error_message = "A Lambda function is called from aws: cloud = \"aws\"."
  }

  validation {
    condition     = alltrue([for service in var.services : service.audience == null || service.auth == "entra"])
    error_message = "audience is for auth = \"entra\"."
  }

  validation {
    condition     = alltrue([for service in var.services : (service.auth == "signature") == (service.secret != null)])
    error_message = "A service with auth = \"signature\" has a secret, and no other has one."
  }

  validation {
    condition = alltrue([
      for service in var.services : service.secret == null || (
        startswith(coalesce(service.secret, "-"), "env:") ? can(regex("^https?://(127\\.0\\.0\\.1|localhost)([:/]|$)", service.url)) && can(regex("^env:[A-Z][A-Z0-9_]*$", service.secret)) :
        service.cloud == "azure" ? can(regex("^https://[A-Za-z0-9-]+\\.vault\\.[a-z.]+/secrets/[A-Za-z0-9-]{1,127}$", service.secret)) :
        can(regex("^([A-Za-z0-9/_+=.@-]{1,512}|arn:[a-z-]+:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]{1,512}-[A-Za-z0-9]{6})$", service.secret))
      )
    ])
    error_message = "secret is the name or the whole ARN of one secret in Secrets Manager on aws, and on azure the URL of one in Key Vault without a version; env:NAME only on loopback. No secret itself belongs here."
  }

  validation {
    condition     = alltrue([for service in var.services : service.max_concurrency >= 1 && service.max_concurrency <= 100 && floor(service.max_concurrency) == service.max_concurrency])
    error_message = "max_concurrency is a whole number from 1 to 100."
  }

  # What is known of a role's resource: an API by its host, a function URL by nothing.
  validation {
    condition = alltrue([
      for service in var.services : service.auth != "sigv4" || (
        can(regex("^https://[^/]*\\.lambda-url\\.", service.url)) ? can(regex("^arn:[a-z-]+:lambda:[a-z0-9-]+:[0-9]{12}:function:[A-Za-z0-9_-]{1,64}$", service.resource)) :
        service.resource == null ? can(regex("^https://[a-z0-9]+\\.execute-api\\.[a-z0-9-]+\\.amazonaws\\.com(\\.cn)?(/|$)", service.url)) :
        can(regex("^arn:[a-z-]+:execute-api:[a-z0-9-]+:[0-9]{12}:[a-z0-9]+$", service.resource))
      )
    ])
    error_message = "With sigv4, resource is the ARN of the function behind a function URL (arn:aws:lambda:<region>:<account>:function:<name>), or of the API behind a domain of your own: the url does not say which one the caller may call."
  }

  validation {
    condition = alltrue([
      for service in var.services : service.cloud != "azure" || service.secret == null || startswith(coalesce(service.secret, "-"), "env:") || can(
        regex("^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\\.KeyVault/vaults/[A-Za-z0-9-]+$", service.resource)
      )
    ])
    error_message = "With signature on azure, resource is the id of the secret's vault (/subscriptions/…/providers/Microsoft.KeyVault/vaults/<name>): the role is given on the one secret in it."
  }

  validation {
    condition     = alltrue([for service in var.services : service.resource == null || service.auth == "sigv4" || (service.cloud == "azure" && service.auth == "signature")])
    error_message = "resource is for sigv4, and for signature on azure; for others, url, lambda or secret say it."
  }

  validation {
    condition     = alltrue([for service in var.services : !service.inside || (service.cloud == "aws" && service.url != null)])
    error_message = "inside is for a url that aws calls: on azure the app works in the network or not, and a function is invoked through AWS."
  }
}
