//! The story: a shop sells, loses its line to KRA, goes on selling, crashes, comes back, and KRA has every sale once. Then a
//! customer brings something back (`return_goods`).

use std::fmt::Write as _;
use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use thiserror::Error;

use super::books::{agree, all_signed, each_once, in_order, of_gateway, of_kra};
use super::client::{Answer, CallError, Peer};
use super::goods::{BASKETS, Basket, POSTED_ONLINE, PRINTED};
use super::narrator::Narrator;
use super::stage::{Stage, StageError};
use super::terminal::{money, qr_code};
use crate::fiscal::group_in_fours;

/// The device of the story. The PIN is KRA's own example of one.
pub(super) const TIN: &str = "P000000000A";
pub(super) const BHF_ID: &str = "00";
const SERIAL: &str = "DEMO-TILL-1";

/// How long one answer may take.
pub(super) const ANSWER: Duration = Duration::from_secs(20);

/// Characters on a line of the receipt.
const WIDTH: usize = 46;

/// How long a sale may take from the line's return to its signature, in whole seconds: the most that one GET waits.
const DRAIN: u64 = 30;

/// Why the story cannot go on.
#[derive(Debug, Error)]
pub(super) enum StoryError {
    /// Somebody did not answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// Somebody answered something else.
    #[error("{asked} was answered {status} {body}")]
    Answer {
        /// What was asked.
        asked: String,
        /// HTTP status.
        status: u16,
        /// What was said.
        body: Value,
    },
    /// Behind the story.
    #[error(transparent)]
    Stage(#[from] StageError),
}

/// A story being told.
pub(super) struct Story<'a, W> {
    pub(super) stage: &'a mut Stage,
    pub(super) narrator: &'a mut Narrator<W>,
    /// The trader's name, as KRA told it.
    trader: String,
    /// What the registers were told when KRA was away, in order.
    provisional: Vec<Value>,
}

impl<'a, W: Write> Story<'a, W> {
    pub(super) fn new(stage: &'a mut Stage, narrator: &'a mut Narrator<W>) -> Self {
        Self { stage, narrator, trader: String::new(), provisional: Vec::new() }
    }

    /// Tells it all.
    ///
    /// # Errors
    /// When it cannot go on. What merely does not hold is with the narrator.
    pub(super) async fn tell(mut self) -> Result<(), StoryError> {
        self.raise_the_curtain().await?;
        self.register_the_device().await?;
        self.sell_while_kra_answers().await?;
        self.cut_the_line().await?;
        self.sell_while_kra_is_away().await?;
        self.crash_and_restart().await?;
        self.restore_the_line().await?;
        self.compare_the_books().await?;
        self.print_a_receipt().await?;
        self.bring_something_back().await
    }

    async fn raise_the_curtain(&mut self) -> Result<(), StoryError> {
        self.narrator.step("Start a simulator of KRA and the gateway, as processes of their own");
        self.stage.start_simulator().await?;
        self.narrator.say(&format!("KRA (simulator)  {}", self.stage.base_url()));
        let took = self.stage.start_gateway().await?;
        self.narrator.say(&format!("gateway          {}", self.stage.till()));
        self.narrator.say(&format!("                 {}", self.stage.local_till()));
        self.narrator.say(&format!("                 ready after {took:.1?}"));
        Ok(())
    }

    async fn register_the_device(&mut self) -> Result<(), StoryError> {
        self.narrator.step("Register the device with KRA");
        let device = json!({"tin": TIN, "bhfId": BHF_ID, "serialNumber": SERIAL});
        let answer = self.stage.till().post("/api/device/init/", &device, ANSWER).await?;
        let answer = expect(answer, 200, "POST /api/device/init/")?;
        self.trader = word(&answer, "taxpayerName").to_owned();
        self.narrator.say(&format!("PIN {TIN}, branch {BHF_ID}, serial number {SERIAL}: {}", self.trader));
        self.narrator.say(&format!(
            "device {}, control unit {}",
            word(&answer, "deviceId"),
            word(&answer, "sdcId")
        ));
        self.narrator.check("the device is active", &same(&answer, "status", "active"));
        Ok(())
    }

    async fn sell_while_kra_answers(&mut self) -> Result<(), StoryError> {
        self.narrator.step("Three sales while KRA answers: each waits a moment and gets KRA's receipt");
        let mut wrong = Vec::new();
        for basket in &BASKETS[..POSTED_ONLINE] {
            let (answer, took) = self.post(&self.stage.till(), basket).await?;
            let signed = format!(
                "receipt {}/{} {}, signature {}",
                answer.body["receiptNo"],
                answer.body["totalReceiptNo"],
                word(&answer.body, "label"),
                word(&answer.body, "signature")
            );
            self.tell_sale(basket, &answer, &signed, took);
            if answer.status != 201 || answer.body["status"] != "signed" {
                wrong.push(format!("{} was answered {} {}", basket.trader_ref, answer.status, answer.body));
            }
        }
        self.narrator.check("all three are signed", &wrong);
        Ok(())
    }

    async fn cut_the_line(&mut self) -> Result<(), StoryError> {
        self.narrator.step("The line to KRA is cut");
        self.set_line(false).await?;
        let wrong = match self.stage.kra().get("/etims-api/selectOsdcStatus", ANSWER).await {
            Err(error) if error.is_refused() => Vec::new(),
            Err(error) => vec![error.to_string()],
            Ok(answer) => vec![format!("KRA answers {}", answer.status)],
        };
        self.narrator.check(&format!("nobody listens at {} any more", self.stage.kra()), &wrong);
        Ok(())
    }

    async fn sell_while_kra_is_away(&mut self) -> Result<(), StoryError> {
        self.narrator
            .step("Five sales while KRA is away: on disk, signed by the gateway, provisional receipts");
        let mut wrong = Vec::new();
        for basket in &BASKETS[POSTED_ONLINE..] {
            let (answer, took) = self.post(&self.stage.local_till(), basket).await?;
            let provisional = format!(
                "provisional {}, local signature {}",
                word(&answer.body, "tempReceiptNo"),
                word(&answer.body, "localSignature")
            );
            self.tell_sale(basket, &answer, &provisional, took);
            let is_whole =
                ["tempReceiptNo", "localSignature"].iter().all(|name| answer.body[name].is_string());
            if answer.status != 202 || answer.body["status"] != "pending" || !is_whole {
                wrong.push(format!("{} was answered {} {}", basket.trader_ref, answer.status, answer.body));
            }
            self.provisional.push(answer.body);
        }
        self.narrator.check("all five are accepted and wait for KRA", &wrong);
        Ok(())
    }

    async fn crash_and_restart(&mut self) -> Result<(), StoryError> {
        self.narrator.step("The till loses power: the gateway is killed with -9, then started again");
        let id = self.stage.kill_gateway().await?;
        self.narrator.say(&format!("kill -9 {}", id.map_or_else(|| "?".to_owned(), |id| id.to_string())));
        let took = self.stage.start_gateway().await?;
        self.narrator.say(&format!("ready again after {took:.1?}"));
        let mut wrong = Vec::new();
        for (basket, before) in BASKETS[POSTED_ONLINE..].iter().zip(&self.provisional) {
            let path = format!("/api/sales/{}/", basket.trader_ref);
            let now = self.stage.till().get(&path, ANSWER).await?;
            wrong.extend(still_the_same(basket, before, &now, 200));
        }
        self.narrator.check("all five are still there, under the same provisional numbers", &wrong);
        if let (Some(basket), Some(before)) = (BASKETS.last(), self.provisional.last()) {
            let (again, _) = self.post(&self.stage.local_till(), basket).await?;
            let mut wrong = still_the_same(basket, before, &again, 200);
            if again.body["repeat"] != true {
                wrong.push("it is not called a repeat".to_owned());
            }
            let what = format!("{} posted once more is the same sale, not a second one", basket.trader_ref);
            self.narrator.check(&what, &wrong);
        }
        Ok(())
    }

    async fn restore_the_line(&mut self) -> Result<(), StoryError> {
        self.narrator.step("The line comes back: what waited is delivered in order");
        let began = Instant::now();
        self.set_line(true).await?;
        let mut wrong = Vec::new();
        for basket in &BASKETS[POSTED_ONLINE..] {
            let path = format!("/api/sales/{}/?wait={DRAIN}", basket.trader_ref);
            let answer = self.stage.till().get(&path, ANSWER + Duration::from_secs(DRAIN)).await?;
            let sale = &answer.body;
            let signed = format!(
                "receipt {}/{} {}, signature {}",
                sale["receiptNo"],
                sale["totalReceiptNo"],
                word(sale, "label"),
                word(sale, "signature")
            );
            self.tell_sale(basket, &answer, &signed, began.elapsed());
            if answer.status != 200 || sale["status"] != "signed" {
                wrong.push(format!("{} is {} {}", basket.trader_ref, answer.status, sale));
            }
        }
        self.narrator.check("all five are signed by KRA", &wrong);
        Ok(())
    }

    async fn compare_the_books(&mut self) -> Result<(), StoryError> {
        self.narrator.step("Compare KRA's books with the gateway's log");
        let books = expect(self.stage.levers().get("/_sim/books", ANSWER).await?, 200, "GET /_sim/books")?;
        let list = self.stage.till().get("/api/sales/?limit=100", ANSWER).await?;
        let list = expect(list, 200, "GET /api/sales/")?;
        let accepted: Vec<&str> = BASKETS.iter().map(|basket| basket.trader_ref).collect();
        let (kra, gateway) = (of_kra(&books), of_gateway(&list));
        let count = BASKETS.len();
        let say = &mut *self.narrator;
        say.check(
            &format!("KRA has each of the {count} sales once, and no other"),
            &each_once(&accepted, &kra),
        );
        say.check(
            &format!("KRA's numbers are 1 to {count} in order of acceptance"),
            &in_order(&accepted, &kra),
        );
        say.check("the amounts in KRA's books are those of the tills", &amounts(&books));
        say.check("KRA refused nothing on the way", &refusals(&books));
        say.check("never were two sales on the line at once", &one_at_a_time(&books));
        say.check("the gateway's log has each sale once, and no other", &each_once(&accepted, &gateway));
        say.check("every sale in the gateway's log is signed", &all_signed(&gateway));
        say.check("numbers, receipts and signatures agree in both", &agree(&kra, &gateway));
        let verified = self.stage.command(&["verify", "--json"]).await?;
        let report = serde_json::from_slice(&verified.stdout).unwrap_or(Value::Null);
        let what = format!(
            "`verify`: records {} to {} in the log are as they were written, {} sales signed",
            report["firstRecord"], report["lastRecord"], report["sales"]
        );
        let complaint = String::from_utf8_lossy(&verified.stderr);
        let wrong = if verified.status.success() && report["ok"] == true && report["sales"] == count {
            Vec::new()
        } else {
            vec![format!("{}: {report} {}", verified.status, complaint.trim())]
        };
        self.narrator.check(&what, &wrong);
        Ok(())
    }

    async fn print_a_receipt(&mut self) -> Result<(), StoryError> {
        let basket = &BASKETS[PRINTED];
        self.narrator
            .step(&format!("The finished receipt of {}, sold while KRA was away", basket.trader_ref));
        let path = format!("/api/sales/{}/", basket.trader_ref);
        let sale = expect(self.stage.till().get(&path, ANSWER).await?, 200, &path)?;
        let before = sale["invcNo"].as_u64().unwrap_or(1).saturating_sub(1);
        let path = format!("/_sim/books/raw?tin={TIN}&bhfId={BHF_ID}&after={before}&limit=1");
        let raw = expect(self.stage.levers().get(&path, ANSWER).await?, 200, &path)?;
        let invoice = &raw["invoices"][0];
        let path = format!("/api/sales/{}/receipt/?width={WIDTH}", basket.trader_ref);
        let printed = expect(self.stage.till().get(&path, ANSWER).await?, 200, &path)?;
        let paper = printed.as_str().unwrap_or_default();
        self.narrator.show("");
        for line in paper.lines() {
            self.narrator.show(&format!("   {line}"));
        }
        self.narrator.show("");
        let url = word(&sale, "qrUrl");
        let signature = word(&sale, "signature");
        let mut wrong = Vec::new();
        for part in [self.trader.as_str(), TIN, &group_in_fours(signature), basket.trader_ref] {
            if !paper.contains(part) {
                wrong.push(format!("{part} is not on the receipt"));
            }
        }
        match qr_code(url, self.narrator.is_coloured()) {
            Some(drawn) => drawn.iter().for_each(|line| self.narrator.show(&format!("   {line}"))),
            None => wrong.push("the text of the QR code is too long".to_owned()),
        }
        self.narrator.show("");
        if signature.is_empty() || !url.ends_with(&format!("?Data={TIN}{BHF_ID}{signature}")) {
            wrong.push(format!("the link is {url:?}, the signature {signature:?}"));
        }
        if invoice["trdInvcNo"] != basket.trader_ref {
            wrong.push(format!("KRA has {} under number {}", invoice["trdInvcNo"], sale["invcNo"]));
        }
        self.narrator.check("receipt and QR code name trader, PIN, branch and KRA's signature", &wrong);
        Ok(())
    }

    async fn set_line(&mut self, up: bool) -> Result<(), StoryError> {
        let answer = self.stage.levers().post("/_sim/line", &json!({ "up": up }), ANSWER).await?;
        expect(answer, 200, "POST /_sim/line").map(drop)
    }

    async fn post(&self, till: &Peer, basket: &Basket) -> Result<(Answer, Duration), StoryError> {
        let began = Instant::now();
        let answer = till.post("/api/sales/", &basket.request(), ANSWER).await?;
        Ok((answer, began.elapsed()))
    }

    fn tell_sale(&mut self, basket: &Basket, answer: &Answer, outcome: &str, took: Duration) {
        let status = word(&answer.body, "status");
        let mut line = format!("{}  KES {:>8}", basket.trader_ref, money(&json!(basket.total)));
        let _ = write!(
            line,
            "  tax {:<9}  {} {status} after {took:.1?}: {outcome}",
            basket.tax_types(),
            answer.status
        );
        self.narrator.say(&line);
    }
}

/// The body of an answer with the status it must have.
pub(super) fn expect(answer: Answer, status: u16, asked: &str) -> Result<Value, StoryError> {
    if answer.status == status {
        return Ok(answer.body);
    }
    Err(StoryError::Answer { asked: asked.to_owned(), status: answer.status, body: answer.body })
}

pub(super) fn word<'a>(body: &'a Value, name: &str) -> &'a str {
    body[name].as_str().unwrap_or("?")
}

fn same(body: &Value, name: &str, expected: &str) -> Vec<String> {
    if body[name] == expected { Vec::new() } else { vec![format!("{name} is {}", body[name])] }
}

/// A sale is still pending and has kept what was printed for it.
fn still_the_same(basket: &Basket, before: &Value, now: &Answer, status: u16) -> Vec<String> {
    let mut wrong = Vec::new();
    if now.status != status {
        wrong.push(format!("{} was answered {} {}", basket.trader_ref, now.status, now.body));
        return wrong;
    }
    for name in ["status", "tempReceiptNo", "localSignature"] {
        if now.body[name] != before[name] {
            wrong.push(format!("{}: {name} was {}, is {}", basket.trader_ref, before[name], now.body[name]));
        }
    }
    wrong
}

/// What the customers paid is what KRA booked.
fn amounts(books: &Value) -> Vec<String> {
    let sales = books["devices"][0]["sales"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut wrong = Vec::new();
    for basket in &BASKETS {
        let booked = sales
            .iter()
            .find(|sale| sale["trdInvcNo"] == basket.trader_ref)
            .map(|sale| money(&sale["totAmt"]));
        let paid = money(&json!(basket.total));
        if booked.as_ref() != Some(&paid) {
            wrong.push(format!("{}: {} booked, {paid} paid", basket.trader_ref, booked.unwrap_or_default()));
        }
    }
    wrong
}

fn refusals(books: &Value) -> Vec<String> {
    match books["devices"][0]["refused"].as_array() {
        Some(refused) => refused.iter().map(Value::to_string).collect(),
        None => vec!["KRA's books have no such branch".to_owned()],
    }
}

fn one_at_a_time(books: &Value) -> Vec<String> {
    match books["devices"][0]["concurrent"].as_u64() {
        Some(0 | 1) => Vec::new(),
        most => {
            vec![format!("at most {} at once", most.map_or_else(|| "?".to_owned(), |most| most.to_string()))]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_printed_must_stay() {
        let before = json!({"status": "pending", "tempReceiptNo": "P-9-ABCD", "localSignature": "AAAA"});
        let now = |status, body| Answer { status, body };
        let basket = &BASKETS[PRINTED];
        assert_eq!(still_the_same(basket, &before, &now(200, before.clone()), 200), Vec::<String>::new());
        assert_eq!(still_the_same(basket, &before, &now(404, Value::Null), 200).len(), 1);
        let other = json!({"status": "pending", "tempReceiptNo": "P-10-ABCD", "localSignature": "AAAA"});
        assert_eq!(still_the_same(basket, &before, &now(200, other), 200).len(), 1);
    }

    #[test]
    fn amounts_and_refusals_are_read_from_the_books() {
        let sale = |basket: &Basket| json!({"trdInvcNo": basket.trader_ref, "totAmt": basket.total});
        let mut sales: Vec<Value> = BASKETS.iter().map(sale).collect();
        let books = |sales: &[Value]| json!({"devices": [{"sales": sales, "refused": []}]});
        assert!(amounts(&books(&sales)).is_empty() && refusals(&books(&sales)).is_empty());
        sales[2]["totAmt"] = json!("1.00");
        sales.pop();
        assert_eq!(amounts(&books(&sales)).len(), 2);
        assert_eq!(refusals(&Value::Null).len(), 1);
        assert_eq!(one_at_a_time(&json!({"devices": [{"concurrent": 1}]})).len(), 0);
        assert_eq!(one_at_a_time(&json!({"devices": [{"concurrent": 2}]})).len(), 1);
    }
}
