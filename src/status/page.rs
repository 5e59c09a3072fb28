//! A page in Prometheus' text format.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};

use super::Distribution;

/// Microseconds as seconds, with all their digits.
pub(super) fn seconds(micros: u64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The page in the making.
pub(super) struct Page(pub(super) String);

impl Page {
    pub(super) fn put(&mut self, line: std::fmt::Arguments<'_>) {
        self.0.write_fmt(line).expect("a String takes all");
    }

    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.put(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    pub(super) fn counter(&mut self, name: &str, help: &str) {
        self.family(name, "counter", help);
    }

    pub(super) fn gauge(&mut self, name: &str, help: &str) {
        self.family(name, "gauge", help);
    }

    pub(super) fn histogram(&mut self, name: &str, help: &str) {
        self.family(name, "histogram", help);
    }

    pub(super) fn one_counter(&mut self, name: &str, help: &str, value: u64) {
        self.counter(name, help);
        self.sample(name, &[], value);
    }

    pub(super) fn one_gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.gauge(name, help);
        self.sample(name, &[], value);
    }

    pub(super) fn words(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        words: &[&str],
        counts: &BTreeMap<&'static str, u64>,
    ) {
        self.counter(name, help);
        for word in words {
            self.sample(name, &[(label, word)], counts.get(word).copied().unwrap_or(0));
        }
    }

    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            self.put(format_args!("{}{label}=\"{text}\"", if at == 0 { '{' } else { ',' }));
        }
        let end = if labels.is_empty() { "" } else { "}" };
        self.put(format_args!("{end} {value}\n"));
    }

    pub(super) fn distribution(
        &mut self,
        name: &str,
        labels: &[(&str, &str)],
        sizes: &Distribution,
        unit: fn(u64) -> String,
    ) {
        let bounds = sizes.bounds.iter().map(|bound| unit(*bound)).chain(["+Inf".to_owned()]);
        let mut total = 0;
        for (bound, count) in bounds.zip(&sizes.counts) {
            total += count;
            self.sample(&format!("{name}_bucket"), &[labels, &[("le", bound.as_str())]].concat(), total);
        }
        self.sample(&format!("{name}_sum"), labels, unit(sizes.sum));
        self.sample(&format!("{name}_count"), labels, total);
    }
}
