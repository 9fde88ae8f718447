//! Every sentence a pupil may read.

/// One language's sentences.
pub(crate) struct Texts {
    pub(crate) code: &'static str,
    pub(crate) title: &'static str,
    pub(crate) lead: &'static str,
    pub(crate) keep: &'static str,
    pub(crate) place: &'static str,
    pub(crate) place_staff: &'static str,
    pub(crate) next: &'static str,
    pub(crate) one_ahead: &'static str,
    pub(crate) many_ahead: &'static str,
    pub(crate) time: &'static str,
    pub(crate) soon: &'static str,
    pub(crate) about_minute: &'static str,
    pub(crate) minutes: &'static str,
    pub(crate) unknown: &'static str,
    pub(crate) look: &'static str,
    pub(crate) ready_title: &'static str,
    pub(crate) ready: &'static str,
    pub(crate) enter: &'static str,
    pub(crate) held_title: &'static str,
    pub(crate) held: &'static str,
    pub(crate) closed_title: &'static str,
    pub(crate) closed: &'static str,
    pub(crate) slower: &'static str,
    pub(crate) fuller: &'static str,
    pub(crate) outage: &'static str,
    pub(crate) reopened: &'static str,
    pub(crate) none_title: &'static str,
    pub(crate) none: &'static str,
    pub(crate) login: &'static str,
    pub(crate) offline: &'static str,
    pub(crate) busy_title: &'static str,
    pub(crate) busy: &'static str,
    pub(crate) busy_inside: &'static str,
    pub(crate) busy_again: &'static str,
    pub(crate) busy_unsent: &'static str,
    pub(crate) unknown_host: (&'static str, &'static str),
    pub(crate) unreachable: (&'static str, &'static str),
    pub(crate) lost: (&'static str, &'static str),
    pub(crate) too_large: (&'static str, &'static str),
    pub(crate) bad_request: (&'static str, &'static str),
    pub(crate) not_found: (&'static str, &'static str),
    pub(crate) staff_unknown: (&'static str, &'static str),
    pub(crate) staff_foreign: (&'static str, &'static str),
    pub(crate) staff_expired: (&'static str, &'static str),
}

pub(crate) const GERMAN: Texts = Texts {
    code: "de",
    title: "Gleich bist du drin",
    lead: "Gerade melden sich sehr viele gleichzeitig an. Damit es für alle klappt, geht es der Reihe nach.",
    keep: "Dein Platz ist dir sicher. Du musst nichts tun und das Passwort nicht noch einmal eingeben. Neu laden bringt dich weder vor noch zurück.",
    place: "Vor dir in deiner Schule",
    place_staff: "Vor dir unter den Lehrkräften deiner Schule",
    next: "niemand, du bist als Nächstes dran",
    one_ahead: "1 Person",
    many_ahead: "{n} Personen",
    time: "Wartezeit",
    soon: "weniger als eine Minute",
    about_minute: "etwa eine Minute",
    minutes: "etwa {low} bis {high} Minuten",
    unknown: "noch nicht bekannt",
    look: "Jetzt nachsehen",
    ready_title: "Du bist dran",
    ready: "Deine Anmeldung kann jetzt weitergehen.",
    enter: "Weiter",
    held_title: "Der Server deiner Schule antwortet nicht",
    held: "Der Server deiner Schule antwortet gerade nicht. Du behältst deinen Platz; sobald er wieder antwortet, geht es hier weiter.",
    closed_title: "Die Anmeldung ist geschlossen",
    closed: "Die Anmeldung ist im Moment geschlossen. Du behältst deinen Platz.",
    slower: "Es dauert länger: Der Server deiner Schule ist langsamer geworden. Du behältst deinen Platz.",
    fuller: "Es dauert länger: Von denen vor dir kommen mehr, als zu erwarten war. Du behältst deinen Platz.",
    outage: "Es dauert länger: Der Server deiner Schule hat eine Weile nicht geantwortet. Du hast deinen Platz behalten.",
    reopened: "Es dauert länger: Die Anmeldung war eine Weile geschlossen. Du hast deinen Platz behalten.",
    none_title: "Du wartest gerade nicht",
    none: "Für diesen Browser gibt es keinen Platz in der Reihe, oder er ist schon benutzt. Bitte melde dich an.",
    login: "Zur Anmeldung",
    offline: "Keine Verbindung. Dein Platz bleibt dir, wir versuchen es gleich wieder.",
    busy_title: "Gerade ist zu viel los",
    busy: "Der Server deiner Schule hat im Moment mehr zu tun, als er schafft. Wer schon angemeldet ist oder sich gerade anmeldet, geht vor. Diese Seite muss deshalb kurz warten.",
    busy_inside: "Der Server deiner Schule hat im Moment mehr zu tun, als er schafft. Diese Seite muss deshalb kurz warten. An deiner Anmeldung ändert das nichts.",
    busy_again: "Du musst nichts tun: In etwa {n} Sekunden wird sie von selbst neu geladen.",
    busy_unsent: "Was du eben abgeschickt hast, ist nicht angekommen. Geh bitte zurück und schick es in etwa {n} Sekunden noch einmal ab.",
    unknown_host: (
        "Diese Adresse gehört zu keiner Schule",
        "Bitte prüfe, ob die Adresse richtig geschrieben ist. Frag sonst an deiner Schule nach.",
    ),
    unreachable: (
        "Der Server deiner Schule antwortet nicht",
        "Wir versuchen es weiter. Bitte lade die Seite in einer Minute noch einmal.",
    ),
    lost: (
        "Deine Anmeldung ist nicht angekommen",
        "Der Server hat nicht rechtzeitig geantwortet. Bitte melde dich noch einmal an: Du musst dich nicht wieder anstellen.",
    ),
    too_large: (
        "Das war zu viel auf einmal",
        "Die gesendeten Daten sind größer, als es für eine Anmeldung erlaubt ist.",
    ),
    bad_request: (
        "Das hat nicht geklappt",
        "Die Anfrage war nicht vollständig. Bitte geh zurück und versuche es noch einmal.",
    ),
    not_found: ("Hier ist nichts", "Diese Seite gibt es nicht."),
    staff_unknown: (
        "Dieser Link für Lehrkräfte gilt nicht",
        "Vielleicht wurde er nicht vollständig kopiert, oder er wurde ersetzt. Bitten Sie Ihre Schule um den aktuellen Link. Anmelden können Sie sich auch ohne ihn.",
    ),
    staff_foreign: (
        "Dieser Link gehört zu einer anderen Schule",
        "Er gilt nur unter der Adresse der Schule, für die er gemacht wurde. Anmelden können Sie sich auch ohne ihn.",
    ),
    staff_expired: (
        "Dieser Link für Lehrkräfte ist abgelaufen",
        "Bitten Sie Ihre Schule um einen neuen. Anmelden können Sie sich auch ohne ihn.",
    ),
};

pub(crate) const ENGLISH: Texts = Texts {
    code: "en",
    title: "You are almost in",
    lead: "Very many people are logging in right now. So that it works for everybody, we go in order.",
    keep: "Your place is safe. There is nothing you need to do, and you will not have to type your password again. Reloading moves you neither forward nor back.",
    place: "Ahead of you at your school",
    place_staff: "Ahead of you among your school's staff",
    next: "nobody, you are next",
    one_ahead: "1 person",
    many_ahead: "{n} people",
    time: "Waiting time",
    soon: "less than a minute",
    about_minute: "about a minute",
    minutes: "about {low} to {high} minutes",
    unknown: "not known yet",
    look: "Check now",
    ready_title: "It is your turn",
    ready: "Your login can go on now.",
    enter: "Continue",
    held_title: "Your school's server does not answer",
    held: "Your school's server does not answer at the moment. You keep your place; as soon as it answers, things go on here.",
    closed_title: "Logging in is closed",
    closed: "Logging in is closed at the moment. You keep your place.",
    slower: "It takes longer: your school's server has become slower. You keep your place.",
    fuller: "It takes longer: of those ahead of you more come than was to be expected. You keep your place.",
    outage: "It takes longer: your school's server did not answer for a while. You have kept your place.",
    reopened: "It takes longer: logging in was closed for a while. You have kept your place.",
    none_title: "You are not waiting",
    none: "This browser has no place in the line, or it has been used already. Please log in.",
    login: "Go to the login",
    offline: "No connection. You keep your place, we will try again in a moment.",
    busy_title: "Too much is going on right now",
    busy: "Your school's server has more to do at the moment than it can manage. Whoever is logged in or logging in goes first, so this page has to wait a little.",
    busy_inside: "Your school's server has more to do at the moment than it can manage, so this page has to wait a little. If you are logged in, you stay logged in.",
    busy_again: "There is nothing you need to do: it will be loaded again by itself in about {n} seconds.",
    busy_unsent: "What you have just sent has not arrived. Please go back and send it again in about {n} seconds.",
    unknown_host: (
        "This address belongs to no school",
        "Please check that the address is spelled correctly, or ask at your school.",
    ),
    unreachable: (
        "Your school's server does not answer",
        "We keep trying. Please load the page again in a minute.",
    ),
    lost: (
        "Your login did not arrive",
        "The server did not answer in time. Please log in once more: you do not have to queue again.",
    ),
    too_large: (
        "That was too much at once",
        "The data sent is larger than a login may be.",
    ),
    bad_request: (
        "That did not work",
        "The request was not complete. Please go back and try again.",
    ),
    not_found: ("There is nothing here", "This page does not exist."),
    staff_unknown: (
        "This link for staff is not valid",
        "Perhaps it was not copied completely, or it has been replaced. Please ask your school for the current one. You can log in without it too.",
    ),
    staff_foreign: (
        "This link belongs to another school",
        "It is good only at the address of the school it was made for. You can log in without it too.",
    ),
    staff_expired: (
        "This link for staff has expired",
        "Please ask your school for a new one. You can log in without it too.",
    ),
};

impl Texts {
    /// How many go first, in words.
    pub(crate) fn ahead(&self, people: u64) -> String {
        match people {
            0 => self.next.to_owned(),
            1 => self.one_ahead.to_owned(),
            n => self.many_ahead.replace("{n}", &n.to_string()),
        }
    }

    /// How long it takes, in words; seconds in.
    pub(crate) fn wait(&self, seconds: Option<(u64, u64)>) -> String {
        let Some((low, high)) = seconds else {
            return self.unknown.to_owned();
        };
        match high.div_ceil(60) {
            0 | 1 => self.soon.to_owned(),
            2 if low < 60 => self.about_minute.to_owned(),
            minutes => self
                .minutes
                .replace("{low}", &(low / 60).clamp(1, minutes - 1).to_string())
                .replace("{high}", &minutes.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ENGLISH, GERMAN};

    #[test]
    fn a_wait_is_told_in_minutes_and_as_an_interval() {
        assert_eq!(GERMAN.wait(None), "noch nicht bekannt");
        assert_eq!(GERMAN.wait(Some((2, 40))), "weniger als eine Minute");
        assert_eq!(GERMAN.wait(Some((40, 80))), "etwa eine Minute");
        assert_eq!(ENGLISH.wait(Some((170, 310))), "about 2 to 6 minutes");
        assert_eq!(ENGLISH.wait(Some((119, 120))), "about 1 to 2 minutes");
    }

    #[test]
    fn one_person_is_not_persons() {
        assert_eq!(GERMAN.ahead(1), "1 Person");
        assert_eq!(GERMAN.ahead(17), "17 Personen");
        assert_eq!(ENGLISH.ahead(0), "nobody, you are next");
    }
}
