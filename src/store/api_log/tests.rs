//! The bound holds, rows keep their order and numbers, and nothing that fails disturbs.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::super::files::list;
use super::*;

fn row(sale: &str, filler: usize) -> Row {
    let request =
        format!(r#"{{"trdInvcNo":"{sale}","custNm":"Wanjiku Kamau","rcptSign":"{}"}}"#, "x".repeat(filler));
    Row {
        at: "2026-11-25T20:55:01.123+03:00".into(),
        function: "saveTrnsSalesOsdc",
        trader_ref: Some(sale.to_owned()),
        outcome: "accepted",
        bodies: Bodies::of(request.as_bytes(), Vec::new())
            .answered(br#"{"resultCd":"000","resultMsg":"ok Wanjiku"}"#),
        ..Row::default()
    }
}

fn bounds(max_size: u64) -> Bounds {
    Bounds { max_size, min_free: 0 }
}

/// Every row after `after`, read page by page.
fn all(state: &Path, after: u64, sale: Option<&str>) -> Vec<serde_json::Value> {
    let (mut rows, mut after) = (Vec::new(), after);
    loop {
        let page = read_page(state, after, sale).unwrap();
        rows.extend(page.rows.iter().map(|row| serde_json::from_str(row).unwrap()));
        if !page.more {
            return rows;
        }
        after = page.last;
    }
}

fn numbers(rows: &[serde_json::Value]) -> Vec<u64> {
    rows.iter().map(|row| row["n"].as_u64().unwrap()).collect()
}

#[test]
fn rows_come_back_in_order_over_starts() {
    let dir = tempfile::tempdir().unwrap();
    for start in 0..3_u64 {
        let log = ExchangeLog::open(dir.path(), bounds(1 << 20));
        for n in 0..10 {
            log.put(row(&format!("T{n}"), 10));
        }
        log.close();
        assert_eq!(*log.newest().borrow(), (start + 1) * 10);
        assert_eq!(log.lost(), 0);
        log.put(row("late", 10));
        assert_eq!(log.lost(), 1, "after the end nothing is kept");
    }
    let rows = all(dir.path(), 0, None);
    assert_eq!(numbers(&rows), (1..=30).collect::<Vec<_>>());
    assert_eq!(rows[3]["trdInvcNo"], "T3");
    assert_eq!(rows[3]["request"]["custNm"], "****");
    assert_eq!(rows[3]["message"], "ok ****");
    assert_eq!(numbers(&all(dir.path(), 25, None)), [26, 27, 28, 29, 30]);
    assert_eq!(numbers(&all(dir.path(), 0, Some("T3"))), [4, 14, 24]);
    assert_eq!(all(dir.path(), 0, Some("T")), Vec::<serde_json::Value>::new());
    let directory = directory(dir.path());
    assert_eq!(fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(&list(&directory).unwrap()[0].path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn the_bound_holds_at_every_row() {
    let dir = tempfile::tempdir().unwrap();
    let max_size = 64 << 10;
    let mut files = Files::open(directory(dir.path()), max_size);
    for n in 1..=2_000_u64 {
        let filler = usize::try_from(n * 37 % 3_000).unwrap();
        let line = row("T", filler).line(n, files.longest());
        files.append(&line).unwrap();
        let parts = list(&directory(dir.path())).unwrap();
        let total: u64 = parts.iter().map(|part| part.size).sum();
        assert!(total <= max_size, "{total} bytes after row {n}");
        assert!(n < 200 || parts.len() >= 2, "what is kept is more than the newest file");
        assert!(n < 200 || total > max_size / 2, "only {total} bytes are kept");
    }
    let kept = numbers(&all(dir.path(), 0, None));
    assert_eq!(*kept.last().unwrap(), 2_000);
    assert!(kept.windows(2).all(|pair| pair[1] == pair[0] + 1), "no row is missing in between");
    // A smaller bound counts from the next row on.
    let mut files = Files::open(directory(dir.path()), 16 << 10);
    files.append(&row("T", 10).line(2_001, files.longest())).unwrap();
    let total: u64 = list(&directory(dir.path())).unwrap().iter().map(|part| part.size).sum();
    assert!(total <= max_size / 2, "{total}");
}

#[test]
fn a_row_too_long_for_its_file_is_kept_without_bodies() {
    let line = row("T", 3_000).line(7, 600);
    let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
    assert_eq!((value["n"].as_u64(), value["trdInvcNo"].as_str()), (Some(7), Some("T")));
    assert!(value.get("request").is_none() && value.get("answer").is_none());
}

#[test]
fn a_cut_last_line_is_skipped_and_closed_off() {
    let dir = tempfile::tempdir().unwrap();
    let log = ExchangeLog::open(dir.path(), bounds(1 << 20));
    (0..3).for_each(|_| log.put(row("T", 10)));
    log.close();
    let path = list(&directory(dir.path())).unwrap().pop().unwrap().path;
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 20]).unwrap();
    assert_eq!(numbers(&all(dir.path(), 0, None)), [1, 2]);
    let log = ExchangeLog::open(dir.path(), bounds(1 << 20));
    log.put(row("T", 10));
    log.close();
    assert_eq!(numbers(&all(dir.path(), 0, None)), [1, 2, 3]);
    // After a power cut a file may end in zeros.
    fs::write(&path, [whole.as_slice(), &[0; 100]].concat()).unwrap();
    let log = ExchangeLog::open(dir.path(), bounds(1 << 20));
    log.put(row("T", 10));
    log.close();
    assert_eq!(numbers(&all(dir.path(), 0, None)), [1, 2, 3, 4]);
}

#[test]
fn what_cannot_be_written_is_counted_and_goes_on_later() {
    let dir = tempfile::tempdir().unwrap();
    // Something else stands where the directory should be.
    fs::write(directory(dir.path()), b"").unwrap();
    let log = ExchangeLog::open(dir.path(), bounds(1 << 20));
    log.put(row("T", 10));
    let mut newest = log.newest();
    while log.lost() == 0 {
        std::thread::yield_now();
    }
    fs::remove_file(directory(dir.path())).unwrap();
    log.put(row("T", 10));
    log.close();
    assert_eq!((*newest.borrow_and_update(), log.lost()), (1, 1));
    assert_eq!(numbers(&all(dir.path(), 0, None)), [1]);

    let full = ExchangeLog::open(dir.path(), Bounds { max_size: 1 << 20, min_free: u64::MAX });
    full.put(row("T", 10));
    full.close();
    assert_eq!(full.lost(), 1, "below the free space that sales need, nothing is added");
}

#[test]
fn a_log_that_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(read_page(dir.path(), 0, None).unwrap_err().kind(), io::ErrorKind::NotFound);
    let log = ExchangeLog::open(dir.path(), bounds(1 << 20));
    assert_eq!(log.page(5, None).unwrap(), LogPage { last: 5, ..LogPage::default() });
}
