# Principals of other accounts that may call a function's URL with signed requests, and by that way only: a permission to
# invoke the function without the condition would let them hand it an event of their own making, with any caller in it.
#
# AWS asks for both actions since October 2025, and the condition has an argument since aws provider 6.29. It is a module of
# its own so that the others, which an emulator applies too, work with older providers.

resource "aws_lambda_permission" "url" {
  for_each = var.callers

  statement_id           = "Url${substr(sha256(each.value), 0, 16)}"
  action                 = "lambda:InvokeFunctionUrl"
  function_name          = var.function_name
  principal              = each.value
  function_url_auth_type = "AWS_IAM"
}

resource "aws_lambda_permission" "invoke" {
  for_each = var.callers

  statement_id             = "Invoke${substr(sha256(each.value), 0, 16)}"
  action                   = "lambda:InvokeFunction"
  function_name            = var.function_name
  principal                = each.value
  invoked_via_function_url = true
}
