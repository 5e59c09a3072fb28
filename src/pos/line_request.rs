//! What a register asks over a serial line: type and DATA to what a till may ask.

use std::time::Duration;

use super::json::{Object, read_document};
use super::refusal::Refusal;
use super::routes::{Call, LONGEST_WAIT, PrintWords, print_order};
use crate::fiscal::{Fault, FaultCode};
use crate::serial::{Asked, MAX_DATA, Request};

/// The version of what is spoken.
const PROTO: u64 = 1;

/// What this request asks. Typed words are no calls: see [`console`](super::console).
///
/// # Errors
/// No such type, or DATA that cannot be read.
pub(super) fn read(request: Request) -> Result<Call, Refusal> {
    let Request { asked, data, .. } = request;
    match asked {
        Asked::BadCheck => Err(Refusal::BadCheck),
        Asked::BadLine => {
            read_document(&data)?;
            let words = r#"A line is {"op":"sale","data":{...}}, with "seq" if it is wanted back."#;
            Err(Refusal::BadQuery(words.to_owned()))
        }
        Asked::Hello => read_hello(&data),
        Asked::Last => read_nothing(&data).map(|()| Call::LastSale),
        Asked::News => read_news(&data),
        Asked::Print => read_print(&data),
        Asked::Query => read_query(&data),
        Asked::Sale => Ok(Call::PostSale { body: data.into(), wait: None }),
        Asked::State => read_nothing(&data).map(|()| Call::DeviceStatus),
        Asked::TooLong => Err(Refusal::BadQuery(format!("The line is longer than {MAX_DATA} bytes."))),
        Asked::Uncounted => Err(Refusal::BadQuery(
            "SEQ 00 belongs to HELLO alone. Count requests from 01 to FF, and on with 01.".to_owned(),
        )),
        Asked::Unknown | Asked::Word(_) => Err(Refusal::BadQuery(
            "There is no such request. Known are H hello, L last, N news, P print, Q query, S sale and T status."
                .to_owned(),
        )),
    }
}

fn read_hello(data: &[u8]) -> Result<Call, Refusal> {
    let mut faults = Vec::new();
    let members = Object::read(read_document(data)?, String::new(), &["proto"], &mut faults)?;
    match members.whole("proto", &mut faults) {
        Some(PROTO) => {}
        Some(_) => faults.push(Fault::new("proto", FaultCode::NotAllowed, "must be 1")),
        None if members.raw("proto").is_none() => faults.push(required("proto")),
        None => {}
    }
    if faults.is_empty() { Ok(Call::Hello) } else { Err(Refusal::Faults(faults)) }
}

fn read_news(data: &[u8]) -> Result<Call, Refusal> {
    let mut faults = Vec::new();
    let members = Object::read(read_document(data)?, String::new(), &["after"], &mut faults)?;
    let after = members.whole("after", &mut faults);
    if faults.is_empty() { Ok(Call::News { after }) } else { Err(Refusal::Faults(faults)) }
}

fn read_print(data: &[u8]) -> Result<Call, Refusal> {
    let mut faults = Vec::new();
    let members = Object::read(
        read_document(data)?,
        String::new(),
        &["trdInvcNo", "format", "width", "copy", "again"],
        &mut faults,
    )?;
    let trader_ref = members.text("trdInvcNo", &mut faults);
    if members.raw("trdInvcNo").is_none() {
        faults.push(required("trdInvcNo"));
    }
    let format = members.text("format", &mut faults);
    let width = members.whole("width", &mut faults);
    let mut flag = |name: &'static str| match members.whole(name, &mut faults) {
        None | Some(0) => false,
        Some(1) => true,
        Some(_) => {
            faults.push(Fault::new(name, FaultCode::NotAllowed, "must be 0 or 1"));
            false
        }
    };
    let (copy, again) = (flag("copy"), flag("again"));
    let order = print_order(&PrintWords { format: format.as_deref(), width, again, copy });
    match trader_ref {
        Some(trader_ref) if faults.is_empty() => {
            Ok(Call::PrintReceipt { trader_ref, order: order?, room: Some(MAX_DATA) })
        }
        _ => Err(Refusal::Faults(faults)),
    }
}

fn read_query(data: &[u8]) -> Result<Call, Refusal> {
    let mut faults = Vec::new();
    let members = Object::read(read_document(data)?, String::new(), &["trdInvcNo", "wait"], &mut faults)?;
    let trader_ref = members.text("trdInvcNo", &mut faults);
    if members.raw("trdInvcNo").is_none() {
        faults.push(required("trdInvcNo"));
    }
    let wait = members.whole("wait", &mut faults).unwrap_or_default();
    if wait > LONGEST_WAIT {
        let words = format!("must be 0 to {LONGEST_WAIT} seconds");
        faults.push(Fault::new("wait", FaultCode::TooLarge, &words));
    }
    match trader_ref {
        Some(trader_ref) if faults.is_empty() => {
            Ok(Call::ShowSale { trader_ref, wait: Duration::from_secs(wait) })
        }
        _ => Err(Refusal::Faults(faults)),
    }
}

/// DATA that may be empty, or an object with nothing in it.
fn read_nothing(data: &[u8]) -> Result<(), Refusal> {
    if data.is_empty() {
        return Ok(());
    }
    let mut faults = Vec::new();
    Object::read(read_document(data)?, String::new(), &[], &mut faults)?;
    if faults.is_empty() { Ok(()) } else { Err(Refusal::Faults(faults)) }
}

fn required(name: &str) -> Fault {
    Fault::new(name, FaultCode::Required, "is required")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::{PageFormat, PrintOrder, Which};

    fn asked(asked: Asked, data: &str) -> Result<Call, Refusal> {
        read(Request { asked, data: data.as_bytes().to_vec(), stopping: false })
    }

    #[test]
    fn what_registers_ask() {
        let check = |what: Asked, data: &str, call: Call| {
            assert_eq!(asked(what, data), Ok(call), "{what:?} {data}");
        };
        let shown = |wait| Call::ShowSale { trader_ref: "T1".to_owned(), wait: Duration::from_secs(wait) };
        check(Asked::Hello, r#"{"proto":1}"#, Call::Hello);
        check(Asked::Last, "", Call::LastSale);
        check(Asked::Last, "{}", Call::LastSale);
        check(Asked::State, "", Call::DeviceStatus);
        check(Asked::News, r#"{"after":41}"#, Call::News { after: Some(41) });
        check(Asked::News, "{}", Call::News { after: None });
        check(Asked::Query, r#"{"trdInvcNo":"T1","wait":30}"#, shown(30));
        check(Asked::Query, r#"{"trdInvcNo":"T1"}"#, shown(0));
        let printed = |which, format, width| Call::PrintReceipt {
            trader_ref: "T1".to_owned(),
            order: PrintOrder { which, format, width },
            room: Some(MAX_DATA),
        };
        check(Asked::Print, r#"{"trdInvcNo":"T1"}"#, printed(Which::AsItComes, PageFormat::Text, 42));
        check(
            Asked::Print,
            r#"{"trdInvcNo":"T1","format":"escpos","width":32,"copy":1}"#,
            printed(Which::Copy, PageFormat::Escpos, 32),
        );
        // What is in it is read where every sale is.
        check(Asked::Sale, "{", Call::PostSale { body: "{".into(), wait: None });
    }

    #[test]
    fn what_is_wrong_is_told_by_name() {
        let check = |what: Asked, data: &str, fields: &[(&str, &str)]| {
            let Err(Refusal::Faults(faults)) = asked(what, data) else { panic!("{what:?} {data} is taken") };
            let found: Vec<_> = faults.iter().map(|it| (it.field.as_str(), it.code.word())).collect();
            assert_eq!(found, fields, "{what:?} {data}");
        };
        check(Asked::Hello, "{}", &[("proto", "required")]);
        check(Asked::Hello, r#"{"proto":2}"#, &[("proto", "not_allowed")]);
        check(Asked::Hello, r#"{"proto":true}"#, &[("proto", "wrong_type")]);
        check(Asked::Last, r#"{"a":1}"#, &[("a", "unknown_field")]);
        check(Asked::News, r#"{"after":-1}"#, &[("after", "negative")]);
        check(Asked::Query, r#"{"wait":31}"#, &[("trdInvcNo", "required"), ("wait", "too_large")]);
        check(Asked::Query, r#"{"trdInvcNo":7}"#, &[("trdInvcNo", "wrong_type")]);
    }

    #[test]
    fn what_is_no_request_is_told_so() {
        let check = |what: Asked, data: &str, status: u16, word: &str| {
            let refusal = asked(what, data).unwrap_err();
            assert_eq!((refusal.http_status(), refusal.word()), (status, Some(word)), "{what:?} {data}");
        };
        check(Asked::BadCheck, "", 400, "crc");
        check(Asked::BadLine, "{", 400, "bad_json");
        check(Asked::BadLine, r#"{"data":{}}"#, 400, "bad_query");
        check(Asked::TooLong, "", 400, "bad_query");
        check(Asked::Uncounted, "", 400, "bad_query");
        check(Asked::Unknown, "", 400, "bad_query");
        check(Asked::Hello, "", 400, "bad_json");
        check(Asked::Print, r#"{"trdInvcNo":"T1","width":31}"#, 400, "bad_query");
        check(Asked::Print, r#"{"trdInvcNo":"T1","format":"pdf"}"#, 400, "bad_query");
        check(Asked::Print, r#"{"trdInvcNo":"T1","copy":1,"again":1}"#, 400, "bad_query");
    }
}
