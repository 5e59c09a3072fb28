//! From the snapshot to what somebody must act on.

use serde::{Deserialize, Serialize};

use super::{
    AlertKey, CertificateSnapshot, FastRegister, SerialSnapshot, SkewSnapshot, Snapshot, StoreSnapshot,
    WaitingWebhook,
};
use crate::queue::Seq;

mod items;
mod queue;

use queue::{REJECTED, refusal};

/// A condition that somebody must act on.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Alert {
    /// A stable word.
    pub code: String,
    /// The running number of the sale that it is about, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<Seq>,
    /// What it is, and what to do.
    pub message: String,
}

/// The alerts by which the gateway counts as degraded; all others only want to be known.
const DEGRADING: [&str; 14] = [
    "damage",
    "device",
    "disk_filling",
    "disk_low",
    "disk_reserve",
    "held",
    "kra_down",
    "not_in_books",
    "offline",
    "parked",
    "rejected",
    "sales_refused",
    "series_stopped",
    "store_failed",
];

/// Whether these alerts make the gateway's health degraded.
pub fn degraded(alerts: &[Alert]) -> bool {
    alerts.iter().any(|alert| DEGRADING.contains(&alert.code.as_str()))
}

impl Alert {
    /// What tells it from others.
    pub fn key(&self) -> AlertKey {
        AlertKey { code: self.code.clone(), about: self.about }
    }
}

/// The active alerts as they are told: each refused sale is an alert of its own. A snapshot shows only some of many; those
/// of `standing` that it leaves out are not over for that.
pub fn alerts_one_by_one<'a>(
    snapshot: &Snapshot,
    standing: impl IntoIterator<Item = &'a AlertKey>,
) -> Vec<Alert> {
    let queue = &snapshot.queue;
    let shown: Vec<Alert> = queue
        .refused
        .iter()
        .map(|sale| Alert {
            code: REJECTED.to_owned(),
            about: Some(sale.id),
            message: format!("KRA refused a sale for good. {}", refusal(sale)),
        })
        .collect();
    let some_left_out = queue.rejected > u64::try_from(shown.len()).unwrap_or(u64::MAX);
    let left_out = standing
        .into_iter()
        .filter(|key| {
            some_left_out && key.code == REJECTED && shown.iter().all(|alert| alert.about != key.about)
        })
        .map(|key| Alert { code: key.code.clone(), about: key.about, message: String::new() });
    let others = alerts(snapshot).into_iter().filter(|alert| alert.code != REJECTED);
    others.chain(left_out).chain(shown.iter().cloned()).collect()
}

/// The active alerts, those first that stop the drain.
pub fn alerts(snapshot: &Snapshot) -> Vec<Alert> {
    let mut active = Vec::new();
    let mut raise =
        |code: &str, message: String| active.push(Alert { code: code.to_owned(), about: None, message });
    if !snapshot.store.works {
        raise(
            "store_failed",
            "the disk refused a write: check the disk, then restart the gateway".to_owned(),
        );
    }
    way_alerts(snapshot, &mut raise);
    queue::raise(snapshot, &mut raise);
    items::raise(snapshot, &mut raise);
    disk_alerts(&snapshot.store, &mut raise);
    if let Some(damage) = snapshot.store.damage.first() {
        let more = match snapshot.store.damage.len() {
            1 => String::new(),
            n => format!(", and in {} other places", n - 1),
        };
        raise("damage", format!("the journal is damaged: {damage}{more}. Run `etims-gateway verify`"));
    }
    surroundings(snapshot, &mut raise);
    super::lists::raise(snapshot, &mut raise);
    for webhook in snapshot.waiting_webhooks.iter().filter(|it| it.seconds >= WEBHOOK_PATIENCE) {
        let WaitingWebhook { name, event, why, seconds } = webhook;
        raise(
            &format!("{name}_webhook"),
            format!(
                "notify.{name}_webhook has not taken event {event} for {} minutes: {why}. Nothing is lost, all events wait in \
                 the log; check the receiver and its address",
                seconds / 60
            ),
        );
    }
    port_alerts(&snapshot.serial, &mut raise);
    for remark in &snapshot.store.remarks {
        raise("store", remark.clone());
    }
    active
}

fn port_alerts(ports: &[SerialSnapshot], raise: &mut impl FnMut(&str, String)) {
    let closed = ports.iter().filter(|port| !port.open && port.seconds >= PORT_PATIENCE);
    let closed: Vec<String> = closed
        .map(|port| format!("{}: {}", port.port, port.reason.as_deref().unwrap_or("unknown")))
        .collect();
    if !closed.is_empty() {
        raise(
            "serial_port",
            format!(
                "a serial port cannot be used, and its register sells nothing through this gateway: {}. It is opened by itself \
                 as soon as that is put right. Where systemd runs the gateway, /usr/share/etims-gateway/serial.conf says how \
                 it is let to open serial ports",
                closed.join("; ")
            ),
        );
    }
}

fn disk_alerts(store: &StoreSnapshot, raise: &mut impl FnMut(&str, String)) {
    let mib = |bytes: u64| bytes >> 20;
    let stands = format!(
        "{} MiB free on the disk of {}; sales are refused below {} MiB, or when what waits ({} MiB) finds no place",
        mib(store.free_bytes),
        store.dir,
        mib(store.min_free_bytes),
        mib(store.needed_bytes)
    );
    match store.disk.as_str() {
        "low" => raise(
            "disk_low",
            format!(
                "the disk is nearly full: new sales are refused, what waits is still sent. Make room: {stands}"
            ),
        ),
        "filling" => raise("disk_filling", format!("the disk is filling up. Make room soon: {stands}")),
        _ => {}
    }
    // Without it a start on a full disk may fail.
    if store.reserve == Some(false) && store.disk != "enough" {
        raise(
            "disk_reserve",
            "the reserve for a full disk is used up or could not be made: it is made again once there is room".to_owned(),
        );
    }
}

/// What is in a sale's way to KRA.
fn way_alerts(snapshot: &Snapshot, raise: &mut impl FnMut(&str, String)) {
    let device = snapshot.device.status.as_str();
    let refused = snapshot.queue.takes_none.is_some()
        || snapshot.store.disk == "low"
        || !snapshot.store.works
        || device == "unregistered";
    let selling = if refused { "" } else { " Sales are taken and kept." };
    if let Some(why) = &snapshot.kra.series_stopped {
        raise(
            "series_stopped",
            format!(
                "the number series is stopped: {why}. Nothing is sent.{selling} `etims-gateway series show` puts both books side \
                 by side and says what to do"
            ),
        );
    }
    if device != "active" {
        let reason = snapshot.device.reason.as_deref().unwrap_or("no device is configured");
        let advice = what_to_do_with_device(device, reason);
        raise("device", format!("the device is {device}: {reason}.{selling}{advice}"));
    }
    if let Some(why) = &snapshot.kra.held {
        let answers = if snapshot.kra.up { "KRA answers, and nothing is sent" } else { "nothing is sent" };
        raise(
            "held",
            format!(
                "{answers}: {why}.{selling} They are sent by themselves once this is put right; `etims-gateway queue retry \
                 --all` tries at once. Where it is one sale's fault, `etims-gateway queue park ID` lets the others go on"
            ),
        );
    }
    // Without a device nobody asks.
    if !snapshot.kra.up && device != "unregistered" {
        raise(
            "kra_down",
            format!(
                "KRA cannot be reached.{selling} What waits is sent by itself when it is back. Check this till's own line: \
                 `etims-gateway status` says what is seen of it"
            ),
        );
    }
}

/// What a person does, beside what the reason says already.
fn what_to_do_with_device(status: &str, reason: &str) -> &'static str {
    match status {
        "failed" => {
            " Once KRA has put it right, run `etims-gateway device init`; one that is registered elsewhere is brought in with \
             `etims-gateway device adopt`"
        }
        "held" if reason.contains("device moved") => "",
        "held" => {
            " Once it is put right they are sent by themselves; `etims-gateway queue retry --all` tries at once"
        }
        "pending" => " It registers by itself as soon as KRA answers",
        _ => " Run `etims-gateway device init`",
    }
}

/// How long a serial port may be closed before that is an alert, seconds: a plug may be moved.
const PORT_PATIENCE: u64 = 3;
/// How long a webhook may be away before that is an alert, seconds.
const WEBHOOK_PATIENCE: u64 = 600;
/// Nothing has kept the clock right for so long, seconds: a machine that was just started needs a moment.
const UNSYNCHRONISED: u64 = 300;
/// Clocks that differ by more, milliseconds.
const SKEW_MS: u64 = 120_000;
/// A certificate that ends sooner, seconds.
const CERTIFICATE: i64 = 14 * 24 * 3600;
/// Flash that has used more tenths of its life.
const WORN: u8 = 9;

/// Clock, certificates, wear: to be known before they stop anything.
fn surroundings(snapshot: &Snapshot, raise: &mut impl FnMut(&str, String)) {
    let clock = &snapshot.clock;
    if let Some(behind) = &clock.behind {
        raise(
            "clock",
            format!(
                "this machine's clock stands before {behind}, which is past: set it (timedatectl). Sales are taken and marked"
            ),
        );
    } else if clock.unsynchronised_seconds.is_some_and(|seconds| seconds > UNSYNCHRONISED) {
        raise("clock", "nothing keeps this machine's clock right: check its time service (timedatectl). Sales are taken and marked".to_owned());
    }
    for register in &clock.fast_registers {
        let FastRegister { origin, trd_invc_no, cfm_dt, told } = register;
        raise(
            "register_clock",
            format!(
                "the register at {origin} gave sale {trd_invc_no} the time {cfm_dt}, which lies in KRA's future: KRA is told \
                 {told}. Set the register's clock; this ends with its next sale that is right"
            ),
        );
    }
    let off = |skew: Option<SkewSnapshot>| skew.filter(|skew| skew.certain_ms.unsigned_abs() > SKEW_MS);
    let whose = match (off(clock.server), off(clock.kra)) {
        (Some(_), _) => Some("KRA's server and this machine"),
        (None, Some(_)) => Some("KRA's own clock and this machine, though its server agrees,"),
        (None, None) => None,
    };
    if let Some(whose) = whose {
        raise(
            "clock_skew",
            format!(
                "{whose} differ by more than 2 minutes: see `etims-gateway status`, and check the time service (timedatectl)"
            ),
        );
    }
    for certificate in snapshot.kra.certificates.iter().filter(|it| it.remaining_seconds < CERTIFICATE) {
        let CertificateSnapshot { of, until, .. } = certificate;
        raise(
            "certificate",
            format!(
                "the certificate of {of} ends at {until}: nothing can be sent after that unless it is renewed"
            ),
        );
    }
    let wear = snapshot.disk.as_ref().and_then(|disk| disk.wear.as_ref());
    if let Some(wear) =
        wear.filter(|wear| wear.life_time.iter().any(|used| *used >= WORN) || wear.pre_eol >= 2)
    {
        raise(
            "disk_wear",
            format!("the flash {} has used more than 80 % of its life: plan to replace it", wear.device),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{DeniedSale, DeviceSnapshot, KraSnapshot, QueueSnapshot, RefusedSale, StoreSnapshot};
    use queue::refusals;

    fn well() -> Snapshot {
        Snapshot {
            device: DeviceSnapshot { status: "active".to_owned(), ..DeviceSnapshot::default() },
            kra: KraSnapshot { up: true, ..KraSnapshot::default() },
            store: StoreSnapshot { works: true, ..StoreSnapshot::default() },
            offline_warn_seconds: 60,
            ..Snapshot::default()
        }
    }

    #[test]
    fn only_the_listed_conditions_degrade() {
        type Change = fn(&mut Snapshot);
        let check = |code: &str, degrades: bool, change: Change| {
            let mut snapshot = well();
            change(&mut snapshot);
            let raised = alerts(&snapshot);
            assert!(raised.iter().any(|alert| alert.code == code), "{code}: {raised:?}");
            assert_eq!(degraded(&raised), degrades, "{code}");
        };
        assert_eq!(alerts(&well()), []);
        check("kra_down", true, |it| it.kra.up = false);
        check("device", true, |it| "held".clone_into(&mut it.device.status));
        check("held", true, |it| it.kra.held = Some("912".to_owned()));
        check("series_stopped", true, |it| it.kra.series_stopped = Some("5 and 7".to_owned()));
        check("parked", true, |it| it.queue.parked = 1);
        check("rejected", true, |it| it.queue.rejected = 1);
        check("offline", true, |it| it.queue.oldest_age_seconds = 61);
        check("disk_low", true, |it| "low".clone_into(&mut it.store.disk));
        check("disk_filling", true, |it| "filling".clone_into(&mut it.store.disk));
        check("disk_reserve", true, |it| {
            "low".clone_into(&mut it.store.disk);
            it.store.reserve = Some(false);
        });
        check("damage", true, |it| it.store.damage.push("segment 1".to_owned()));
        check("store_failed", true, |it| it.store.works = false);
        check("clock", false, |it| it.clock.behind = Some("earlier records".to_owned()));
        check("clock", false, |it| it.clock.unsynchronised_seconds = Some(301));
        check("clock_skew", false, |it| {
            it.clock.server = Some(SkewSnapshot { ahead_ms: -130_000, certain_ms: -120_001 });
        });
        check("register_clock", false, |it| it.clock.fast_registers.push(FastRegister::default()));
        check("certificate", false, |it| {
            let remaining_seconds = 14 * 24 * 3600 - 1;
            it.kra.certificates =
                vec![CertificateSnapshot { remaining_seconds, ..CertificateSnapshot::default() }];
        });
        check("disk_wear", false, |it| {
            let wear = Some(crate::status::WearSnapshot { life_time: [1, 9], ..Default::default() });
            it.disk = Some(crate::status::DiskSnapshot { wear, ..Default::default() });
        });
        check("not_in_books", true, |it| it.queue.denied.push(DeniedSale { id: 9, ..DeniedSale::default() }));
        check("accepted_no_proof", false, |it| it.queue.accepted_no_proof = 1);
        check("till_webhook", false, |it| {
            let waiting = WaitingWebhook {
                name: "till".to_owned(),
                event: 9,
                why: "HTTP 404".to_owned(),
                seconds: 600,
            };
            it.waiting_webhooks = vec![WaitingWebhook { seconds: 599, ..waiting.clone() }, waiting];
        });
        check("serial_port", false, |it| {
            let closed = |seconds| SerialSnapshot { seconds, ..SerialSnapshot::default() };
            it.serial = vec![closed(2), SerialSnapshot { open: true, ..closed(900) }, closed(3)];
        });
        check("store", false, |it| it.store.remarks.push("rebuilt".to_owned()));
    }

    #[test]
    fn a_refusal_is_described_whole_and_many_are_counted() {
        let sale = |n: u64| RefusedSale {
            id: n,
            trd_invc_no: format!("A-{n}"),
            temp_receipt_no: format!("P-{n}-ABCD"),
            accepted_at: "2026-01-15T10:15:33+03:00".to_owned(),
            tot_amt: "116.00".to_owned(),
            credit_note: false,
            result_cd: Some("910".to_owned()),
            field: Some("itemClsCd".to_owned()),
            kra_message: "Invalid itemClsCd".to_owned(),
        };
        let two = Snapshot {
            queue: QueueSnapshot {
                rejected: 2,
                refused: vec![sale(1), sale(2)],
                parked: 1,
                ..QueueSnapshot::default()
            },
            ..well()
        };
        let told = alerts_one_by_one(&two, []);
        let keys: Vec<_> = told.iter().map(|alert| (alert.code.as_str(), alert.about)).collect();
        assert_eq!(keys, [("parked", None), ("rejected", Some(1)), ("rejected", Some(2))]);
        assert!(told[2].message.contains("A-2") && !told[2].message.contains("A-1"), "{told:?}");
        let standing = [1, 9].map(|seq| AlertKey { code: REJECTED.to_owned(), about: Some(seq) });
        let about = |rejected| {
            let queue = QueueSnapshot { rejected, parked: 0, ..two.queue.clone() };
            let told = alerts_one_by_one(&Snapshot { queue, ..two.clone() }, &standing);
            told.iter().filter_map(|alert| alert.about).collect::<Vec<_>>()
        };
        assert_eq!(about(2), [1, 2], "9 is over");
        assert_eq!(about(3), [9, 1, 2], "9 is only not shown");
        let text = refusals(1, &[sale(1)]);
        for part in ["A-1", "P-1-ABCD", "2026-01-15", "116.00", "910 Invalid itemClsCd", "field itemClsCd"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(text.contains("\"replaces\":\"A-1\"") && !text.contains("more"), "{text}");
        let text = refusals(7, &[sale(1), sale(2), sale(3), sale(4)]);
        assert!(text.contains("A-3") && !text.contains("A-4") && text.contains("And 4 more"), "{text}");
    }

    #[test]
    fn nobody_is_told_that_sales_are_taken_while_they_are_refused() {
        let mut snapshot = well();
        snapshot.kra.up = false;
        let all = |snapshot: &Snapshot| format!("{:?}", alerts(snapshot));
        assert!(all(&snapshot).contains("Sales are taken and kept"));
        for word in ["offline_limit", "queue_full"] {
            snapshot.queue.takes_none = Some(word.to_owned());
            let told = alerts(&snapshot);
            assert!(told.iter().any(|alert| alert.code == "sales_refused"), "{told:?}");
            assert!(!all(&snapshot).contains("taken and kept"), "{told:?}");
        }
        snapshot.queue.takes_none = None;
        "unregistered".clone_into(&mut snapshot.device.status);
        let told = alerts(&snapshot);
        assert_eq!(told.iter().map(|alert| alert.code.as_str()).collect::<Vec<_>>(), ["device"]);
        assert!(!all(&snapshot).contains("taken and kept"), "{told:?}");
    }
}
