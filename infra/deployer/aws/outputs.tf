output "policy_arns" {
  description = "The policies: a deployer has all, a planner its own."
  value       = { for name, policy in aws_iam_policy.this : name => policy.arn }
}

output "role_arns" {
  description = "The roles of GitHub Actions, by what they may do."
  value       = { for name, role in aws_iam_role.github : name => role.arn }
}
