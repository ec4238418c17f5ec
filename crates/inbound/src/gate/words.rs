//! What a client hears that is not let in, or not let go on: what was too much, and when to come again.

use std::time::Duration;

use mail::Reply;
use policy::account::{Excess, What};

use super::ledger::{Refusal, Whose};

/// 421: the connection ends (RFC 5321 §4.2.3).
pub(crate) fn farewell(hostname: &str, refusal: Refusal) -> Reply {
    match refusal {
        Refusal::Full => Reply::with(421, (4, 3, 2), format!("{hostname} has too many connections; try again later")),
        Refusal::Excess(excess, whose) => {
            Reply::with(421, (4, 7, 0), format!("{hostname} has {}", describe(excess, whose)))
        }
    }
}

/// 450 to MAIL or RCPT: the connection may go on, a little later.
pub(crate) fn slow_down(excess: Excess, whose: Whose) -> Reply {
    Reply::with(450, (4, 7, 1), format!("This server has {}", describe(excess, whose)))
}

/// MAIL from a client that its proxy did not name.
pub(crate) fn unnamed() -> Reply {
    Reply::with(554, (5, 7, 1), "The proxy does not say who you are, so no mail is taken on this connection")
}

/// The word in logs and metrics.
pub(crate) fn reason(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Full => "server_full",
        Refusal::Excess(_, Whose::Network) => "network",
        Refusal::Excess(excess, Whose::Client) => match excess.what {
            What::Open => "address_full",
            What::Connections => "connection_rate",
            What::Messages => "message_rate",
            What::Recipients => "recipient_rate",
            What::Commands => "command_rate",
            What::Errors => "errors",
            What::Junk => "junk",
        },
    }
}

fn describe(excess: Excess, whose: Whose) -> String {
    let what = match excess.what {
        What::Open | What::Connections => "connections",
        What::Messages => "messages",
        What::Recipients => "recipients",
        What::Commands => "commands",
        What::Errors => "errors",
        What::Junk => "commands without a message",
    };
    let (verb, then) = match (excess.what, excess.wait) {
        (What::Open, _) | (_, None) => ("too many", "close some".to_owned()),
        (_, Some(wait)) => ("seen too many", format!("come again in {}", spell(wait))),
    };
    let whose = match whose {
        Whose::Client => "address",
        Whose::Network => "network",
    };
    format!("{verb} {what} from your {whose}; {then}")
}

/// A wait in words, rounded up: `20 seconds`, `5 minutes`.
pub(crate) fn spell(wait: Duration) -> String {
    const MINUTE: u64 = 60;
    let seconds = wait.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX).max(1);
    let (number, unit) = if seconds >= 2 * MINUTE { (seconds.div_ceil(MINUTE), "minute") } else { (seconds, "second") };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(what: What, wait: Option<u64>, whose: Whose, expect: &str) {
        let excess = Excess { what, wait: wait.map(Duration::from_secs) };
        assert_eq!(farewell("mx", Refusal::Excess(excess, whose)).to_string(), expect);
    }

    #[test]
    fn the_words() {
        check(What::Open, None, Whose::Client, "421 4.7.0 mx has too many connections from your address; close some");
        check(
            What::Errors,
            Some(600),
            Whose::Network,
            "421 4.7.0 mx has seen too many errors from your network; come again in 10 minutes",
        );
        let excess = Excess { what: What::Messages, wait: Some(Duration::from_millis(1500)) };
        assert_eq!(
            slow_down(excess, Whose::Client).to_string(),
            "450 4.7.1 This server has seen too many messages from your address; come again in 2 seconds"
        );
        assert_eq!(
            [0, 1, 90, 120, 121].map(|seconds| spell(Duration::from_secs(seconds))),
            ["1 second", "1 second", "90 seconds", "2 minutes", "3 minutes"]
        );
    }
}
