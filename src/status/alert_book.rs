//! Which alerts have been told: each condition once when it begins, once when it is over.
//!
//! What comes and goes again within its settling time is not told at all, and what keeps coming and going is told more and
//! more rarely: a flapping line must not fill the log.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Alert;
use crate::queue::{Moment, Seq};

/// The settling time of what passes by itself.
const PASSING: Duration = Duration::from_secs(10);
/// The longest settling time.
const LONGEST: Duration = Duration::from_secs(600);
/// How long a raise counts against the next one.
const MEMORY: Duration = Duration::from_secs(3600);
/// Raises within [`MEMORY`] after which settling begins, for what usually tells itself at once.
const FREE_RAISES: usize = 2;

/// What tells one alert from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AlertKey {
    /// The condition.
    pub code: String,
    /// The sale that it is about, where it is about one.
    pub about: Option<Seq>,
}

/// An alert that begins, or is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertChange {
    /// It begins.
    pub raised: bool,
    /// The alert; once it is over, as it was last told, which nobody may know after a restart.
    pub alert: Alert,
}

/// The alerts that stand, as far as they have been told.
#[derive(Clone, Debug, Default)]
pub struct AlertBook {
    told: BTreeMap<AlertKey, Told>,
    /// Since when conditions are other than told.
    differing: BTreeMap<AlertKey, Moment>,
    raises: BTreeMap<AlertKey, Vec<Moment>>,
}

#[derive(Clone, Debug)]
struct Told {
    message: String,
    /// It stood at the start, and was not seen since.
    unseen: bool,
}

impl AlertBook {
    /// With those that stood when the daemon stopped.
    pub fn new(standing: impl IntoIterator<Item = AlertKey>) -> Self {
        let told = standing.into_iter().map(|key| (key, Told { message: String::new(), unseen: true }));
        Self { told: told.collect(), ..Self::default() }
    }

    /// The alerts that stand.
    pub fn standing(&self) -> impl Iterator<Item = &AlertKey> {
        self.told.keys()
    }

    /// Whether alerts stand that nothing has been seen of since the start.
    pub fn waits_for_proof(&self) -> bool {
        self.told.iter().any(|(key, told)| told.unseen && needs_proof(&key.code))
    }

    /// What is to be told now that these conditions hold; it counts as told. `proven`: since the start a sale has gone all
    /// the way to KRA, so what kept sales from it is over.
    pub fn changes(&mut self, active: &[Alert], proven: bool, now: Moment) -> Vec<AlertChange> {
        let active: BTreeMap<AlertKey, &Alert> = active.iter().map(|alert| (alert.key(), alert)).collect();
        for (key, alert) in &active {
            if let Some(told) = self.told.get_mut(key) {
                told.unseen = false;
                if !alert.message.is_empty() {
                    told.message.clone_from(&alert.message);
                }
            }
        }
        let begins = active.keys().filter(|key| !self.told.contains_key(key)).cloned();
        let over = self.told.iter().filter(|(key, told)| {
            !active.contains_key(key) && (!told.unseen || over_unseen(&key.code, proven))
        });
        let differing: Vec<AlertKey> = over.map(|(key, _)| key.clone()).chain(begins).collect();
        self.differing.retain(|key, _| differing.contains(key));
        let mut changes = Vec::new();
        for key in differing {
            let since = *self.differing.entry(key.clone()).or_insert(now);
            if now.since(since) >= self.settling(&key, now) {
                self.differing.remove(&key);
                changes.push(self.tell(key, &active, now));
            }
        }
        changes
    }

    fn tell(&mut self, key: AlertKey, active: &BTreeMap<AlertKey, &Alert>, now: Moment) -> AlertChange {
        if let Some(alert) = active.get(&key).copied() {
            self.told.insert(key.clone(), Told { message: alert.message.clone(), unseen: false });
            self.raises.entry(key).or_default().push(now);
            return AlertChange { raised: true, alert: alert.clone() };
        }
        let message = self.told.remove(&key).map(|told| told.message).unwrap_or_default();
        AlertChange { raised: false, alert: Alert { code: key.code, about: key.about, message } }
    }

    /// How long a condition must have lasted before it is told, or before it is told to be over.
    fn settling(&mut self, key: &AlertKey, now: Moment) -> Duration {
        let Some(raises) = self.raises.get_mut(key) else { return least_settling(&key.code) };
        raises.retain(|at| now.since(*at) < MEMORY);
        let extra = raises.len().saturating_sub(FREE_RAISES);
        let grown = match u32::try_from(extra) {
            Ok(0) => Duration::ZERO,
            Ok(extra) => PASSING.saturating_mul(2_u32.saturating_pow(extra)).min(LONGEST),
            Err(_) => LONGEST,
        };
        if raises.is_empty() {
            self.raises.remove(key);
        }
        grown.max(least_settling(&key.code))
    }
}

/// The line comes and goes, and a device is registered, by themselves; everything else is told at once.
fn least_settling(code: &str) -> Duration {
    if matches!(code, "device" | "kra_down") { PASSING } else { Duration::ZERO }
}

/// What is found out only by sending: at a start nothing is known of it, which does not mean that it is over.
fn needs_proof(code: &str) -> bool {
    matches!(code, "device" | "held" | "series_stopped")
}

/// Whether a condition that nothing was seen of since the start is over. Damage never is: the background finds it again
/// when it comes to it. A webhook's patience begins anew.
fn over_unseen(code: &str, proven: bool) -> bool {
    proven && needs_proof(code) || !needs_proof(code) && code != "damage"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(code: &str) -> Alert {
        Alert { code: code.to_owned(), about: None, message: format!("{code}!") }
    }

    fn at(seconds: u64) -> Moment {
        Moment(seconds * 1000)
    }

    /// What was told, one letter and word each: `+parked`, `-parked`.
    fn told(changes: &[AlertChange]) -> Vec<String> {
        changes.iter().map(|it| format!("{}{}", if it.raised { '+' } else { '-' }, it.alert.code)).collect()
    }

    #[test]
    fn each_condition_is_told_once_and_its_end_once() {
        let mut book = AlertBook::default();
        let (parked, low) = (alert("parked"), alert("disk_low"));
        assert_eq!(told(&book.changes(std::slice::from_ref(&parked), false, at(0))), ["+parked"]);
        assert_eq!(told(&book.changes(std::slice::from_ref(&parked), false, at(1))), [""; 0]);
        let more = Alert { message: "2 are set aside".to_owned(), ..parked.clone() };
        assert_eq!(
            told(&book.changes(&[low.clone(), more], false, at(2))),
            ["+disk_low"],
            "only its number changed"
        );
        let over = book.changes(&[low], false, at(3));
        assert_eq!(told(&over), ["-parked"]);
        assert_eq!(over[0].alert.message, "2 are set aside", "as it was last");
        assert_eq!(told(&book.changes(&[], false, at(4))), ["-disk_low"]);
        assert_eq!(book.standing().count(), 0);
    }

    #[test]
    fn sales_are_told_one_by_one() {
        let mut book = AlertBook::default();
        let refused = |seq| Alert { about: Some(seq), ..alert("rejected") };
        assert_eq!(book.changes(&[refused(5)], false, at(0)).len(), 1);
        let next = book.changes(&[refused(5), refused(9)], false, at(1));
        assert_eq!((next.len(), next[0].alert.about), (1, Some(9)));
        let settled = book.changes(&[refused(9)], false, at(2));
        assert_eq!((settled.len(), settled[0].raised, settled[0].alert.about), (1, false, Some(5)));
    }

    #[test]
    fn a_short_absence_of_kra_is_not_told() {
        let mut book = AlertBook::default();
        let down = [alert("kra_down")];
        assert!(book.changes(&down, false, at(0)).is_empty());
        assert!(book.changes(&down, false, at(9)).is_empty());
        assert!(book.changes(&[], false, at(9)).is_empty());
        assert!(book.changes(&down, false, at(11)).is_empty(), "it began anew");
        assert_eq!(told(&book.changes(&down, false, at(21))), ["+kra_down"]);
        assert!(book.changes(&[], false, at(30)).is_empty());
        assert!(book.changes(&down, false, at(35)).is_empty());
        assert!(book.changes(&[], false, at(40)).is_empty());
        assert_eq!(told(&book.changes(&[], false, at(50))), ["-kra_down"]);
    }

    #[test]
    fn what_keeps_coming_and_going_is_told_rarely() {
        for (code, period) in [("kra_down", 24), ("disk_low", 2), ("kra_down", 600), ("disk_low", 60)] {
            let mut book = AlertBook::default();
            let condition = [alert(code)];
            let day = 24 * 3600;
            let told: usize = (0..day)
                .map(|second| {
                    let active = if second % period < period / 2 { &condition[..] } else { &[] };
                    book.changes(active, false, at(second)).len()
                })
                .sum();
            assert!((2..=300).contains(&told), "{code} every {period} s: told {told} times in a day");
        }
    }

    #[test]
    fn what_stood_before_a_restart_is_not_told_again() {
        let key = |code: &str| AlertKey { code: code.to_owned(), about: None };
        let mut book = AlertBook::new(["parked", "series_stopped", "held", "kra_down"].map(key));
        assert!(book.changes(&[alert("parked"), alert("kra_down")], false, at(0)).is_empty());
        assert!(book.waits_for_proof());
        // Nothing was sent yet: nobody knows whether the series stands still.
        assert!(book.changes(&[alert("parked")], false, at(5)).is_empty());
        assert!(
            book.changes(&[alert("parked"), alert("series_stopped")], false, at(6)).is_empty(),
            "found again"
        );
        let over = book.changes(&[], false, at(20));
        assert_eq!(told(&over), ["-kra_down", "-parked", "-series_stopped"], "seen, and gone");
        assert!(book.changes(&[], false, at(30)).is_empty());
        assert_eq!(told(&book.changes(&[], true, at(31))), ["-held"], "a sale went through");
        assert!(!book.waits_for_proof());
    }

    #[test]
    fn damage_is_not_over_because_it_was_not_found_again_yet() {
        let damage = AlertKey { code: "damage".to_owned(), about: None };
        let mut book = AlertBook::new([damage]);
        assert!(book.changes(&[], true, at(0)).is_empty());
        assert!(book.changes(&[alert("damage")], true, at(100)).is_empty(), "known");
        assert_eq!(told(&book.changes(&[], true, at(200))), ["-damage"], "its segment was retired");
    }
}
