//! Reads a login form as far as a pupil's browser needs it: the hidden fields to send back.

/// The login form of a page.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct LoginForm {
    /// Names and values of the hidden fields, the CSRF token among them.
    hidden: Vec<(String, String)>,
}

impl LoginForm {
    /// Finds the form with a password field; `None` if the page has none.
    pub(super) fn find(html: &str) -> Option<Self> {
        let form = html
            .split("<form")
            .skip(1)
            .map(|rest| rest.split("</form").next().unwrap_or(rest));
        let form = form
            .into_iter()
            .find(|form| inputs(form).any(|input| is_type(input, "password")))?;
        let hidden = inputs(form).filter(|input| is_type(input, "hidden"));
        let hidden = hidden
            .filter_map(|input| Some((attribute(input, "name")?, attribute(input, "value")?)));
        Some(Self {
            hidden: hidden.collect(),
        })
    }

    /// The body of the submit (`application/x-www-form-urlencoded`).
    pub(super) fn body(&self, username: &str, password: &str) -> String {
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(&self.hidden);
        body.append_pair("username", username);
        body.append_pair("password", password);
        body.finish()
    }
}

fn inputs(html: &str) -> impl Iterator<Item = &str> {
    html.split("<input")
        .skip(1)
        .filter_map(|rest| rest.split('>').next())
}

fn is_type(input: &str, wanted: &str) -> bool {
    attribute(input, "type").is_some_and(|found| found == wanted)
}

/// The value of a quoted attribute.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag
        .split_once(&format!(" {name}="))
        .or_else(|| tag.split_once(&format!("\n{name}=")))?;
    let quote = rest
        .chars()
        .next()
        .filter(|quote| matches!(quote, '"' | '\''))?;
    let value = rest[1..].split(quote).next()?;
    Some(
        value
            .replace("&quot;", "\"")
            .replace("&#x27;", "'")
            .replace("&#39;", "'")
            .replace("&amp;", "&"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"<form action="/suche"><input type="hidden" name="q" value="1"></form>
        <form method="post" action="/login"><input name='csrf' type='hidden' value='a&amp;b=1'>
        <input name="username"><input type="password" name="password"></form>"#;

    #[test]
    fn the_csrf_token_of_the_login_form_is_found_and_sent_back() {
        let form = LoginForm::find(PAGE).unwrap();
        assert_eq!(
            form.body("pupil 1", "ü&"),
            "csrf=a%26b%3D1&username=pupil+1&password=%C3%BC%26"
        );
    }

    #[test]
    fn a_page_without_a_password_field_is_no_login_form() {
        assert_eq!(
            LoginForm::find("<form><input type=\"hidden\" name=\"csrf\" value=\"1\"></form>"),
            None
        );
        assert_eq!(LoginForm::find("<p>Guten Morgen</p>"), None);
    }
}
