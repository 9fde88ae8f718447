//! A pupil's morning: open the login page, type, submit, wait if told to, go in, look at some pages.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::browser::{Answer, Browser, HTML};
use super::form::LoginForm;
use super::live::count;
use super::order::Micros;
use super::plan::between;
use super::story::{Ending, Path, Story};
use super::trouble::Trouble;
use super::world::World;
use super::{socket, waiting};
use crate::platform::SESSION_COOKIE;

/// More steps than any honest way in has.
const LONGEST_WAY: u32 = 40;

/// One virtual pupil.
pub(super) struct Pupil {
    pub(super) world: Arc<World>,
    pub(super) school: u16,
    pub(super) browser: Browser,
    pub(super) rng: fastrand::Rng,
    pub(super) story: Story,
    /// The place in the waiting room, as far as this pupil can tell.
    pub(super) place: Option<Place>,
    /// Closes the tab when told to wait.
    pub(super) no_show: bool,
    number: u32,
    /// When the first submit is meant to be sent: where the wait is measured from.
    submit_due: Instant,
    submitted: bool,
    will_mistype: bool,
    typed: Typed,
    /// When the request was sent that got this pupil let in.
    let_in_sent: Option<Micros>,
    /// When the login was sent that the platform was given and did not answer.
    lost_sent: Option<Micros>,
}

/// What is remembered of a place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) join_sent: Micros,
    pub(super) join_received: Micros,
    pub(super) ahead: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Typed {
    Nothing,
    Wrong,
    Right,
}

/// What to do next.
pub(super) enum Step {
    OpenForm,
    Submit(LoginForm),
    Wait,
    Enter,
    Inside,
    CloseTab,
}

impl Pupil {
    pub(super) fn new(
        world: Arc<World>,
        number: u32,
        school: u16,
        pupils_of_school: u32,
        arrives: Instant,
    ) -> Self {
        let plan = &world.plan;
        let mut rng = fastrand::Rng::with_seed(
            plan.seed ^ (u64::from(number) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15),
        );
        let host = &plan.schools[usize::from(school)].host;
        let source = socket::source(school, number, pupils_of_school);
        let browser = Browser::new(host, number, source, plan.connections, plan.request_timeout);
        Self {
            submit_due: arrives + between(&mut rng, plan.think),
            no_show: rng.f64() < plan.no_show,
            will_mistype: rng.f64() < plan.mistype,
            world,
            school,
            browser,
            rng,
            story: Story::of(school),
            place: None,
            number,
            submitted: false,
            typed: Typed::Nothing,
            let_in_sent: None,
            lost_sent: None,
        }
    }

    /// The whole morning; its story goes to the world's tally.
    pub(super) async fn live(mut self) {
        let world = Arc::clone(&self.world);
        count(&world.plan.live.started);
        let deadline = world.epoch + world.plan.deadline;
        let patience_ends = if self.rng.f64() < world.plan.give_up {
            self.submit_due + world.plan.patience.draw(&mut self.rng)
        } else {
            deadline
        };
        self.story.ending = match timeout_at(deadline.min(patience_ends), self.get_in()).await {
            Ok(ending) => ending,
            Err(_) if patience_ends < deadline => Ending::GaveUp,
            Err(_) => {
                world.note(Trouble::Unfinished);
                Ending::Failed
            }
        };
        world.finish(std::mem::replace(&mut self.story, Story::of(self.school)));
        if self.let_in_sent.is_some() && self.browser.has_cookie(SESSION_COOKIE) {
            // Out of time: nobody waits for the rest.
            let _ = timeout_at(deadline, self.look_around()).await;
        }
    }

    async fn get_in(&mut self) -> Ending {
        let world = Arc::clone(&self.world);
        for reload in 0..=world.plan.reloads {
            if reload > 0 {
                count(&world.plan.live.reloads);
                sleep(between(&mut self.rng, world.plan.reload_after)).await;
            }
            match self.log_in().await {
                Ok(ending) => return ending,
                Err(trouble) => world.note(trouble),
            }
        }
        Ending::Failed
    }

    /// From the login page to the inside, whatever lies between.
    async fn log_in(&mut self) -> Result<Ending, Trouble> {
        let mut step = Step::OpenForm;
        for _ in 0..LONGEST_WAY {
            step = match step {
                Step::OpenForm => self.open_form().await?,
                Step::Submit(form) => self.submit(&form).await?,
                Step::Wait => waiting::wait(self).await?,
                Step::Enter => self.enter().await?,
                Step::Inside => return Ok(self.arrive()),
                Step::CloseTab => return Ok(Ending::NoShow),
            };
        }
        Err(Trouble::LostWay)
    }

    async fn open_form(&mut self) -> Result<Step, Trouble> {
        self.typed = Typed::Nothing;
        let answer = self.get("/login", HTML).await?;
        self.read(&answer)
    }

    async fn submit(&mut self, form: &LoginForm) -> Result<Step, Trouble> {
        let due = if self.submitted {
            Instant::now() + self.think()
        } else {
            self.submit_due
        };
        self.browser.pause(due).await;
        self.submitted = true;
        let username = format!("pupil{:05}", self.number);
        let body = if std::mem::take(&mut self.will_mistype) {
            count(&self.world.plan.live.mistyped);
            self.typed = Typed::Wrong;
            form.body(&username, "vertippt")
        } else {
            self.typed = Typed::Right;
            form.body(&username, &self.world.plan.password)
        };
        let answer = self.post("/login", body).await?;
        self.read(&answer)
    }

    async fn enter(&mut self) -> Result<Step, Trouble> {
        let answer = match self.post_enter().await {
            Ok(answer) => answer,
            // The place is kept by the cookie, so the page is opened again.
            Err(trouble) => {
                self.world.note(trouble);
                self.browser
                    .pause(Instant::now() + Duration::from_secs(1))
                    .await;
                return Ok(Step::Wait);
            }
        };
        let step = self.read(&answer)?;
        match step {
            Step::Wait => count(&self.world.plan.live.sent_back),
            Step::OpenForm => count(&self.world.plan.live.asked_again),
            _ => {}
        }
        Ok(step)
    }

    /// Goes in. The gateway may send the form on to where the login was (307 repeats the request).
    async fn post_enter(&mut self) -> Result<Answer, Trouble> {
        let form = || "einlass=enter".to_owned();
        let answer = self.post("/_einlass/enter", form()).await?;
        if !matches!(answer.status, 307 | 308) {
            return Ok(answer);
        }
        let path = path_of(answer.location.as_deref().unwrap_or_default()).to_owned();
        self.post(&path, form()).await
    }

    /// What an answer at the gate means.
    fn read(&mut self, answer: &Answer) -> Result<Step, Trouble> {
        match answer.status {
            200 => {
                let form = LoginForm::find(&String::from_utf8_lossy(&answer.body))
                    .ok_or(Trouble::NoForm)?;
                match self.typed {
                    Typed::Nothing => {}
                    // The platform itself has looked at the password.
                    Typed::Wrong => self.let_in(answer),
                    Typed::Right => return Err(Trouble::Rejected),
                }
                self.typed = Typed::Nothing;
                Ok(Step::Submit(form))
            }
            301..=303 | 307 | 308 => {
                match path_of(answer.location.as_deref().unwrap_or_default()) {
                    path if path.starts_with("/_einlass/wait") => {
                        let world = &self.world;
                        if self.place.is_none() && self.let_in_sent.is_none() {
                            count(&world.plan.live.answered);
                        }
                        self.place.get_or_insert_with(|| Place {
                            join_sent: world.micros(answer.sent),
                            join_received: world.micros(answer.received),
                            ahead: None,
                        });
                        Ok(Step::Wait)
                    }
                    path if path.starts_with("/_einlass") => Err(Trouble::LostWay),
                    "/login" => Ok(Step::OpenForm),
                    _ if !self.browser.has_cookie(SESSION_COOKIE) => Err(Trouble::NoSession),
                    _ => {
                        self.let_in(answer);
                        Ok(Step::Inside)
                    }
                }
            }
            504 => {
                // Whoever had been let in by then is not somebody who comes later.
                self.lost_sent.get_or_insert(self.world.micros(answer.sent));
                Err(Trouble::Status(504))
            }
            status => Err(Trouble::Status(status)),
        }
    }

    /// The backend has answered: nobody of this school who comes later may have been before.
    fn let_in(&mut self, answer: &Answer) {
        if self.let_in_sent.is_some() {
            return;
        }
        if self.place.is_none() {
            count(&self.world.plan.live.answered);
        }
        let first = self.place.map(|place| place.join_sent).or(self.lost_sent);
        let sent = first.unwrap_or_else(|| self.world.micros(answer.sent));
        self.let_in_sent = Some(sent);
        self.world.doors[usize::from(self.school)].let_in(sent);
        self.story.path = if self.place.is_some() {
            Path::Waited
        } else if answer.received - answer.sent > self.world.plan.held_after {
            Path::Held
        } else {
            Path::Straight
        };
    }

    fn arrive(&mut self) -> Ending {
        let now = Instant::now();
        self.story.wait = Some((now - self.submit_due).as_secs_f32());
        self.story.in_at = Some((now - self.world.epoch).as_secs_f32());
        Ending::GotIn
    }

    /// Some pages, as somebody who is in: they must never wait.
    async fn look_around(&mut self) {
        for page in 0..=self.world.plan.pages {
            let path = if page == 0 {
                "/".to_owned()
            } else {
                format!("/page/{page}")
            };
            match self.get(&path, HTML).await {
                Ok(Answer { status: 200, .. }) => count(&self.world.plan.live.pages),
                Ok(answer) => self.world.note(Trouble::Status(answer.status)),
                Err(trouble) => self.world.note(trouble),
            }
            let pause = self.think();
            self.browser.pause(Instant::now() + pause).await;
        }
    }

    /// Reads a page. If the gateway that was asked falls silent, the load balancer asks another, as it
    /// may for a request that changes nothing.
    pub(super) async fn get(&mut self, path: &str, accept: &str) -> Result<Answer, Trouble> {
        let world = Arc::clone(&self.world);
        loop {
            let target = self.target();
            let answer = tokio::select! {
                answer = self.browser.get(target, path, accept) => answer,
                () = world.balancer.silent(target), if world.plan.move_between => continue,
            };
            match answer {
                Err(Trouble::Refused) if self.elsewhere(target) => {}
                answer => return answer,
            }
        }
    }

    async fn post(&mut self, path: &str, form: String) -> Result<Answer, Trouble> {
        loop {
            let target = self.target();
            match self.browser.post(target, path, form.clone()).await {
                Err(Trouble::Refused) if self.elsewhere(target) => {}
                answer => return answer,
            }
        }
    }

    /// Nobody listens there: a load balancer sends the request to another, if there is one that it
    /// takes to be well.
    fn elsewhere(&mut self, target: SocketAddr) -> bool {
        let balancer = &self.world.balancer;
        balancer.refused(target);
        self.world.plan.move_between && balancer.pick(&mut self.rng) != target
    }

    fn target(&mut self) -> SocketAddr {
        let targets = &self.world.plan.targets;
        if self.world.plan.move_between {
            return self.world.balancer.pick(&mut self.rng);
        }
        targets[self.number as usize % targets.len()]
    }

    fn think(&mut self) -> Duration {
        between(&mut self.rng, self.world.plan.think)
    }
}

/// The path of a Location, which may be a whole address.
fn path_of(location: &str) -> &str {
    match location.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |start| &rest[start..]),
        None => location,
    }
}

#[cfg(test)]
mod tests {
    use super::path_of;

    #[test]
    fn a_redirect_may_name_the_host() {
        assert_eq!(
            path_of("http://gym.example/_einlass/wait?x=1"),
            "/_einlass/wait?x=1"
        );
        assert_eq!(path_of("https://gym.example"), "/");
        assert_eq!(path_of("/login"), "/login");
    }
}
