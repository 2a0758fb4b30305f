//! Which route a request asks for. A function has one table of its routes; the router reads it, and so does the test
//! that compares it with the function's OpenAPI document.

use lambda_http::{Request, RequestExt};
use saga_core::text::shown;
use saga_wire::problem::{Code, Problem};

/// Method, path and what it leads to. A path has at most two parts in braces, each of which stands for any text. Where two
/// paths fit, the earlier one is meant.
pub type Routes<T> = [(&'static str, &'static str, T)];

/// The texts in place of a path's braces; empty where it has fewer.
pub type Given<'r> = [&'r str; 2];

/// The route that the request asks for, and the texts in place of the braces. `HEAD` asks for what `GET` would
/// (<https://www.rfc-editor.org/rfc/rfc9110#section-9.3.2>).
///
/// # Errors
/// There is nothing at this path, or nothing with this method.
pub fn find<'r, T: Copy>(routes: &Routes<T>, request: &'r Request) -> Result<(T, Given<'r>), Problem> {
    let path = request.raw_http_path().trim_end_matches('/');
    let nothing = || Problem::new(Code::NotFound, format!("there is nothing at {}", shown(path)));
    let fits = |(_, template, _): &&(_, &'static str, T)| given(template, path).is_some();
    let template = routes.iter().find(fits).ok_or_else(nothing)?.1;
    let here = || routes.iter().filter(|(_, known, _)| *known == template);
    let method = request.method().as_str();
    let wanted = if method == "HEAD" { "GET" } else { method };
    match here().find(|(method, ..)| *method == wanted) {
        Some((_, _, to)) => Ok((*to, given(template, path).unwrap_or_default())),
        None => {
            let named = |method| if method == "GET" { "GET, HEAD" } else { method };
            let allowed: Vec<&str> = here().map(|(method, ..)| named(method)).collect();
            let allowed = allowed.join(", ");
            let problem = Problem::new(Code::MethodNotAllowed, format!("only {allowed} is possible here"));
            Err(problem.with_possible("allow", allowed))
        }
    }
}

/// The texts in place of the braces, when the path fits.
fn given<'r>(template: &str, path: &'r str) -> Option<Given<'r>> {
    let (mut wanted, mut parts) = (template.split('/'), path.split('/'));
    let (mut given, mut count) = (Given::default(), 0);
    loop {
        match (wanted.next(), parts.next()) {
            (None, None) => return Some(given),
            (Some(wanted), Some(part)) if wanted.starts_with('{') && !part.is_empty() => {
                *given.get_mut(count)? = part;
                count += 1;
            }
            (Some(wanted), Some(part)) if wanted == part => {}
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTES: &Routes<u8> = &[
        ("GET", "/things", 1),
        ("POST", "/things/all", 2),
        ("GET", "/things/{id}", 3),
        ("PUT", "/things/{id}", 4),
        ("POST", "/things/{id}/turn", 5),
        ("POST", "/things/{id}/parts/{part}", 6),
    ];

    fn found(method: &str, path: &str) -> Result<(u8, String), (u16, Option<String>)> {
        let found = found_all(method, path)?;
        Ok((found.0, found.1[0].clone()))
    }

    fn found_all(method: &str, path: &str) -> Result<(u8, [String; 2]), (u16, Option<String>)> {
        let mut request = Request::new(lambda_http::Body::Empty);
        *request.method_mut() = method.parse().unwrap();
        let request = request.with_raw_http_path(path);
        let found = find(ROUTES, &request).map(|(to, given)| (to, given.map(str::to_owned)));
        found.map_err(|problem| (problem.code.status(), problem.possible.map(|(_, value)| value)))
    }

    #[test]
    fn paths_and_methods_lead_to_routes() {
        assert_eq!(found("GET", "/things"), Ok((1, String::new())));
        assert_eq!(found("GET", "/things/"), Ok((1, String::new())));
        assert_eq!(found("POST", "/things/all"), Ok((2, String::new())));
        assert_eq!(found("PUT", "/things/a%20b"), Ok((4, "a%20b".to_owned())));
        assert_eq!(found("POST", "/things/7/turn"), Ok((5, "7".to_owned())));
        assert_eq!(
            found_all("POST", "/things/7/parts/all"),
            Ok((6, ["7".to_owned(), "all".to_owned()]))
        );
        assert_eq!(found("GET", "/things/all"), Err((405, Some("POST".to_owned()))));
        assert_eq!(found("HEAD", "/things/7"), Ok((3, "7".to_owned())));
        assert_eq!(
            found("DELETE", "/things/7"),
            Err((405, Some("GET, HEAD, PUT".to_owned())))
        );
        assert_eq!(found("HEAD", "/things/all"), Err((405, Some("POST".to_owned()))));
        for path in [
            "",
            "/",
            "things",
            "/thing",
            "/things/7/8",
            "/things//turn",
            "/things/7/parts",
            "/things/7/parts//",
            "/things//parts/a",
            "//things",
        ] {
            assert_eq!(found("GET", path), Err((404, None)), "{path}");
        }
    }
}
