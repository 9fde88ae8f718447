//! What pupils see: the login and the pages behind it.

use std::sync::Arc;

use axum::extract::{Form, Path, Request, State};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use cookie::Cookie;
use http::header::{CACHE_CONTROL, COOKIE, HOST, LOCATION, RETRY_AFTER, SET_COOKIE};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::record::Outcome;
use super::workers::Job;
use super::{CSRF_COOKIE, Region, SESSION_COOKIE, TAG_HEADER, pages, sessions, streams};

/// The application server's worker that a request occupies, if their number is bounded.
type Place = Extension<Option<Arc<OwnedSemaphorePermit>>>;

pub(super) fn router(region: Arc<Region>) -> Router {
    let streams = streams::router(region.streams.clone());
    Router::new()
        .route("/", get(home))
        .route("/page/{number}", get(lesson))
        .route("/login", get(form).post(login))
        .route("/logout", get(logout))
        .layer(middleware::from_fn_with_state(Arc::clone(&region), occupy))
        .route("/healthz", get(async || "ok\n"))
        .with_state(region)
        .merge(streams)
}

/// Waits for one of the application server's workers, as a listen backlog does.
async fn occupy(State(region): State<Arc<Region>>, mut request: Request, next: Next) -> Response {
    let place = match &region.places {
        Some(places) => Arc::clone(places).acquire_owned().await.ok().map(Arc::new),
        None => None,
    };
    request.extensions_mut().insert(place);
    next.run(request).await
}

async fn form(headers: HeaderMap) -> Response {
    login_page(&headers, None)
}

#[derive(Deserialize)]
struct Credentials {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    password: String,
}

async fn login(
    State(region): State<Arc<Region>>,
    Extension(place): Place,
    headers: HeaderMap,
    Form(credentials): Form<Credentials>,
) -> Response {
    let tag = headers.get(TAG_HEADER).and_then(|tag| tag.to_str().ok());
    let login = region.record.arrived(host(&headers), tag);

    let csrf_agrees = cookie(&headers, CSRF_COOKIE).is_some_and(|token| token == credentials.csrf);
    if !csrf_agrees || !sessions::csrf_fresh(&credentials.csrf, region.csrf_lifetime) {
        login.refused(Outcome::CsrfRefused);
        let text = "Das Anmeldeformular ist abgelaufen. <a href=\"/login\">Neu laden</a>";
        return page(
            StatusCode::FORBIDDEN,
            pages::notice(host(&headers), "Formular abgelaufen", text),
        );
    }

    let (reply, verdict) = oneshot::channel();
    let job = Job {
        password: credentials.password,
        login,
        reply,
        place,
    };
    if let Err(job) = region.workers.submit(job, region.queue_limit) {
        job.login.refused(Outcome::Overloaded);
        return overloaded(&headers);
    }
    match verdict.await {
        Ok(true) => {
            let session = cookie_of(SESSION_COOKIE, region.sessions.begin());
            let used = Cookie::build((CSRF_COOKIE, ""))
                .path("/")
                .max_age(cookie::time::Duration::ZERO)
                .build();
            see_other("/", &[session, used])
        }
        Ok(false) => login_page(&headers, Some("Benutzername oder Passwort ist falsch.")),
        // The platform is shutting down and has dropped its queue.
        Err(_) => overloaded(&headers),
    }
}

async fn home(State(region): State<Arc<Region>>, headers: HeaderMap) -> Response {
    if !logged_in(&region, &headers) {
        return see_other("/login", &[]);
    }
    page(StatusCode::OK, pages::home(host(&headers)))
}

async fn lesson(
    State(region): State<Arc<Region>>,
    Path(number): Path<u32>,
    headers: HeaderMap,
) -> Response {
    if !logged_in(&region, &headers) {
        return see_other("/login", &[]);
    }
    page(StatusCode::OK, pages::lesson(host(&headers), number))
}

async fn logout(State(region): State<Arc<Region>>, headers: HeaderMap) -> Response {
    if let Some(token) = cookie(&headers, SESSION_COOKIE) {
        region.sessions.end(token);
    }
    let over = Cookie::build((SESSION_COOKIE, ""))
        .path("/")
        .max_age(cookie::time::Duration::ZERO)
        .build();
    see_other("/login", &[over])
}

fn login_page(headers: &HeaderMap, error: Option<&str>) -> Response {
    let csrf = sessions::csrf_token();
    let body = pages::login(host(headers), &csrf, error);
    with_cookies(page(StatusCode::OK, body), &[cookie_of(CSRF_COOKIE, csrf)])
}

fn overloaded(headers: &HeaderMap) -> Response {
    let text = "Die Plattform ist überlastet. Bitte versuchen Sie es später noch einmal.";
    let body = pages::notice(host(headers), "Nicht erreichbar", text);
    let mut response = page(StatusCode::SERVICE_UNAVAILABLE, body);
    response
        .headers_mut()
        .insert(RETRY_AFTER, http::HeaderValue::from_static("30"));
    response
}

fn logged_in(region: &Region, headers: &HeaderMap) -> bool {
    cookie(headers, SESSION_COOKIE).is_some_and(|token| {
        let known = region.sessions.knows(token);
        if !known {
            region.record.stranger();
        }
        known
    })
}

fn host(headers: &HeaderMap) -> &str {
    headers
        .get(HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or("")
}

/// The value of a cookie, looked for in every Cookie field.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let fields = headers
        .get_all(COOKIE)
        .into_iter()
        .filter_map(|field| field.to_str().ok());
    let mut pairs = fields
        .flat_map(|field| field.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value)
}

fn cookie_of(name: &'static str, value: String) -> Cookie<'static> {
    Cookie::build((name, value))
        .path("/")
        .http_only(true)
        .same_site(cookie::SameSite::Lax)
        .build()
}

fn page(status: StatusCode, body: String) -> Response {
    (status, [(CACHE_CONTROL, "no-store")], Html(body)).into_response()
}

fn see_other(location: &'static str, cookies: &[Cookie<'_>]) -> Response {
    with_cookies(
        (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response(),
        cookies,
    )
}

fn with_cookies(mut response: Response, cookies: &[Cookie<'_>]) -> Response {
    for cookie in cookies {
        if let Ok(value) = cookie.to_string().parse() {
            response.headers_mut().append(SET_COOKIE, value);
        }
    }
    response
}
