//! The syntax of a provider's base URL. Which addresses may be connected to is decided when connecting.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use trunkline_core::address;

use super::Plaintext;

/// The longest base URL, in bytes.
const MAX_URL_BYTES: usize = 2_048;

/// The URL without trailing slashes, or what is wrong with it.
pub(super) fn base_url(text: &str, plaintext: Plaintext) -> Result<String, String> {
    if text.len() > MAX_URL_BYTES {
        return Err(format!("the URL has {} bytes; at most {MAX_URL_BYTES}", text.len()));
    }
    if let Some(c) =
        text.chars().find(|c| !c.is_ascii_graphic() || matches!(c, '\\' | '"' | '<' | '>'))
    {
        return Err(format!("the URL holds {c:?}; remove it or write it percent-encoded"));
    }
    let (scheme, rest) = text
        .split_once("://")
        .ok_or_else(|| format!("`{text}` has no scheme; write `https://{text}`"))?;
    if rest.contains(['?', '#']) {
        return Err(
            "a base URL has no query and no fragment; remove the part from `?` or `#` on".into()
        );
    }
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err("a URL must not hold a user name or password; use `credentials`".into());
    }
    let host = host_of(authority)?;
    match scheme.to_ascii_lowercase().as_str() {
        "https" => {}
        "http" if plaintext == Plaintext::Allowed || is_loopback(host) => {}
        "http" => {
            return Err(format!(
                "http:// to `{host}` sends prompts and keys unencrypted; use https://, or set \
                 `allow_plaintext: true` for a private network that you trust"
            ));
        }
        other => return Err(format!("the scheme `{other}` is not known; use https://")),
    }
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err("a base URL must not hold `.` or `..` as a path segment".into());
    }
    Ok(format!("{}://{authority}{}", scheme.to_ascii_lowercase(), path.trim_end_matches('/')))
}

/// What is wrong with a checked base URL whose host is an address: no provider may be there, or `http://` may not
/// lead there. A name is looked at when it is resolved, at each connect.
pub(super) fn refused_address(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let host = host_of(rest.split('/').next()?).ok()?;
    let ip: IpAddr = host.parse().ok()?;
    if address::forbidden(ip) {
        return Some(format!(
            "`{host}` is a link-local, reserved or metadata address, where no provider may be"
        ));
    }
    (scheme == "http" && !address::private(ip)).then(|| {
        format!(
            "`{host}` is a public address, where http:// would send prompts and keys unencrypted; use https://"
        )
    })
}

/// The host of `host[:port]`, checked.
fn host_of(authority: &str) -> Result<&str, String> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']').ok_or("the IPv6 address has no closing `]`")?;
        host.parse::<Ipv6Addr>().map_err(|_| format!("`{host}` is not an IPv6 address"))?;
        if !port.is_empty() {
            check_port(port.strip_prefix(':').unwrap_or(port))?;
        }
        return Ok(host);
    }
    let host = match authority.split_once(':') {
        Some((host, port)) => {
            check_port(port)?;
            host
        }
        None => authority,
    };
    check_host_name(host)?;
    Ok(host)
}

fn check_port(port: &str) -> Result<(), String> {
    let digits = port.bytes().all(|b| b.is_ascii_digit());
    match port.parse::<u16>() {
        Ok(1..) if digits => Ok(()),
        _ => Err(format!("`{port}` is not a port; use a number from 1 to 65535")),
    }
}

fn check_host_name(host: &str) -> Result<(), String> {
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.is_empty() {
        return Err("the URL has no host; write it as https://host/path".into());
    }
    let label_ok = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    if !host.split('.').all(label_ok) {
        return Err(format!("`{host}` is not a host name"));
    }
    // A name that ends in a number is read as an address by every client, in forms such as 0x7f.1 too.
    let numeric =
        host.rsplit('.').next().is_some_and(|l| l.starts_with(|c: char| c.is_ascii_digit()));
    if numeric
        && host.rsplit('.').next().is_some_and(is_number)
        && host.parse::<Ipv4Addr>().is_err()
    {
        return Err(format!("`{host}` is not an IPv4 address; write it as four numbers"));
    }
    Ok(())
}

fn is_number(label: &str) -> bool {
    let hex = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    match hex {
        Some(digits) => digits.bytes().all(|b| b.is_ascii_hexdigit()),
        None => label.bytes().all(|b| b.is_ascii_digit()),
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_urls_lose_their_trailing_slashes_and_nothing_else() {
        let good = [
            ("https://api.openai.com/v1/", "https://api.openai.com/v1"),
            ("HTTPS://a.example", "https://a.example"),
            ("http://127.0.0.1:11434/v1", "http://127.0.0.1:11434/v1"),
            ("http://localhost:1/", "http://localhost:1"),
            ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
        ];
        for (written, read) in good {
            assert_eq!(base_url(written, Plaintext::LoopbackOnly).as_deref(), Ok(read));
        }
        assert!(base_url("http://vllm.internal:8000/v1", Plaintext::Allowed).is_ok());
    }

    #[test]
    fn addresses_are_judged_however_they_are_written() {
        for (url, part) in [
            ("https://169.254.169.254/v1", "metadata"),
            ("http://169.254.169.254", "metadata"),
            ("https://[::ffff:169.254.169.254]:8443/v1", "metadata"),
            ("https://[::ffff:a9fe:a9fe]", "metadata"),
            ("https://[fd00:ec2::254]", "metadata"),
            ("https://0.0.0.0:8000", "metadata"),
            ("http://8.8.8.8", "public"),
            ("http://[2001:4860:4860::8888]:80/v1", "public"),
        ] {
            assert!(base_url(url, Plaintext::Allowed).is_ok(), "{url}");
            let message = refused_address(url).unwrap();
            assert!(message.contains(part), "{url}: {message}");
        }
        for url in ["https://8.8.8.8", "http://10.0.0.1:80/v1", "http://[::1]", "http://vllm"] {
            assert_eq!(refused_address(url), None, "{url}");
        }
    }

    #[test]
    fn bad_urls_say_what_would_be_right() {
        let bad = [
            ("api.openai.com/v1", "write `https://api.openai.com/v1`"),
            ("ftp://a.example", "use https://"),
            ("http://a.example", "allow_plaintext"),
            ("https://", "no host"),
            ("https://user:pw@a.example", "credentials"),
            ("https://a.example/v1?x=1", "no query"),
            ("https://a.example/#x", "no fragment"),
            ("https://a.example:0", "not a port"),
            ("https://a.example:+80", "not a port"),
            ("https://a..example", "not a host name"),
            ("https://0x7f.1", "not an IPv4 address"),
            ("https://2130706433", "not an IPv4 address"),
            ("https://0xa9fea9fe", "not an IPv4 address"),
            ("https://0251.0376.0251.0376", "not an IPv4 address"),
            ("https://169.254.43518", "not an IPv4 address"),
            ("https://[fe80::1%25eth0]", "not an IPv6 address"),
            ("https://[::1", "closing"),
            ("https://a.example/v1/../admin", "`..`"),
            ("https://a.example/v 1", "' '"),
        ];
        for (written, part) in bad {
            let message = base_url(written, Plaintext::LoopbackOnly).unwrap_err();
            assert!(message.contains(part), "{written}: {message}");
        }
    }
}
