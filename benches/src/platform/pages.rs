//! The platform's HTML: small, German, no script.

const STYLE: &str = include_str!("platform.css");

/// The login form, with an error text after a failed attempt.
pub(super) fn login(school: &str, csrf: &str, error: Option<&str>) -> String {
    let error = error.map_or_else(String::new, |text| {
        format!(r#"<p class="error" role="alert">{text}</p>"#)
    });
    page(
        "Anmelden",
        school,
        "narrow",
        "",
        &format!(
            r#"<div class="card"><h1>Anmelden</h1>{error}
<form method="post" action="/login">
<input type="hidden" name="csrf" value="{csrf}">
<label for="username">Benutzername</label>
<input id="username" name="username" autocomplete="username" required autofocus>
<label for="password">Passwort</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>
<button>Anmelden</button>
</form></div>"#
        ),
    )
}

/// What somebody sees who is in.
pub(super) fn home(school: &str) -> String {
    page(
        "Startseite",
        school,
        "",
        LOGOUT,
        r#"<div class="card"><h1>Guten Morgen!</h1><p>Sie sind angemeldet.</p></div>
<div class="card"><h1>Heute</h1><ul><li><a href="/page/1">08:00 Mathematik: Videokonferenz</a></li>
<li><a href="/page/2">09:45 Deutsch: Arbeitsblatt</a></li><li><a href="/page/3">11:30 Biologie: Abgabe</a></li></ul></div>"#,
    )
}

/// One of the pages behind the login.
pub(super) fn lesson(school: &str, number: u32) -> String {
    page(
        &format!("Seite {number}"),
        school,
        "",
        LOGOUT,
        &format!(
            r#"<div class="card"><h1>Aufgabe {number}</h1><p>Bearbeiten Sie die Aufgabe bis heute Mittag.</p>
<p><a href="/">Zur Startseite</a></p></div>"#
        ),
    )
}

/// A page that only says something.
pub(super) fn notice(school: &str, title: &str, text: &str) -> String {
    page(
        title,
        school,
        "narrow",
        "",
        &format!(r#"<div class="card"><h1>{title}</h1><p>{text}</p></div>"#),
    )
}

const LOGOUT: &str = r#"<a href="/logout">Abmelden</a>"#;

fn page(title: &str, school: &str, class: &str, menu: &str, body: &str) -> String {
    let school = escape(school);
    format!(
        r#"<!doctype html>
<html lang="de"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · Schulplattform</title><style>{STYLE}</style></head>
<body><header><b>Schulplattform</b><span>{school}</span>{menu}</header>
<main class="{class}">{body}</main>
<footer>Demonstrationsplattform · Hier gibt es keine echten Daten</footer></body></html>
"#
    )
}

/// The host is the only foreign text on these pages.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
