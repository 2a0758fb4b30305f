output "url" {
  description = "The webhook's URL."
  value       = "${aws_apigatewayv2_api.this.api_endpoint}/"
}
