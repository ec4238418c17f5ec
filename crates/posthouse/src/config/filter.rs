//! `[[filter]]`: programs that judge mail before it is kept, in the order in which they stand.

use std::time::Duration;

use inbound::{
    Directions, FILTERS_MAX, FilterKind, FilterSettings, Hook, OnFailure, OnFound, OnLarger, SCREENING_MAX, Shown,
};
use net::Endpoint;
use toml::{Spanned, de::DeValue};

use super::{
    Complaint,
    check::{Tables, heading_span},
    keys,
    reader::{Placed, Reader},
    value,
};

/// Octets of a filter's name.
const NAME_MAX: usize = 40;
/// Messages that one filter may have at a time.
const CONCURRENCY_MAX: u64 = 1000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rspamd,
    ClamAv,
    Http,
}

/// Where an HTTP hook is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Url {
    endpoint: Endpoint,
    host: String,
    path: String,
}

/// Reads every filter.
pub(super) fn read(tables: &Tables<'_>, complaints: &mut Vec<Complaint>) -> Vec<FilterSettings> {
    let found = tables.many(&keys::FILTER, complaints);
    if let Some(extra) = found.get(FILTERS_MAX) {
        complaints.push(Complaint::at(extra.span(), format!("more than {FILTERS_MAX} filters")));
    }
    let mut names = Vec::new();
    found.into_iter().filter_map(|value| read_one(value, &mut names, complaints)).collect()
}

fn read_one(
    value: &Spanned<DeValue<'_>>,
    names: &mut Vec<String>,
    complaints: &mut Vec<Complaint>,
) -> Option<FilterSettings> {
    const KINDS: [(&str, Kind); 3] = [("rspamd", Kind::Rspamd), ("clamav", Kind::ClamAv), ("http", Kind::Http)];
    const DIRECTIONS: [(&str, Directions); 3] =
        [("in", Directions::In), ("out", Directions::Out), ("both", Directions::Both)];
    const FAILURE: [(&str, OnFailure); 2] = [("tempfail", OnFailure::Tempfail), ("accept", OnFailure::Accept)];
    const LARGER: [(&str, OnLarger); 3] =
        [("accept", OnLarger::Accept), ("tempfail", OnLarger::Tempfail), ("reject", OnLarger::Reject)];
    let DeValue::Table(table) = value.get_ref() else {
        return None;
    };
    let mut reader = Reader::new(&keys::FILTER, table, heading_span(value), complaints);
    let name = reader.text(&keys::FILTER_NAME, name);
    let name = reader.required(&keys::FILTER_NAME, name);
    let kind = reader.word(&keys::FILTER_KIND, &KINDS);
    let kind = reader.required(&keys::FILTER_KIND, kind).map(|placed| placed.value);
    let kind = kind.and_then(|kind| read_kind(&mut reader, kind));
    let directions = reader.word(&keys::FILTER_DIRECTION, &DIRECTIONS);
    let timeout = reader.text(&keys::FILTER_TIMEOUT, timeout);
    let size_limit = reader.text(&keys::FILTER_SIZE, value::size);
    let on_larger = reader.word(&keys::FILTER_LARGER, &LARGER);
    let on_failure = reader.word(&keys::FILTER_FAILURE, &FAILURE);
    let concurrency = reader.number(&keys::FILTER_CONCURRENCY, 1..=CONCURRENCY_MAX);
    let name = name?;
    if names.contains(&name.value) {
        reader.complain(Complaint::at(name.span, format!("another filter is called `{}`, too", name.value)));
    }
    names.push(name.value.clone());
    let defaults = FilterSettings::new(name.value, kind?);
    macro_rules! or_default {
        ($read:ident) => {
            $read.map_or(defaults.$read, |placed| placed.value)
        };
    }
    Some(FilterSettings {
        directions: or_default!(directions),
        timeout: or_default!(timeout),
        size_limit: or_default!(size_limit),
        on_larger: or_default!(on_larger),
        on_failure: or_default!(on_failure),
        concurrency: concurrency
            .map_or(defaults.concurrency, |placed| usize::try_from(placed.value).unwrap_or(usize::MAX)),
        ..defaults
    })
}

/// What belongs to one kind; complains of what belongs to another.
fn read_kind(reader: &mut Reader<'_>, kind: Kind) -> Option<FilterKind> {
    const FOUND: [(&str, OnFound); 3] =
        [("reject", OnFound::Reject), ("quarantine", OnFound::Quarantine), ("hold", OnFound::Hold)];
    const SHOWN: [(&str, Shown); 2] = [("whole", Shown::Whole), ("header", Shown::Header)];
    let address = reader.text(&keys::FILTER_ADDRESS, endpoint);
    let url = reader.text(&keys::FILTER_URL, url);
    let found = reader.word(&keys::FILTER_FOUND, &FOUND);
    let content = reader.word(&keys::FILTER_CONTENT, &SHOWN);
    let misplaced = [
        address.as_ref().filter(|_| kind == Kind::Http).map(span),
        url.as_ref().filter(|_| kind != Kind::Http).map(span),
        found.as_ref().filter(|_| kind != Kind::ClamAv).map(span),
        content.as_ref().filter(|_| kind != Kind::Http).map(span),
    ];
    for span in misplaced.into_iter().flatten() {
        let complaint = Complaint::at(span, "this means nothing for a filter of this kind");
        reader.complain(complaint.help("remove the line, or choose another kind"));
    }
    match kind {
        Kind::Rspamd => reader.required(&keys::FILTER_ADDRESS, address).map(|placed| FilterKind::Rspamd(placed.value)),
        Kind::ClamAv => {
            let endpoint = reader.required(&keys::FILTER_ADDRESS, address)?.value;
            Some(FilterKind::ClamAv { endpoint, on_found: found.map_or(OnFound::Reject, |placed| placed.value) })
        }
        Kind::Http => {
            let Url { endpoint, host, path } = reader.required(&keys::FILTER_URL, url)?.value;
            let shown = content.map_or(Shown::Whole, |placed| placed.value);
            Some(FilterKind::Hook(Hook { endpoint, host, path, shown }))
        }
    }
}

fn span<T>(placed: &Placed<T>) -> std::ops::Range<usize> {
    placed.span.clone()
}

fn name(text: &str) -> Result<String, String> {
    let sound = (1..=NAME_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if sound {
        Ok(text.to_owned())
    } else {
        Err(format!("expected at most {NAME_MAX} letters, digits, - and _, found `{text}`"))
    }
}

fn endpoint(text: &str) -> Result<Endpoint, String> {
    text.parse().map_err(|error| format!("{error}; found `{text}`"))
}

fn timeout(text: &str) -> Result<Duration, String> {
    let timeout = value::duration(text)?;
    if timeout.is_zero() || timeout > SCREENING_MAX {
        return Err(format!(
            "expected a duration up to {}m: the client waits for its reply",
            SCREENING_MAX.as_secs() / 60
        ));
    }
    Ok(timeout)
}

fn url(text: &str) -> Result<Url, String> {
    const HTTP_PORT: u16 = 80;
    if text.starts_with("https://") {
        return Err("HTTPS is not in this version; use http:// on this machine or in a network of yours".to_owned());
    }
    let expected = || format!("expected a URL such as http://127.0.0.1:8080/filter, found `{text}`");
    let rest = text.strip_prefix("http://").ok_or_else(expected)?;
    let (host, path) = rest.split_at_checked(rest.find('/').unwrap_or(rest.len())).ok_or_else(expected)?;
    let with_port =
        |host: &str| host.parse::<Endpoint>().ok().filter(|endpoint| !matches!(endpoint, Endpoint::Local(_)));
    let endpoint = with_port(host).or_else(|| with_port(&format!("{host}:{HTTP_PORT}"))).ok_or_else(expected)?;
    let path = if path.is_empty() { "/" } else { path };
    if !path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return Err(expected());
    }
    Ok(Url { endpoint, host: host.to_owned(), path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn parse(text: &str) -> Result<Vec<FilterSettings>, Vec<String>> {
        let text = format!("[[listener]]\nservice = \"mx\"\naddress = \"127.0.0.1:25\"\n{text}");
        let parsed = super::super::check::parse(Path::new("x.toml"), &text);
        parsed
            .map(|config| config.filters)
            .map_err(|complaints| complaints.list.into_iter().map(|complaint| complaint.what).collect())
    }

    fn one(keys: &str) -> Result<FilterSettings, Vec<String>> {
        parse(&format!("[[filter]]\nname = \"a\"\n{keys}")).map(|filters| filters.into_iter().next().unwrap())
    }

    #[test]
    fn kinds() {
        let rspamd = one("kind = \"rspamd\"\naddress = \"localhost:11333\"").unwrap();
        assert_eq!(rspamd.kind, FilterKind::Rspamd(Endpoint::Name("localhost".into(), 11333)));
        assert_eq!((rspamd.directions, rspamd.on_failure), (Directions::Both, OnFailure::Tempfail));
        let clamav = one("kind = \"clamav\"\naddress = \"unix:/run/clamav/clamd.ctl\"\non_found = \"hold\"").unwrap();
        let endpoint = Endpoint::Local("/run/clamav/clamd.ctl".into());
        assert_eq!(clamav.kind, FilterKind::ClamAv { endpoint, on_found: OnFound::Hold });
        let keys = "direction = \"in\"\ntimeout = \"5s\"\nsize_limit = \"1 MB\"\non_larger = \"reject\"\non_failure = \
                    \"accept\"\nconcurrency = 3\ncontent = \"header\"";
        let http = one(&format!("kind = \"http\"\nurl = \"http://127.0.0.1:8080/a?b=c\"\n{keys}")).unwrap();
        let endpoint = Endpoint::Address("127.0.0.1:8080".parse().unwrap());
        let (host, path) = ("127.0.0.1:8080".into(), "/a?b=c".into());
        assert_eq!(http.kind, FilterKind::Hook(Hook { endpoint, host, path, shown: Shown::Header }));
        assert_eq!((http.directions, http.timeout), (Directions::In, Duration::from_secs(5)));
        assert_eq!((http.size_limit, http.on_larger), (1_000_000, OnLarger::Reject));
        assert_eq!((http.on_failure, http.concurrency), (OnFailure::Accept, 3));
    }

    #[test]
    fn the_order_is_that_of_the_file() {
        let filter = |name: &str| format!("[[filter]]\nname = \"{name}\"\nkind = \"rspamd\"\naddress = \"x:1\"\n");
        let names = |filters: Vec<FilterSettings>| filters.into_iter().map(|filter| filter.name).collect::<Vec<_>>();
        assert_eq!(names(parse(&format!("{}{}", filter("z"), filter("a"))).unwrap()), ["z", "a"]);
        let twice = parse(&format!("{}{}", filter("a"), filter("a"))).unwrap_err();
        assert!(twice[0].contains("another filter is called `a`"), "{twice:?}");
        let many: String = (0..=FILTERS_MAX).map(|number| filter(&number.to_string())).collect();
        assert_eq!(parse(&many).unwrap_err(), [format!("more than {FILTERS_MAX} filters")]);
    }

    #[test]
    fn urls() {
        for (text, host, path) in [
            ("http://localhost", "localhost", "/"),
            ("http://localhost/", "localhost", "/"),
            ("http://[::1]:8080/x/y", "[::1]:8080", "/x/y"),
            ("http://10.0.0.1/", "10.0.0.1", "/"),
        ] {
            let url = url(text).unwrap();
            assert_eq!((url.host.as_str(), url.path.as_str()), (host, path), "{text}");
        }
        for bad in
            ["", "x", "http://", "https://x/", "ftp://x/", "http://a b/", "http://x/a b", "http://u@x/", "http:///x"]
        {
            assert!(url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let wrong = |keys: &str, expect: &str| {
            let complaints = one(keys).unwrap_err();
            assert!(complaints.iter().any(|what| what.contains(expect)), "{keys}: {complaints:?}");
        };
        wrong("kind = \"rspamd\"", "filter.address is missing");
        wrong("kind = \"http\"\naddress = \"x:1\"", "filter.url is missing");
        wrong("kind = \"http\"\naddress = \"x:1\"", "means nothing");
        wrong("kind = \"rspamd\"\naddress = \"x:1\"\non_found = \"reject\"", "means nothing");
        wrong("kind = \"milter\"", "`milter` is not a value of filter.kind");
        wrong("address = \"x:1\"", "filter.kind is missing");
        wrong("kind = \"rspamd\"\naddress = \"x:1\"\ntimeout = \"6m\"", "up to 5m");
        wrong("kind = \"rspamd\"\naddress = \"x:1\"\ntimeout = \"0s\"", "up to 5m");
        wrong("kind = \"rspamd\"\naddress = \"x:1\"\nconcurrency = 0", "out of bounds");
    }
}
