//! The values that people write: durations `30s 5m 1h 5d`, sizes `64 KB 50 MB 1 GB`, addresses, networks, domains,
//! patterns of addresses. Each function says what it expected when it fails.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use mail::{Domain, Mailbox};

/// The longest duration that makes sense anywhere: a year.
const DURATION_MAX: Duration = Duration::from_secs(365 * 86_400);

/// A range of addresses: `192.0.2.0/24`, `2001:db8::/32`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    /// The address, with the bits behind the prefix zero.
    pub(crate) address: IpAddr,
    /// How many leading bits count.
    pub(crate) prefix: u8,
}

/// `30s 5m 1h 5d`, also `500ms`; a number without a unit is not a duration.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let expected = || format!("expected a duration such as 30s, 5m, 1h or 5d, found `{text}`");
    let (number, unit) = split_unit(text).ok_or_else(expected)?;
    let millis: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(expected()),
    };
    number
        .checked_mul(millis)
        .map(Duration::from_millis)
        .filter(|duration| *duration <= DURATION_MAX)
        .ok_or_else(|| format!("`{text}` is too long: at most 365d"))
}

/// `64 KB 50 MB 1 GB`, in powers of 1,000; `512 B` too.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let expected = || format!("expected a size such as 64 KB, 50 MB or 1 GB, found `{text}`");
    let (number, unit) = split_unit(text).ok_or_else(expected)?;
    let factor: u64 = match unit.to_ascii_uppercase().as_str() {
        "B" => 1,
        "KB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return Err(expected()),
    };
    number.checked_mul(factor).ok_or_else(|| format!("`{text}` is too large"))
}

fn split_unit(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit.trim_start()))
}

/// `127.0.0.1:25` or `[::1]:25`.
pub(crate) fn socket_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        let hint = match text.parse::<IpAddr>() {
            Ok(IpAddr::V4(address)) => format!("; a port is missing, such as {address}:25"),
            Ok(IpAddr::V6(address)) => format!("; a port is missing, such as [{address}]:25"),
            Err(_) => String::new(),
        };
        format!("expected an address with a port, such as 127.0.0.1:25 or [::]:25, found `{text}`{hint}")
    })
}

/// A name server: an address, with port 53 unless another is given.
pub(crate) fn name_server(text: &str) -> Result<SocketAddr, String> {
    const DNS_PORT: u16 = 53;
    match text.parse::<IpAddr>() {
        Ok(address) => Ok(SocketAddr::new(address, DNS_PORT)),
        Err(_) => text
            .parse()
            .map_err(|_| format!("expected the address of a name server, such as 127.0.0.1:5353, found `{text}`")),
    }
}

/// `192.0.2.0/24`, `2001:db8::/32`, `127.0.0.1`.
pub(crate) fn network(text: &str) -> Result<Network, String> {
    let expected = || format!("expected a network such as 192.0.2.0/24, 2001:db8::/32 or 127.0.0.1, found `{text}`");
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| expected())?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        None => bits,
        Some(prefix) => prefix.parse::<u8>().ok().filter(|prefix| *prefix <= bits).ok_or_else(expected)?,
    };
    let masked = mask(address, prefix);
    if masked != address {
        return Err(format!("`{text}` has bits behind its prefix; did you mean {masked}/{prefix}?"));
    }
    Ok(Network { address, prefix })
}

/// A network whose clients may do what strangers may not: any but the whole internet.
pub(crate) fn network_of_ours(text: &str) -> Result<Network, String> {
    let network = network(text)?;
    let whole =
        network.prefix == 0 || (text.contains(':') && network.address.to_canonical().is_ipv4() && network.prefix <= 96);
    if whole {
        return Err(format!("`{text}` is everybody; name the networks that are yours, such as 192.0.2.0/24"));
    }
    Ok(network)
}

fn mask(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let keep = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & keep).into())
        }
        IpAddr::V6(v6) => {
            let keep = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & keep).into())
        }
    }
}

/// A host and a port: `127.0.0.1:2526`, `[::1]:25`, `mx.example.net:587`; port 25 unless given.
pub(crate) fn host_and_port(text: &str) -> Result<(String, u16), String> {
    const SMTP_PORT: u16 = 25;
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok((address.ip().to_string(), address.port()));
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok((address.to_string(), SMTP_PORT));
    }
    let expected = || format!("expected a host such as 127.0.0.1:2526 or mail.example.net:587, found `{text}`");
    let (host, port) = match text.rsplit_once(':') {
        None => (text, SMTP_PORT),
        Some((host, port)) => (host, port.parse::<u16>().ok().filter(|port| *port != 0).ok_or_else(expected)?),
    };
    let name = host.parse::<Domain>().ok().filter(|domain| domain.name().is_some()).ok_or_else(expected)?;
    Ok((name.to_string(), port))
}

/// Checks a pattern of recipients or senders: `*`, a domain, `*.domain`, or a whole address.
pub(crate) fn address_pattern(text: &str) -> Result<String, String> {
    let domain = text.strip_prefix("*.").unwrap_or(text);
    let sound = text == "*" || domain.parse::<Domain>().is_ok() || text.parse::<Mailbox>().is_ok();
    if sound {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(format!("expected *, a domain, *.domain or an address, found `{text}`"))
    }
}

/// A host name, as EHLO and the banner say it.
pub(crate) fn hostname(text: &str) -> Result<String, String> {
    match text.parse::<Domain>() {
        Ok(domain) => Ok(domain.to_string()),
        Err(error) => Err(format!("expected a host name such as mx.example.net, found `{text}` ({error})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("5 m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("1h"), Ok(Duration::from_secs(3600)));
        assert_eq!(duration("5d"), Ok(Duration::from_secs(432_000)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        for bad in ["", "5", "h", "-5m", "5x", "5m5", "99999999999999999999s", "400d", "1.5h"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(size("64 KB"), Ok(64_000));
        assert_eq!(size("50MB"), Ok(50_000_000));
        assert_eq!(size("1 gb"), Ok(1_000_000_000));
        assert_eq!(size("7 B"), Ok(7));
        for bad in ["", "5", "MB", "1 KiB", "99999999999 TB", "-1 MB"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn networks() {
        assert_eq!(network("127.0.0.0/8").map(|network| network.prefix), Ok(8));
        assert_eq!(network("::1").map(|network| network.prefix), Ok(128));
        assert_eq!(network("0.0.0.0/0").map(|network| network.prefix), Ok(0));
        assert_eq!(network("::/0").map(|network| network.prefix), Ok(0));
        for everybody in ["0.0.0.0/0", "::/0", "::ffff:0:0/96"] {
            let error = network_of_ours(everybody).expect_err("the whole internet");
            assert!(error.contains("is everybody"), "{error}");
        }
        assert!(network_of_ours("10.0.0.0/8").is_ok() && network_of_ours("::ffff:192.0.2.0/120").is_ok());
        let error = network("192.0.2.5/24").expect_err("bits behind the prefix");
        assert!(error.contains("192.0.2.0/24"), "{error}");
        for bad in ["", "x", "1.2.3.4/33", "::/129", "1.2.3.4/", "1.2.3.4/-1"] {
            assert!(network(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hosts() {
        assert_eq!(host_and_port("127.0.0.1:2526"), Ok(("127.0.0.1".into(), 2526)));
        assert_eq!(host_and_port("[::1]:26"), Ok(("::1".into(), 26)));
        assert_eq!(host_and_port("Mail.Example.net:587"), Ok(("mail.example.net".into(), 587)));
        assert_eq!(host_and_port("mail.example.net"), Ok(("mail.example.net".into(), 25)));
        for bad in ["", "a b", "x:0", "x:99999", "x:y", "http://x"] {
            assert!(host_and_port(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn patterns() {
        for good in ["*", "example.net", "*.example.net", "a@example.net"] {
            assert!(address_pattern(good).is_ok(), "{good}");
        }
        for bad in ["", "*.", "a*b", "@x", "*@x..y", "a b"] {
            assert!(address_pattern(bad).is_err(), "{bad}");
        }
    }
}
