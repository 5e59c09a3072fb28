//! An event as journald gets it: `MESSAGE_ID` where it has a name, our own fields as `ETIMS_*`.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::sync::{Mutex, PoisonError};

use tracing::callsite::Identifier;
use tracing::field::{Field, FieldSet, Value, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::events;

/// The most fields that an event can have, `MESSAGE_ID` included: the tracing library takes no more at once.
const MOST: usize = 32;

/// What begins the name of an alert's event; its code follows.
const ALERT: &str = "alert_raised";

/// Hands events on with other names for their fields. Those of libraries go on as they are.
#[derive(Debug)]
pub(super) struct Renamed<L> {
    inner: L,
    /// By the place in the source: there are as many as there are places, and each stays for good.
    forms: Mutex<HashMap<Identifier, &'static Metadata<'static>>>,
}

impl<L> Renamed<L> {
    pub(super) fn new(inner: L) -> Self {
        Self { inner, forms: Mutex::default() }
    }

    /// The event's place in the source, with the names that journald gets.
    fn form(&self, given: &'static Metadata<'static>) -> &'static Metadata<'static> {
        let mut forms = self.forms.lock().unwrap_or_else(PoisonError::into_inner);
        forms.entry(given.callsite()).or_insert_with(|| {
            let own = given.fields().iter().take(MOST - 1).map(|field| match field.name() {
                "message" => "message",
                name => &*format!("ETIMS_{}", name.to_uppercase().replace('.', "_")).leak(),
            });
            let names: Vec<&'static str> = std::iter::once("MESSAGE_ID").chain(own).collect();
            Box::leak(Box::new(Metadata::new(
                given.name(),
                given.target(),
                *given.level(),
                given.file(),
                given.line(),
                given.module_path(),
                FieldSet::new(names.leak(), given.callsite()),
                tracing::metadata::Kind::EVENT,
            )))
        })
    }
}

impl<S: Subscriber, L: Layer<S>> Layer<S> for Renamed<L> {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.inner.on_new_span(attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.inner.on_record(id, values, context);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let given = event.metadata();
        if !given.target().starts_with(env!("CARGO_CRATE_NAME")) {
            return self.inner.on_event(event, context);
        }
        let form = self.form(given);
        let mut told = Told::default();
        event.record(&mut told);
        let fields: Vec<Field> = form.fields().iter().collect();
        let id = told.id(given.name());
        let texts: Vec<&str> = told.texts.iter().map(|(_, text)| text.as_str()).collect();
        // A place that is not used tells nothing.
        let mut values: [(&Field, Option<&dyn Value>); MOST] = [(&fields[0], None); MOST];
        if let Some(id) = &id {
            values[0].1 = Some(id);
        }
        let places = told.texts.iter().map(|(place, _)| place + 1).zip(&texts);
        for ((place, text), value) in places.filter(|(place, _)| *place < fields.len()).zip(&mut values[1..])
        {
            *value = (&fields[place], Some(text));
        }
        self.inner.on_event(&Event::new(form, &form.fields().value_set(&values)), context);
    }
}

/// An event's fields as text, by their places.
#[derive(Default)]
struct Told {
    texts: Vec<(usize, String)>,
    /// The code of an alert.
    alert: Option<String>,
}

impl Told {
    fn id(&self, name: &str) -> Option<&'static str> {
        let alert = self.alert.as_ref().filter(|_| name == ALERT);
        alert.and_then(|code| events::id(&format!("{ALERT}:{code}"))).or_else(|| events::id(name))
    }
}

impl Visit for Told {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "alert" {
            self.alert = Some(value.to_owned());
        }
        self.texts.push((field.index(), value.to_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        write!(text, "{value:?}").expect("a String takes all");
        self.record_str(field, &text);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt;

    use super::super::events::EVENTS;
    use super::*;

    /// What journald would get, event by event.
    #[derive(Clone, Default)]
    struct Heard(Arc<Mutex<Vec<BTreeMap<&'static str, String>>>>);

    impl<S: Subscriber> Layer<S> for Heard {
        fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
            let mut told = Told::default();
            event.record(&mut told);
            let names: Vec<&str> = event.metadata().fields().iter().map(|field| field.name()).collect();
            let fields = told.texts.into_iter().map(|(place, text)| (names[place], text)).collect();
            self.0.lock().unwrap().push(fields);
        }
    }

    #[test]
    fn an_event_has_its_id_and_names_that_are_ours() {
        let heard = Heard::default();
        let layer = Renamed::new(heard.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            for invc_no in [5, 6] {
                let (about, error) = (None::<u64>, std::io::Error::other("no room"));
                tracing::info!(name: "sale_signed", seq = 12_u64, invc_no, about, %error, "sale signed by KRA");
            }
            tracing::error!(name: "alert_raised", alert = "parked", "2 are {}", "parked");
            tracing::error!(name: "alert_raised", alert = "of another version", "x");
            tracing::warn!(reason = "first\nsecond", "without a name");
            tracing::warn!(target: "hyper", reason = "x", "a library");
        });
        let heard = heard.0.lock().unwrap();
        let fields = |fields: &[(&'static str, &str)]| -> BTreeMap<&'static str, String> {
            fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
        };
        let id = |name| events::id(name).unwrap();
        for (event, invc_no) in heard.iter().zip(["5", "6"]) {
            assert_eq!(
                *event,
                fields(&[
                    ("MESSAGE_ID", id("sale_signed")),
                    ("message", "sale signed by KRA"),
                    ("ETIMS_SEQ", "12"),
                    ("ETIMS_INVC_NO", invc_no),
                    ("ETIMS_ERROR", "no room"),
                ])
            );
        }
        assert_eq!(
            heard[2],
            fields(&[
                ("MESSAGE_ID", id("alert_raised:parked")),
                ("message", "2 are parked"),
                ("ETIMS_ALERT", "parked")
            ])
        );
        assert_eq!(heard[3]["MESSAGE_ID"], id("alert_raised"));
        assert_eq!(heard[4], fields(&[("message", "without a name"), ("ETIMS_REASON", "first\nsecond")]));
        assert_eq!(heard[5], fields(&[("message", "a library"), ("reason", "x")]));
    }

    /// Each `name: "..."` of an event in the sources.
    fn told_in(dir: &Path, names: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                told_in(&path, names);
            } else if path.extension().is_some_and(|it| it == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let calls = ["error!(", "warn!(", "info!("].iter().flat_map(|call| text.split(call).skip(1));
                let named = calls.filter_map(|call| call.trim_start().strip_prefix("name: \""));
                names.extend(named.map(|rest| rest.split('"').next().unwrap().to_owned()));
            }
        }
    }

    #[test]
    fn table_sources_and_catalog_name_the_same_events() {
        assert!(EVENTS.is_sorted_by(|left, right| left.0 < right.0), "looked up by halves");
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut told = BTreeSet::new();
        told_in(&root.join("src"), &mut told);
        let table: BTreeSet<String> =
            EVENTS.iter().map(|(name, _)| name.split(':').next().unwrap().to_owned()).collect();
        assert_eq!(told, table, "told in the sources; in the table");
        let ids: Vec<&str> = EVENTS.iter().map(|(_, id)| *id).collect();
        for id in &ids {
            let hex = id.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
            assert!(id.len() == 32 && hex, "{id}");
        }
        let catalog = std::fs::read_to_string(root.join("systemd/etims-gateway.catalog")).unwrap();
        let explained: Vec<&str> = catalog.lines().filter_map(|line| line.strip_prefix("-- ")).collect();
        let sorted = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(sorted(&explained), sorted(&ids));
        assert_eq!((explained.len(), ids.len()), (EVENTS.len(), sorted(&ids).len()), "none twice");
        for entry in catalog.split("\n-- ").skip(1) {
            let (head, body) = entry.split_once("\n\n").unwrap();
            assert!(head.contains("\nSubject: ") && head.contains("\nDocumentation: man:"), "{head}");
            assert!(!body.trim().is_empty(), "{head}");
        }
    }

    /// Each alert that can be raised is explained by its code.
    #[test]
    fn every_alert_is_in_the_table() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/status");
        let mut codes = BTreeSet::from(["alert_webhook", "rejected", "till_webhook"].map(str::to_owned));
        let mut files = Vec::new();
        for dir in [root.clone(), root.join("alerts")] {
            files.extend(std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()));
        }
        for file in files.iter().filter(|file| file.is_file()) {
            let text = std::fs::read_to_string(file).unwrap();
            let text = text.split("#[cfg(test)]").next().unwrap().to_owned();
            let raised = text.split("raise(").skip(1).map(str::trim_start);
            let named = raised.filter_map(|rest| rest.strip_prefix('"'));
            codes.extend(named.map(|rest| rest.split('"').next().unwrap().to_owned()));
        }
        let table: BTreeSet<String> = EVENTS
            .iter()
            .filter_map(|(name, _)| name.strip_prefix("alert_raised:").map(str::to_owned))
            .collect();
        assert_eq!(codes, table);
    }
}
