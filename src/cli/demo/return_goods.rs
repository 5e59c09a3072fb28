//! The last chapter: a customer brings something back.

use std::io::Write;

use serde_json::json;

use super::goods::{BASKETS, PRINTED, RETURNED, note_on};
use super::story::{ANSWER, BHF_ID, Story, StoryError, TIN, expect, word};

impl<W: Write> Story<'_, W> {
    pub(super) async fn bring_something_back(&mut self) -> Result<(), StoryError> {
        let basket = &BASKETS[PRINTED];
        self.narrator.step(&format!("The bread of {} comes back: a credit note", basket.trader_ref));
        let path = format!("/api/sales/{}/", basket.trader_ref);
        let sale = expect(self.stage.till().get(&path, ANSWER).await?, 200, &path)?;
        let request = note_on(&RETURNED, basket);
        let answer = self.stage.till().post("/api/sales/?wait=20", &request, ANSWER * 2).await?;
        let note = expect(answer, 201, "POST /api/sales/")?;
        self.narrator.say(&format!(
            "{}  KES {:>8}  {} {} on {}",
            RETURNED.trader_ref,
            format!("-{}", RETURNED.total),
            word(&note, "status"),
            word(&note, "label"),
            basket.trader_ref
        ));
        let before = note["invcNo"].as_u64().unwrap_or(1).saturating_sub(1);
        let path = format!("/_sim/books/raw?tin={TIN}&bhfId={BHF_ID}&after={before}&limit=1");
        let raw = expect(self.stage.levers().get(&path, ANSWER).await?, 200, &path)?;
        let invoice = &raw["invoices"][0];
        let mut wrong = Vec::new();
        if invoice["trdInvcNo"] != RETURNED.trader_ref || invoice["rcptTyCd"] != "R" {
            wrong.push(format!("KRA has {} ({})", invoice["trdInvcNo"], invoice["rcptTyCd"]));
        }
        let number = |value: &serde_json::Value| value.to_string().trim_matches('"').to_owned();
        if number(&invoice["orgInvcNo"]) != number(&sale["invcNo"]) {
            wrong.push(format!("KRA has it on {}, the sale is {}", invoice["orgInvcNo"], sale["invcNo"]));
        }
        self.narrator.check("KRA has the credit note, on the sale's own number", &wrong);

        let mut again = request;
        again["trdInvcNo"] = json!(format!("{}-AGAIN", RETURNED.trader_ref));
        let answer = self.stage.till().post("/api/sales/?wait=0", &again, ANSWER).await?;
        let fault = &answer.body["errors"][0];
        let mut wrong = Vec::new();
        if answer.status == 400 && fault["field"] == "itemList[0].qty" {
            self.narrator.say(&format!("once more: {} {}", answer.status, word(fault, "message")));
        } else {
            wrong.push(format!("the same bread once more was answered {} {}", answer.status, answer.body));
        }
        self.narrator.check("what came back cannot come back again", &wrong);
        Ok(())
    }
}
