//! An OpenAPI document, and whether an answer keeps it. It knows as much of JSON Schema as our documents use; a keyword
//! that it does not know fails the test, so nothing in a document goes unchecked. Stricter than JSON Schema in one
//! thing: a member that the document does not name is wrong, so that none is forgotten there.

use std::collections::BTreeSet;

use regex_lite::Regex;
use serde_json::Value;

/// A document.
pub struct Document(pub Value);

/// An answer to a request.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: String,
}

impl Answer {
    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let named = self.headers.iter().find(|(known, _)| known == name);
        named.map(|(_, value)| value.as_str())
    }

    /// The body as JSON; `null` when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

impl Document {
    /// Reads it.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let document: Value = serde_json::from_str(text).expect("the document is JSON");
        assert_eq!(document["openapi"], "3.1.0");
        Self(document)
    }

    /// Every method and path.
    #[must_use]
    pub fn routes(&self) -> BTreeSet<(String, String)> {
        let paths = self.0["paths"].as_object().into_iter().flatten();
        paths
            .flat_map(|(path, operations)| {
                let methods = operations.as_object().into_iter().flatten();
                methods.map(|(method, _)| (method.to_uppercase(), path.clone()))
            })
            .collect()
    }

    /// The texts that an `enum` at this pointer has.
    #[must_use]
    pub fn words(&self, pointer: &str) -> Vec<&str> {
        let found = self.0.pointer(pointer).and_then(Value::as_array);
        let found = found.unwrap_or_else(|| panic!("there is nothing at {pointer}"));
        found.iter().filter_map(Value::as_str).collect()
    }

    /// A parameter of an operation.
    #[must_use]
    pub fn parameter(&self, method: &str, path: &str, name: &str) -> &Value {
        let all = self.0["paths"][path][method.to_lowercase()]["parameters"].as_array();
        let found = all
            .into_iter()
            .flatten()
            .find(|parameter| parameter["name"] == name);
        found.unwrap_or_else(|| panic!("{method} {path} has no parameter {name}"))
    }

    /// Every status of every operation, as `GET /path 200`, and for problems with each code.
    #[must_use]
    pub fn outcomes(&self) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        for (method, path) in self.routes() {
            let responses = &self.0["paths"][&path][method.to_lowercase()]["responses"];
            for (status, response) in responses.as_object().into_iter().flatten() {
                let codes = response
                    .pointer("/content/application~1problem+json/schema/allOf/1/properties/code/enum");
                match codes.and_then(Value::as_array) {
                    Some(codes) => all.extend(codes.iter().map(|code| {
                        format!("{method} {path} {status} {}", code.as_str().unwrap_or_default())
                    })),
                    None => _ = all.insert(format!("{method} {path} {status}")),
                }
            }
        }
        all
    }

    /// Checks an answer; gives back which outcome of [`Document::outcomes`] it is.
    ///
    /// # Panics
    /// It breaks the document.
    pub fn check(&self, method: &str, path: &str, answer: &Answer) -> String {
        let template = self.template(path);
        if method == "HEAD" {
            assert!(answer.body.is_empty(), "HEAD {path} has a body: {answer:?}");
            return self.check_headers(path, answer);
        }
        let operation = template.map(|template| &self.0["paths"][template][method.to_lowercase()]);
        let (place, response) = match (template, operation) {
            (None, _) => (
                "nowhere".to_owned(),
                &self.0["components"]["responses"]["NotFound"],
            ),
            (Some(template), Some(Value::Null) | None) => (
                format!("{method} {template}"),
                &self.0["components"]["responses"]["MethodNotAllowed"],
            ),
            (Some(template), Some(operation)) => (
                format!("{method} {template}"),
                &operation["responses"][answer.status.to_string()],
            ),
        };
        let shown = format!("{method} {path}: {answer:?}");
        assert!(response.is_object(), "the document has no such answer. {shown}");
        let kind = answer.header("content-type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default();
        let schema = &response["content"][kind]["schema"];
        assert!(schema.is_object(), "the document has no {kind} there. {shown}");
        let body = match kind {
            "application/json" | "application/problem+json" => serde_json::from_str(&answer.body)
                .unwrap_or_else(|error| panic!("the body is no JSON ({error}). {shown}")),
            _ => Value::from(answer.body.as_str()),
        };
        let mut wrong = Vec::new();
        self.validate(schema, &body, "body", true, &mut wrong);
        for (name, header) in response["headers"].as_object().into_iter().flatten() {
            match answer.header(&name.to_lowercase()) {
                Some(value) => self.validate(&header["schema"], &Value::from(value), name, true, &mut wrong),
                None => wrong.push(format!("the header {name} is missing")),
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?} {shown}");
        let code = body["code"].as_str().map(|code| format!(" {code}"));
        format!("{place} {}{}", answer.status, code.unwrap_or_default())
    }

    /// `HEAD` is answered as `GET` is, and the same holds for it but for the body.
    fn check_headers(&self, path: &str, answer: &Answer) -> String {
        let get = self
            .template(path)
            .map(|template| &self.0["paths"][template]["get"]["responses"]);
        let responses = &self.0["components"]["responses"];
        let response = match get {
            None => &responses["NotFound"],
            Some(Value::Null) => &responses["MethodNotAllowed"],
            Some(get) => &get[answer.status.to_string()],
        };
        let kind = answer.header("content-type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default();
        assert!(
            response["content"][kind].is_object(),
            "HEAD {path}: the document has no such answer. {answer:?}"
        );
        for name in response["headers"]
            .as_object()
            .into_iter()
            .flat_map(|headers| headers.keys())
        {
            assert!(
                answer.header(&name.to_lowercase()).is_some(),
                "HEAD {path}: {name} is missing. {answer:?}"
            );
        }
        format!("HEAD {path} {}", answer.status)
    }

    /// What is wrong with a value, by the schema at this pointer.
    #[must_use]
    pub fn wrong(&self, pointer: &str, value: &Value) -> Vec<String> {
        let schema = self.0.pointer(pointer);
        let schema = schema.unwrap_or_else(|| panic!("there is nothing at {pointer}"));
        let mut wrong = Vec::new();
        self.validate(schema, value, "body", true, &mut wrong);
        wrong
    }

    /// The document's path that a request's path fits; one without braces first.
    fn template(&self, path: &str) -> Option<&str> {
        let fits = |template: &str| {
            let (wanted, parts) = (template.split('/'), path.split('/'));
            wanted.clone().count() == parts.clone().count()
                && wanted
                    .zip(parts)
                    .all(|(wanted, part)| wanted == part || (wanted.starts_with('{') && !part.is_empty()))
        };
        let paths = self.0["paths"].as_object().into_iter().flatten();
        let fitting = paths
            .map(|(template, _)| template.as_str())
            .filter(|template| fits(template));
        fitting.min_by_key(|template| template.contains('{'))
    }

    /// `closed`: members that the schema does not name are wrong.
    fn validate(&self, schema: &Value, value: &Value, at: &str, closed: bool, wrong: &mut Vec<String>) {
        let rules = schema.as_object().expect("a schema is an object");
        let mut say = |what: String| wrong.push(format!("{at}: {value} {what}"));
        let text = value.as_str();
        for (rule, wanted) in rules {
            let number = || wanted.as_f64().expect("a bound is a number");
            match rule.as_str() {
                "$ref" | "allOf" | "oneOf" | "properties" | "required" | "items" => {}
                "description" | "default" | "examples" => {}
                "additionalProperties" => assert!(wanted.is_object() || *wanted == Value::Bool(false)),
                "type" => {
                    let kinds = wanted
                        .as_array()
                        .map_or(vec![wanted], |kinds| kinds.iter().collect());
                    if !kinds
                        .into_iter()
                        .any(|kind| is(kind.as_str().unwrap_or_default(), value))
                    {
                        say(format!("is not of type {wanted}"));
                    }
                }
                "enum" if !wanted.as_array().is_some_and(|all| all.contains(value)) => {
                    say(format!("is none of {wanted}"))
                }
                "const" if wanted != value => say(format!("is not {wanted}")),
                "enum" | "const" => {}
                "minimum" if value.as_f64().is_some_and(|it| it < number()) => {
                    say(format!("is less than {wanted}"))
                }
                "maximum" if value.as_f64().is_some_and(|it| it > number()) => {
                    say(format!("is more than {wanted}"))
                }
                "exclusiveMinimum" if value.as_f64().is_some_and(|it| it <= number()) => {
                    say(format!("is not more than {wanted}"))
                }
                "minimum" | "maximum" | "exclusiveMinimum" => {}
                "minLength" | "maxLength" | "minItems" | "maxItems" => {
                    let length = text.map(|text| text.chars().count());
                    let length = length.or(value.as_array().map(Vec::len)).unwrap_or_default() as u64;
                    let bound = wanted.as_u64().expect("a length is a number");
                    let applies = rule.ends_with("Length") == text.is_some() && !value.is_null();
                    if applies
                        && (if rule.starts_with("min") {
                            length < bound
                        } else {
                            length > bound
                        })
                    {
                        say(format!("breaks {rule} {wanted}"));
                    }
                }
                "minProperties" => {
                    let members = value.as_object().map_or(usize::MAX, serde_json::Map::len) as u64;
                    if members < wanted.as_u64().expect("a length is a number") {
                        say(format!("has fewer than {wanted} members"));
                    }
                }
                "pattern" => {
                    let pattern = Regex::new(wanted.as_str().unwrap_or_default()).expect("a pattern");
                    if text.is_some_and(|text| !pattern.is_match(text)) {
                        say(format!("does not look like {wanted}"));
                    }
                }
                "format" => {
                    let good = |text: &str| match wanted.as_str() {
                        Some("uuid") => text.parse::<saga_core::SagaId>().is_ok(),
                        Some("date-time") => saga_wire::time::parse(text).is_ok(),
                        other => panic!("no format {other:?} is known"),
                    };
                    if text.is_some_and(|text| !good(text)) {
                        say(format!("is no {wanted}"));
                    }
                }
                unknown => panic!("the keyword `{unknown}` is not known; teach it to tests/src/openapi.rs"),
            }
        }
        if let Some(name) = schema["$ref"].as_str() {
            let target = name.strip_prefix('#').and_then(|pointer| self.0.pointer(pointer));
            let target = target.unwrap_or_else(|| panic!("there is no {name}"));
            self.validate(target, value, at, closed, wrong);
        }
        // Of several schemas that hold together, the first names the members.
        for (index, part) in schema["allOf"].as_array().into_iter().flatten().enumerate() {
            self.validate(part, value, at, closed && index == 0, wrong);
        }
        if let Some(choices) = schema["oneOf"].as_array() {
            let fits = |choice: &&Value| {
                let mut wrong = Vec::new();
                self.validate(choice, value, at, false, &mut wrong);
                wrong.is_empty()
            };
            if choices.iter().filter(fits).count() != 1 {
                wrong.push(format!("{at}: {value} fits not exactly one of {choices:?}"));
            }
        }
        for (index, item) in value.as_array().into_iter().flatten().enumerate() {
            if schema["items"].is_object() {
                self.validate(&schema["items"], item, &format!("{at}[{index}]"), closed, wrong);
            }
        }
        let Some(members) = value.as_object() else { return };
        for name in schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
        {
            if !members.contains_key(name) {
                wrong.push(format!("{at}.{name} is missing"));
            }
        }
        let (known, others) = (&schema["properties"], &schema["additionalProperties"]);
        if known.is_object() || others.is_object() {
            for (name, member) in members {
                match known.get(name).or(others.is_object().then_some(others)) {
                    Some(schema) => self.validate(schema, member, &format!("{at}.{name}"), closed, wrong),
                    None if closed => wrong.push(format!("{at}.{name} is not in the document")),
                    None => {}
                }
            }
        }
    }
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        other => panic!("there is no type {other}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_sees_what_breaks_a_schema() {
        let document = Document(json!({"a": {"type": "object", "required": ["n"], "properties": {
            "n": {"type": "integer", "minimum": 1, "maximum": 3},
            "t": {"type": ["string", "null"], "pattern": "^[a-z]+$", "maxLength": 3},
            "w": {"enum": ["x", null]},
            "l": {"type": "array", "maxItems": 1, "items": {"$ref": "#/b"}},
            "o": {"oneOf": [{"required": ["p"]}, {"required": ["q"]}]},
            "m": {"type": "object", "minProperties": 1},
        }}, "b": {"type": "string", "format": "date-time"}}));
        for good in [
            json!({"n": 1}),
            json!({"n": 3, "t": null, "w": null, "l": []}),
            json!({"n": 2, "t": "abc", "w": "x", "l": ["2026-11-21T00:00:00Z"], "o": {"p": 1}}),
        ] {
            assert_eq!(document.wrong("/a", &good), [""; 0]);
        }
        for bad in [
            json!([]),
            json!({}),
            json!({"n": 0}),
            json!({"n": 4}),
            json!({"n": "1"}),
            json!({"n": 1, "t": "A"}),
            json!({"n": 1, "t": "abcd"}),
            json!({"n": 1, "w": "y"}),
            json!({"n": 1, "l": ["2026-11-21T00:00:00Z", "2026-11-21T00:00:00Z"]}),
            json!({"n": 1, "l": ["yesterday"]}),
            json!({"n": 1, "o": {"p": 1, "q": 2}}),
            json!({"n": 1, "m": {}}),
            json!({"n": 1, "unknown": 1}),
        ] {
            assert_eq!(document.wrong("/a", &bad).len(), 1, "{bad}");
        }
    }
}
