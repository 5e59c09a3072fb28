//! The way to KRA, step by step: network, name, connection, TLS, and an answer.

use std::fs;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Finding, clock};
use crate::config::{Environment, Settings};
use crate::daemon::{configured_device, kra_settings};
use crate::fiscal::{BhfId, DeviceIdentity, DeviceSerial, Tin};
use crate::gateway::ports::Authority;
use crate::kra::{Client, Exchange};
use crate::queue::{Probed, Step, Unreachable, Words};
use crate::status::DeviceSnapshot;

const SUBJECT: &str = "KRA";
/// A certificate that ends sooner is told, seconds.
const SOON: i64 = 14 * 24 * 3600;

/// What was learned of the server by the way.
#[derive(Clone, Copy, Debug, Default)]
struct Learned {
    /// Its `Date` against our clock, seconds.
    ahead: Option<i64>,
    /// Until its certificate ends, seconds.
    certificate: Option<i64>,
}

/// Goes the way to KRA with one probe, as the device where it is known, without its key.
pub(super) async fn look(settings: &Settings, device: Option<&DeviceSnapshot>) -> Vec<Finding> {
    let kra = match kra_settings(settings) {
        Ok(kra) => kra,
        Err(fault) => {
            return vec![Finding::fail(SUBJECT, fault.to_string(), "correct it in the configuration")];
        }
    };
    let learned = Arc::new(Mutex::new(Learned::default()));
    let noted = Arc::clone(&learned);
    let observer = Box::new(move |exchange: &Exchange| {
        let now =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs().cast_signed());
        let mut learned = noted.lock().unwrap_or_else(PoisonError::into_inner);
        learned.ahead = exchange.date.map(|date| date - now);
        learned.certificate = exchange.certificate_until.map(|until| until - now);
    });
    let client = match Client::new(kra, observer) {
        Ok(client) => client,
        Err(fault) => {
            return vec![Finding::fail(SUBJECT, fault.to_string(), "correct it in the configuration")];
        }
    };
    let host = settings.kra.base_url.to_string();
    if let Err(unreachable) = client.connect().await {
        let mut findings =
            vec![Finding::fail(SUBJECT, unreachable.why.clone(), advice(&unreachable, settings))];
        let routes = [ROUTES, ROUTES6].map(|path| fs::read_to_string(path).unwrap_or_default());
        if unreachable.at != Step::Trust
            && settings.kra.base_url.https
            && !has_way_out(&routes[0], &routes[1])
        {
            findings.push(Finding::fail(
                "network",
                "this till has no route to the internet",
                "the cable, the modem, `ip route`; the gateway sends what waits by itself once there is one",
            ));
        }
        return findings;
    }
    let probed = client.probe(&known(device, settings), None).await;
    let Learned { ahead, certificate } = *learned.lock().unwrap_or_else(PoisonError::into_inner);
    let mut findings = vec![answered(&host, &probed)];
    findings.extend(certificate.map(lasting));
    findings.extend(ahead.map(clock::against_kra));
    findings
}

/// A probe needs a device; one that is not known asks as nobody, and any answer will do.
fn known(device: Option<&DeviceSnapshot>, settings: &Settings) -> DeviceIdentity {
    let running = device.and_then(|device| {
        Some(DeviceIdentity {
            tin: Tin::new(device.tin.as_deref()?).ok()?,
            bhf_id: BhfId::new(device.bhf_id.as_deref()?).ok()?,
            serial: DeviceSerial::new(device.serial_number.as_deref()?).ok()?,
        })
    });
    running.or_else(|| configured_device(settings)).unwrap_or_else(|| DeviceIdentity {
        tin: Tin::new("P000000000A").expect("a PIN's form"),
        bhf_id: BhfId::new("00").expect("two digits"),
        serial: DeviceSerial::new("unknown").expect("printable"),
    })
}

fn answered(host: &str, probed: &Probed) -> Finding {
    let spoke = |words: &Words| format!("{host} answers \"{}\"", words.in_short());
    match probed {
        Probed::Up => Finding::ok(SUBJECT, format!("{host} answers")),
        // Without the key it may say so: it is there.
        Probed::Refused(words) if words.result_cd.is_some() => Finding::ok(
            SUBJECT,
            format!("{} to a question without the device's key: it is there", spoke(words)),
        ),
        Probed::Refused(words) => Finding::fail(
            SUBJECT,
            spoke(words),
            "something on the way refuses this till: a proxy, or KRA, which must let its address in",
        ),
        Probed::Down(words) => Finding::fail(
            SUBJECT,
            spoke(words),
            "a server in trouble, or not KRA's: check kra.base_url; what waits is sent by itself once it answers",
        ),
    }
}

fn advice(unreachable: &Unreachable, settings: &Settings) -> String {
    let simulator = settings.kra.environment == Environment::Simulator;
    match unreachable.at {
        Step::Connect | Step::Lost if simulator => {
            "start it: etims-gateway simulator --listen 127.0.0.1:9443; or set kra.environment".to_owned()
        }
        Step::Connect | Step::Lost => match &settings.kra.proxy {
            Some(proxy) => format!(
                "is the proxy {proxy} the right one (kra.proxy)? Does a firewall hold this till back?"
            ),
            None => "a firewall, or KRA is down; behind a proxy, set kra.proxy".to_owned(),
        },
        Step::Dns => "resolvectl status shows the name servers; check the host in kra.base_url".to_owned(),
        Step::Handshake => {
            "something in between that does not speak TLS: a proxy or a login page of the line".to_owned()
        }
        Step::Trust => {
            "timedatectl for the clock; ca-certificates for the roots. It is never switched off".to_owned()
        }
    }
}

fn lasting(seconds: i64) -> Finding {
    let days = seconds.div_euclid(24 * 3600);
    let found = format!("KRA's certificate is good for {days} days");
    if seconds < SOON {
        return Finding::warn("certificate", found, "KRA renews it; if this till's clock is right, tell KRA");
    }
    Finding::ok("certificate", found)
}

const ROUTES: &str = "/proc/net/route";
const ROUTES6: &str = "/proc/net/ipv6_route";

/// A default route of either kind, by the kernel's two tables.
fn has_way_out(routes: &str, routes6: &str) -> bool {
    let default = |line: &str| {
        let mut columns = line.split_whitespace().skip(1);
        columns.next() == Some("00000000") && columns.nth(5) == Some("00000000")
    };
    let default6 = |line: &str| {
        let mut columns = line.split_whitespace();
        columns.next().is_some_and(|to| to.bytes().all(|digit| digit == b'0'))
            && columns.next() == Some("00")
            && line.split_whitespace().last() != Some("lo")
    };
    routes.lines().skip(1).any(default) || routes6.lines().any(default6)
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn what_a_server_says() {
        let words = |code: Option<&str>| Words { result_cd: code.map(str::to_owned), ..Words::default() };
        for (probed, level) in [
            (Probed::Up, Level::Ok),
            (Probed::Refused(words(Some("900"))), Level::Ok),
            (Probed::Refused(words(None)), Level::Fail),
            (Probed::Down(words(None)), Level::Fail),
        ] {
            assert_eq!(answered("https://kra", &probed).level, level, "{probed:?}");
        }
        assert_eq!(lasting(15 * 24 * 3600).level, Level::Ok);
        assert_eq!(lasting(-1).level, Level::Warn);
    }

    #[test]
    fn ways_out() {
        let head = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\n";
        let default = "eth0\t00000000\t0102A8C0\t0003\t0\t0\t100\t00000000\t0\n";
        let local = "eth0\t0002A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\n";
        let zero = "0".repeat(32);
        let default6 = format!("{zero} 00 {zero} 00 fe80 00000400 1 0 00000003 wlan0\n");
        let lo6 = format!("{zero} 00 {zero} 00 {zero} ffffffff 1 0 00200200 lo\n");
        for (routes, routes6, expected) in [
            (format!("{head}{local}{default}"), String::new(), true),
            (format!("{head}{local}"), lo6.clone(), false),
            (head.to_owned(), format!("{lo6}{default6}"), true),
            (String::new(), String::new(), false),
        ] {
            assert_eq!(has_way_out(&routes, &routes6), expected, "{routes}{routes6}");
        }
    }
}
