//! One salvage, from the first look to the new store in its place.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use data_encoding::HEXLOWER;
use serde_json::json;

use super::directory::{MAKING, check_target, copy_files, give_to_owner, lock, put_in_place};
use super::doubts::{Doubts, doubts};
use super::known_index::{Indexed, Known, ReadIndex, read_copy};
use super::report::{LostSale, SalvageError, Salvaged, failed};
use super::rewrite::{Rewritten, rewrite};
use super::secrets::{copy_secrets, fits, signing_key};
use super::source::Source;
use crate::gateway::ports::Acted;
use crate::queue::drain::{NumberFate, Ruling};
use crate::queue::{Seq, Status, Words};
use crate::store::bodies::{OutcomeRead, read_outcome, write_outcome};
use crate::store::committer::{Committer, own_record};
use crate::store::effect::{Binding, Effect};
use crate::store::entry::Entry;
use crate::store::genesis::{KEY_NAME, KEYS};
use crate::store::keys::write_secret;
use crate::store::options::Options;
use crate::store::record::{Kind, NewRecord, Stamp};
use crate::store::recovery;
use crate::store::verify::verify;

/// Losses that the ADMIN record names one by one.
const NAMED: usize = 500;

/// Makes a new store in `into` from what can be read of the one in `dir`, which is not touched. `read_index` is given a copy
/// of the index and the journal's id; its error says that nothing is known from there. Blocks.
///
/// # Errors
/// No store was made.
pub fn salvage(
    dir: &Path,
    into: &Path,
    clock: fn() -> Stamp,
    read_index: &ReadIndex,
) -> Result<Salvaged, SalvageError> {
    check_target(dir, into)?;
    let _lock = lock(dir)?;
    let signing = signing_key(dir);
    let ours = signing.as_ref().ok().map(|(_, signer)| signer.public_key());
    let mut source = Source::read(dir, ours.as_ref())?;
    let (key, signer) = signing?;
    fits(dir, &signer, &source)?;
    source.public_key = signer.public_key();

    let making = into.join(MAKING);
    let made = |step| failed(step, &making);
    for path in [&making, &making.join("journal")] {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(made("making"))?;
    }
    let indexed = read_copy(dir, &making, &source.id, read_index)?;
    let (known, mut to_do) = match indexed {
        Ok(known) => (known, Vec::new()),
        Err(why) => {
            source.damage.push(format!("the index cannot be asked what was lost: {why}"));
            (Indexed::default(), Vec::new())
        }
    };
    let rewritten = rewrite(&mut source, &making.join("journal"), &signer, clock, known.applied)
        .map_err(made("writing the journal in"))?;
    write_secret(&making.join(KEYS), KEY_NAME, &key).map_err(made("writing the signing key in"))?;
    copy_secrets(dir, &making, rewritten.registered, &mut to_do)?;
    copy_files(&dir.join("notify"), &making.join("notify"))?;

    let end_is_unsure = source.end_is_unsure;
    let doubts = doubts(&rewritten.known, end_is_unsure);
    let report = describe(&source, &rewritten, &known, &doubts, end_is_unsure, to_do);
    let (committer, _) = recovery::open(&making, Options::new(clock), &mut |_| {})?;
    let head = write_down(committer, dir, &report, &doubts, clock).map_err(SalvageError::Commit)?;
    verify(&making, None, &mut |_| {})?;
    give_to_owner(dir, &making).map_err(made("giving to the old store's owner what is in"))?;
    put_in_place(&making, into).map_err(made("moving into its place what is in"))?;
    Ok(Salvaged { head, ..report })
}

fn describe(
    source: &Source,
    rewritten: &Rewritten,
    known: &Indexed,
    doubts: &Doubts,
    end_is_unsure: bool,
    to_do: Vec<String>,
) -> Salvaged {
    let by_seq: BTreeMap<Seq, &Known> = known.documents.iter().map(|it| (it.seq, it)).collect();
    let lost_sales = rewritten.known.lost.iter().filter_map(|seq| {
        let indexed = by_seq.get(seq);
        let trader_ref = indexed.map(|it| it.trader_ref.clone()).or_else(|| source.named.get(seq).cloned());
        let standing = indexed
            .map(|it| match it.number {
                Some(number) => format!("{} under number {number}", it.status.word()),
                None => it.status.word().to_owned(),
            })
            .or_else(|| rewritten.known.orphans.get(seq).cloned());
        (trader_ref.is_some() || standing.is_some()).then_some(LostSale { seq: *seq, trader_ref, standing })
    });
    let key = |seq: &Seq| rewritten.known.open.get(seq).map(|open| open.entry.key.clone());
    Salvaged {
        read: rewritten.read,
        sales: rewritten.sales,
        last_kept: source.pieces.last_key_value().map_or(0, |(seq, _)| *seq),
        lost: ranges(&rewritten.known.lost),
        lost_sales: lost_sales.collect(),
        damage: source.damage.clone(),
        end_is_unsure,
        in_doubt: doubts.in_doubt.iter().filter_map(key).collect(),
        unsure: u64::try_from(doubts.unsure.len()).unwrap_or(u64::MAX),
        next_number: doubts.series.next,
        set_back: doubts.set_back,
        to_do,
        old_head: rewritten.old_head,
        head: (0, [0; 32]),
    }
}

fn ranges(seqs: &[Seq]) -> Vec<(Seq, Seq)> {
    let mut found: Vec<(Seq, Seq)> = Vec::new();
    for seq in seqs {
        match found.last_mut() {
            Some((_, last)) if *last + 1 == *seq => *last = *seq,
            _ => found.push((*seq, *seq)),
        }
    }
    found
}

/// Writes into the new store whose salvage it is, and what is in doubt; closes it.
fn write_down(
    mut committer: Committer,
    dir: &Path,
    report: &Salvaged,
    doubts: &Doubts,
    clock: fn() -> Stamp,
) -> Result<(Seq, [u8; 32]), String> {
    let acted = Acted {
        act: "salvage".to_owned(),
        reason: Some(format!("read out of {}", dir.display())),
        who: format!("uid {}", rustix::process::geteuid().as_raw()),
    };
    let of_report: Vec<_> = report.lost_sales.iter().take(NAMED).collect();
    let body = json!({
        "act": acted.act,
        "reason": acted.reason,
        "who": acted.who,
        "oldHead": { "record": report.old_head.0, "hash": HEXLOWER.encode(&report.old_head.1) },
        "lostRecords": report.lost.iter().take(NAMED).collect::<Vec<_>>(),
        "lostSales": of_report.iter().map(|it| json!([it.seq, it.trader_ref])).collect::<Vec<_>>(),
        "nextInvcNo": report.next_number,
        "setBack": report.set_back,
    });
    let options = Options::new(clock);
    let effect = Effect::Series { next: doubts.series.next, last: doubts.series.last.clone() };
    let admin = NewRecord { effect, ..own_record(&options, Kind::Admin, body.to_string().into_bytes()) };
    let mut records: Vec<(NewRecord, Option<_>)> = vec![(admin, None)];
    let in_doubt = doubts.in_doubt.iter().map(|document| (*document, true));
    for (document, keeps_number) in in_doubt.chain(doubts.unsure.iter().map(|document| (*document, false))) {
        let indexed = committer.shared.entry(document).map_err(|error| error.to_string())?;
        let Some(entry) = indexed else { continue };
        let said = entry.outcome.and_then(|at| committer.shared.journal.read(at).ok());
        let said = said.and_then(|record| read_outcome(&record.body).ok()).unwrap_or_default();
        let ruling = doubtful(&entry, said, keeps_number);
        let effect = Effect::Moved {
            document,
            status: ruling.status,
            attempts: ruling.attempts,
            unsure_sends: ruling.unsure_sends,
            binding: if keeps_number { Binding::Keep } else { Binding::Release },
        };
        let body = write_outcome(&ruling, Some(&acted));
        records.push((NewRecord { effect, ..own_record(&options, Kind::Outcome, body) }, Some(entry)));
    }
    committer.commit_those(&records)?;
    committer.finish()
}

/// A document whose later records may be lost.
fn doubtful(entry: &Entry, said: OutcomeRead, keeps_number: bool) -> Ruling {
    let message = "the store was salvaged: what became of it may be lost, and KRA may have it".to_owned();
    let words =
        if entry.status == Status::Pending { Words { message, ..Words::default() } } else { said.words };
    Ruling {
        status: entry.status,
        attempts: entry.attempts,
        unsure_sends: entry.unsure_sends.max(1),
        number: if keeps_number { NumberFate::Kept } else { NumberFate::Released },
        proof: None,
        adopted: false,
        accepted: said.accepted && keeps_number,
        with_original: false,
        words,
    }
}
